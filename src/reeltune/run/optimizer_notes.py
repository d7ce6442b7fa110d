"""What a plan says of the chosen optimizer: where its name promises more than it does, or the rate means less."""

from __future__ import annotations

from collections.abc import Iterator

from reeltune.config.optimizer_names import OPTIMIZERS, SCHEDULE_FREE
from reeltune.config.root import Config
from reeltune.config.scaled_rate import scaled_rate
from reeltune.contracts.notes import Note
from reeltune.run.optimizer_traits import averages_itself

FACTOR_LOOKS_LIKE_A_RATE = 0.1
"""Below this a learning rate is one of Adam's, and not the factor that Prodigy takes."""

CONSTANT = ("constant", "constant_with_warmup")


def optimizer_notes(config: Config) -> Iterator[Note]:
    """Yield a note for each thing that the optimizer's name does not say."""
    chosen = config.optimization
    name, rate = chosen.optimizer, scaled_rate(chosen, config.training.samples_per_step)
    if name == "adamw_bf16":
        text = "runs as torch-adamw with betas 0.9|0.999, weight_decay 0.01, eps 1e-6: trained weights are float32 here"
        yield Note("fact", "optimizer", f"{name} {text}")
    if name in SCHEDULE_FREE and chosen.lr_scheduler not in CONSTANT:
        text = (
            f"{chosen.lr_scheduler} is not used: {name} averages its steps in place of a decay, and the rate stays at"
        )
        yield Note("trap", "lr_scheduler", f"{text} {rate:g} once lr_warmup_steps are over")
    if name == "prodigy" and rate < FACTOR_LOOKS_LIKE_A_RATE:
        text = f"{rate:g} is a factor on the rate that prodigy finds by itself: 1.0 is usual"
        yield Note("trap", "learning_rate", f"{text}, and this makes its steps {1 / rate:.3g} times smaller")
    if name == "prodigy" and averages_itself(chosen) and chosen.lr_scheduler not in CONSTANT:
        text = (
            f"{chosen.lr_scheduler} multiplies the rate that prodigy finds; it averages by itself, and needs no decay"
        )
        yield Note("fact", "lr_scheduler", text)
    if OPTIMIZERS[name] == "torchao":
        text = f"{name} compiles its step on a GPU, once for each shape of tensor: the first step takes longer"
        yield Note("fact", "optimizer", text)
