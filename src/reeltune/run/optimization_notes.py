"""What a plan says of the optimizer: a scaled rate, clipping of what limits itself, averages of averages, release."""

from __future__ import annotations

from collections.abc import Iterator

from reeltune.config.root import Config
from reeltune.config.scaled_rate import scaled_rate
from reeltune.contracts.notes import Note
from reeltune.run.optimizer_traits import averages_itself, limits_itself


def optimization_notes(config: Config) -> Iterator[Note]:
    """Say where the optimizer's options mean more than they say."""
    chosen, samples = config.optimization, config.training.samples_per_step
    if chosen.lr_scale:
        root = "the square root of " if chosen.lr_scale_sqrt else ""
        text = f"learning_rate {chosen.learning_rate:g} times {root}{samples} samples a step = "
        yield Note("fact", "lr_scale", f"{text}{scaled_rate(chosen, samples):g}; lr_end is as written")
    if chosen.max_grad_norm and limits_itself(chosen):
        text = f"{chosen.optimizer} limits its updates itself, and gradients are clipped before it all the same; 0 "
        yield Note("fact", "max_grad_norm", text + "leaves it to the optimizer")
    if config.average.use_ema and averages_itself(chosen):
        text = f"{chosen.optimizer} keeps an average of its own, which is what acts; use_ema averages that once more"
        yield Note("trap", "use_ema", text)
    if chosen.optimizer_release_gradients:
        text = "a step without finite numbers cannot be taken back: the run stops there, and the last checkpoint stands"
        yield Note("fact", "optimizer_release_gradients", text)
