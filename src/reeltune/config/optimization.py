"""How gradients move what is trained: the optimizer, its rate along the run, and clipping."""

from __future__ import annotations

from typing import Literal, TypeAlias

from reeltune.config.optimizer_names import NOT_YET, OPTIMIZERS
from reeltune.config.optimizer_settings import OptimizerSettings
from reeltune.config.option import Section, option

OptimizerName: TypeAlias = Literal[tuple(OPTIMIZERS)]  # pyright: ignore[reportInvalidTypeForm]  # the table is the one list of names


class OptimizationOptions(Section):
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
    optimizer_config: OptimizerSettings | None = option(
        None,
        "Settings of the optimizer by its library's own names, as an object or as text; they win over the options "
        "below.",
        example="weight_decay=0.01,eps=1e-8",
    )
    optimizer_beta1: float | None = option(
        None,
        "How long the optimizer remembers gradients; given with optimizer_beta2. Unset: the library's.",
        ge=0,
        lt=1,
    )
    optimizer_beta2: float | None = option(
        None, "How long it remembers their squares, or signs; given with optimizer_beta1.", ge=0, lt=1
    )
    adam_weight_decay: float | None = option(
        None, "Share of the weights that each step takes away, times the rate. Unset: the library's.", ge=0
    )
    adam_epsilon: float | None = option(
        None, "What keeps the optimizer from dividing by nothing. Unset: the library's.", gt=0
    )
    optimizer_release_gradients: bool = option(
        False,
        "Move each tensor as soon as its gradient is there, and free the gradient: less memory with model_type full.",
    )
    lr_scale: bool = option(False, "Multiply learning_rate by the samples of a step.")
    lr_scale_sqrt: bool = option(False, "With lr_scale: multiply by the square root of that number instead.")
