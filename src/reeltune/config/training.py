"""How the adapter is trained: batches, noise, optimizer, schedule, averaging, memory."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator

from reeltune.config.optimizer_names import NOT_YET, OPTIMIZERS
from reeltune.config.option import Section, option
from reeltune.config.routing import TreadConfig, parse_tread

OptimizerName: TypeAlias = Literal[tuple(OPTIMIZERS)]  # pyright: ignore[reportInvalidTypeForm]  # the table is the one list of names


class TrainingOptions(Section):
    seed: int = option(
        42, "All randomness is a function of this number and of the position in the run.", ge=0, lt=2**63
    )
    train_batch_size: int = option(4, "Clips that go through the model together.", unit="clips", ge=1)
    gradient_accumulation_steps: int = option(
        1, "Micro-batches whose gradients are added up before one optimizer step.", ge=1
    )
    gradient_checkpointing: bool = option(
        True, "Recompute each block in the backward pass instead of keeping its activations: less memory, more time."
    )
    max_train_steps: int = option(0, "Optimizer steps after which the run ends; 0 leaves it to num_train_epochs.", ge=0)
    num_train_epochs: int = option(
        0, "Passes over the data after which the run ends; 0 leaves it to max_train_steps.", ge=0
    )
    ignore_final_epochs: bool = option(
        False,
        "With max_train_steps set: num_train_epochs does not end the run earlier.",
        opposite=("strict_epoch_limit",),
    )
    optimizer: OptimizerName = option(
        "torch-adamw", "The rule that turns gradients into updates.", example="optimi-lion", refused=NOT_YET
    )
    learning_rate: float = option(1e-4, "Step size of the optimizer.", gt=0, example=5e-5)
    lr_scheduler: Literal[
        "constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "sine", "polynomial"
    ] = option("constant_with_warmup", "Curve of the learning rate over the run.")
    lr_warmup_steps: int = option(0, "Steps over which the learning rate rises from 0.", unit="steps", ge=0)
    lr_end: float = option(4e-7, "Learning rate at the last step of a decaying schedule.", ge=0)
    lr_power: float = option(0.8, "Exponent of the polynomial schedule; 1 is a straight line.", gt=0)
    lr_num_cycles: int = option(1, "Times that cosine_with_restarts starts again from the full rate.", ge=1)
    max_grad_norm: float = option(2.0, "Limit that clipping enforces; 0 switches clipping off.", ge=0)
    grad_clip_method: Literal["value", "norm"] = option(
        "value", "value clamps each element of the gradient to the limit; norm scales the whole gradient down to it."
    )
    use_ema: bool = option(False, "Keep a float32 moving average of the trained weights.")
    ema_decay: float = option(0.995, "Largest share of the old average that each step keeps.", ge=0, lt=1)
    ema_update_interval: int = option(1, "Update the average every this many steps.", unit="steps", ge=1)
    flow_schedule_shift: float | None = option(
        None, "Push training toward high noise (above 1) or low noise (below 1); unset or 0: no shift.", ge=0, example=3
    )
    flow_schedule_auto_shift: bool = option(
        False, "Let the shift follow the frame size: more noise for larger frames; wins over flow_schedule_shift."
    )
    flow_sigmoid_scale: float = option(
        1.0, "Spread of the normal variable whose sigmoid is the noise level of a sample.", gt=0
    )
    tread_config: (
        Annotated[TreadConfig, BeforeValidator(parse_tread, json_schema_input_type=TreadConfig | str)] | None
    ) = option(
        None,
        "Token routing (TREAD): between which blocks which share of the video tokens is left out of training steps.",
        example={"routes": [{"selection_ratio": 0.5, "start_layer_idx": 2, "end_layer_idx": -2}]},
    )
