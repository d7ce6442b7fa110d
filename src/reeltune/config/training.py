"""How the adapter is trained: batches, noise, optimizer, schedule, averaging, memory."""

from __future__ import annotations

from typing import Literal

from reeltune.config.option import Section, option


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
    optimizer: Literal["torch-adamw", "optimi-adamw", "optimi-lion"] = option(
        "torch-adamw", "The rule that turns gradients into updates.", example="optimi-lion"
    )
    learning_rate: float = option(1e-4, "Step size of the optimizer.", gt=0, example=5e-5)
    lr_scheduler: Literal["constant", "constant_with_warmup", "linear", "cosine"] = option(
        "constant_with_warmup", "Curve of the learning rate over the run."
    )
    lr_warmup_steps: int = option(0, "Steps over which the learning rate rises from 0.", unit="steps", ge=0)
    lr_end: float = option(4e-7, "Learning rate at the last step of a decaying schedule.", ge=0)
    max_grad_norm: float = option(2.0, "Limit that clipping enforces; 0 switches clipping off.", ge=0)
    grad_clip_method: Literal["value", "norm"] = option(
        "value", "value clamps each element of the gradient to the limit; norm scales the whole gradient down to it."
    )
    use_ema: bool = option(False, "Keep a float32 moving average of the trained weights.")
    ema_decay: float = option(0.995, "Largest share of the old average that each step keeps.", ge=0, lt=1)
    ema_update_interval: int = option(1, "Update the average every this many steps.", unit="steps", ge=1)
    flow_schedule_shift: float | None = option(
        None, "Push training toward high noise (above 1) or low noise (below 1); unset means no shift.", gt=0, example=3
    )
    flow_sigmoid_scale: float = option(
        1.0, "Spread of the normal variable whose sigmoid is the noise level of a sample.", gt=0
    )
