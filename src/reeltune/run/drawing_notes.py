"""What a plan says of datasets that are not all drawn alike: their parts of the steps, what is rarely or never seen."""

from __future__ import annotations

from collections.abc import Iterator

from reeltune.config.datasets import Datasets
from reeltune.config.root import Config
from reeltune.contracts.notes import Note
from reeltune.data.sampler import Order


def drawing_notes(config: Config, datasets: Datasets, order: Order, *, total_steps: int) -> Iterator[Note]:
    """Say what follows from weights and from regularisation data."""
    if not order.is_even:
        yield _share_note(config, order)
        yield from _never_seen(order, total_steps * config.training.gradient_accumulation_steps)
    yield from _prior_notes(datasets, order)


def shares_in_words(order: Order) -> str:
    """Return `a 80%, b 20%`: which part of the steps is of each dataset."""
    return ", ".join(f"{name} {percent(share)}" for name, share in order.shares.items())


def percent(part: float) -> str:
    """Return a part of 1 in percent, with more digits where it is small."""
    return f"{part:.0%}" if part >= 0.0995 else f"{part:.2%}"


def _share_note(config: Config, order: Order) -> Note:
    about = "probability" if config.data.data_backend_sampling == "auto-weighting" else "data_backend_sampling"
    shown = ", ".join(f"{percent(part)} of {name}" for name, part in order.parts.items())
    text = f"an epoch shows {shown}, and goes on in the next where it stopped; of the steps {shares_in_words(order)}"
    return Note("fact", about, text)


def _never_seen(order: Order, batches: int) -> Iterator[Note]:
    for name, (seen, clips) in order.seen(batches).items():
        if seen < clips:
            text = f"{seen} of {clips} samples are seen in the whole run, so rarely is {name} drawn"
            yield Note("trap", f"{name}.probability", text)


def _prior_notes(datasets: Datasets, order: Order) -> Iterator[Note]:
    priors = {dataset.id for dataset in datasets.trained if dataset.is_regularisation_data}
    for name, share in order.shares.items():
        if name in priors:
            text = (
                f"the base model's own answers are trained on these clips, {percent(share)} of the steps; each of "
                "their batches takes one forward pass more"
            )
            yield Note("fact", f"{name}.is_regularisation_data", text)
    if priors >= order.shares.keys():
        text = "no clip of the other datasets is left: the adapter answers as the base model does, and learns nothing"
        yield Note("trap", "is_regularisation_data", text)
