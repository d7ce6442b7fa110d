"""What gradient release asks of the other options: each tensor moves alone, and at once."""

from __future__ import annotations

from collections.abc import Iterator

from reeltune.config.root import Config

LIBRARY = "optimi-"


def release_contradictions(config: Config) -> Iterator[str]:
    """Yield a sentence for each option that needs all gradients together, or more than one backward pass."""
    chosen, accumulation = config.optimization, config.training.gradient_accumulation_steps
    if not chosen.optimizer_release_gradients:
        return
    because = "optimizer_release_gradients is true and"
    if not chosen.optimizer.startswith(LIBRARY):
        yield (
            f"{because} optimizer is {chosen.optimizer}: it takes an optimizer whose name begins with {LIBRARY}, such "
            "as optimi-adamw"
        )
    if accumulation > 1:
        yield (
            f"{because} gradient_accumulation_steps is {accumulation}: gradients that are added up cannot be freed; "
            "set gradient_accumulation_steps=1"
        )
    if chosen.max_grad_norm and chosen.grad_clip_method == "norm":
        yield (
            f"{because} grad_clip_method is norm: the norm is known when all gradients are there; set "
            "grad_clip_method=value or max_grad_norm=0"
        )
