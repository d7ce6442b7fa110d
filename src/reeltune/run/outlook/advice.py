"""What the outlook's numbers are worth a word of: what takes long, what is fetched first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rich.filesize import decimal

from reeltune.contracts.notes import Note
from reeltune.estimate.activations import FLOAT32_BYTES
from reeltune.estimate.parameters import parameters
from reeltune.estimate.sizes import TEXT_ENCODER_PARAMETERS, VIDEO_AUTOENCODER_PARAMETERS
from reeltune.families.sources import Location
from reeltune.machine.gpu import Gpu
from reeltune.run.outlook.basis import Basis
from reeltune.run.outlook.cost import RunTime, gpus_told, run_time
from reeltune.run.outlook.course import render_times

MANY = 0.15
"""A share of the time for videos that is worth a word."""

FEW = 0.1
"""The share that is proposed instead."""


def model_notes(locations: Sequence[Location], basis: Basis) -> Iterator[Note]:
    """Say what is fetched, and what cannot be known before it is."""
    fetched = sorted({one.place for one in locations if one.state == "hub"})
    if fetched:
        text = f"the first start fetches the model from the hub: {', '.join(fetched)}"
        yield Note("fact", "pretrained_model_name_or_path", text + _size_of_fetch(locations, basis))
    if basis.dimensions is None:
        text = "the size of the model is not known before it is fetched: operations and memory are left out here"
        yield Note("fact", "pretrained_model_name_or_path", text)


def _size_of_fetch(locations: Sequence[Location], basis: Basis) -> str:
    """Return how much room the files that are fetched take at most: they may be in float32."""
    if basis.dimensions is None:
        return ""
    weights = {
        "transformer": parameters(basis.dimensions),
        "text encoder": TEXT_ENCODER_PARAMETERS,
        "autoencoder": VIDEO_AUTOENCODER_PARAMETERS,
    }
    count = sum(weights.get(one.component, 0) for one in locations if one.state == "hub")
    return f"; up to {decimal(FLOAT32_BYTES * count)} in its cache (HF_HOME), beside the disk space above"


def routing_notes(basis: Basis) -> Iterator[Note]:
    """Say which way round the ratio of token routing is."""
    tread = basis.config.training.tread_config
    if tread:
        kept = ", ".join(f"{route.selection_ratio:g} keeps {1 - route.selection_ratio:.0%}" for route in tread.routes)
        text = f"selection_ratio is the share of the video tokens that is left out: {kept}; in training only"
        yield Note("trap", "tread_config", text)


def video_notes(basis: Basis, card: Gpu | None) -> Iterator[Note]:
    """Say when videos take much of the time, and what would take less."""
    every, times = basis.config.rendering.validation_steps, render_times(basis)
    if basis.dimensions is None or not basis.rendering.videos or times == 1:
        return
    time = run_time(basis, gpus_told(card)[0])
    if time.share(times) > MANY:
        text = f"videos every {every} steps take about {time.share(times):.0%} of the time; "
        yield Note("trap", "validation_steps", text + _fewer(time, basis.plan.total_steps))


def _fewer(time: RunTime, total_steps: int) -> str:
    """Return the interval that leaves most of the time to training: a number of at most two digits and zeros."""
    every = _rounded_up(math.ceil(total_steps / max(1, time.most_times(FEW))))
    if every >= total_steps:
        return f"validation_steps=0, at the end alone, would take {time.share(1):.0%}"
    return f"validation_steps={every} would take {time.share(math.ceil(total_steps / every)):.0%}"


def _rounded_up(steps: int) -> int:
    unit = 10 ** max(0, len(str(steps)) - 2)
    return -(-steps // unit) * unit
