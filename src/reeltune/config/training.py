"""How a run goes along: its length, what a step is made of, and what each step computes."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from reeltune.config.option import Section, option
from reeltune.config.routing import TreadConfig, parse_tread


class TrainingOptions(Section):
    @property
    def samples_per_step(self) -> int:
        """Clips that one optimizer step sees when its micro-batches are full."""
        return self.train_batch_size * self.gradient_accumulation_steps

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
    gradient_checkpointing_interval: int = option(
        1, "With gradient_checkpointing: recompute only every this many blocks; more memory, less time.", ge=1
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
    tread_config: (
        Annotated[TreadConfig, BeforeValidator(parse_tread, json_schema_input_type=TreadConfig | str)] | None
    ) = option(
        None,
        "Token routing (TREAD): between which blocks which share of the video tokens is left out of training steps.",
        example={"routes": [{"selection_ratio": 0.5, "start_layer_idx": 2, "end_layer_idx": -2}]},
    )
