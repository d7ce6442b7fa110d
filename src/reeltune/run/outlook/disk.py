"""What is still to be written to disks, in the outlook."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from reeltune.contracts.clip import samples_of
from reeltune.contracts.outlook import DiskNeed
from reeltune.estimate.disk import checkpoint_bytes, latent_entry_bytes, text_entry_bytes
from reeltune.estimate.optimizers import state_bytes
from reeltune.machine.host import free_bytes, nearest_existing
from reeltune.run.outlook.basis import Basis
from reeltune.run.outlook.course import checkpoints_saved
from reeltune.run.rendering_plan import prompts_to_encode

CHARACTERS_PER_TOKEN = 4
"""Of a caption, about."""

TEXT_WIDTH = 4096
"""Taken while the model's size is not known."""


def disk_outlook(basis: Basis) -> tuple[DiskNeed, ...]:
    """Return what is still to be written, by folder."""
    needs = [*_clips(basis), _captions(basis), *_checkpoints(basis)]
    # Once for each disk: measured twice, one disk would look like two.
    free: dict[int, int] = {}
    for _, folder, _ in needs:
        free.setdefault(_disk(folder), free_bytes(folder))
    return tuple(DiskNeed(what, str(folder), max(0, size), free[_disk(folder)]) for what, folder, size in needs)


def _clips(basis: Basis) -> Iterator[tuple[str, Path, int]]:
    geometry = basis.facts.geometry
    for dataset in basis.datasets.clips:
        buckets = [
            sample.placement.bucket for sample in samples_of(basis.manifest.rows) if sample.dataset_id == dataset.id
        ]
        shapes = [geometry.latent_shape(frames=one.frames, height=one.height, width=one.width) for one in buckets]
        folder = Path(dataset.cache_dir_vae).expanduser()
        yield "encoded clips", folder, sum(map(latent_entry_bytes, shapes)) - _present([folder])


def _captions(basis: Basis) -> tuple[str, Path, int]:
    captions = {caption for sample in samples_of(basis.manifest.rows) for caption in sample.captions}
    texts = captions | {"", *prompts_to_encode(basis.config)}
    longest = basis.facts.text_length
    tokens = sum(min(longest, 2 + len(text) // CHARACTERS_PER_TOKEN) for text in texts)
    width = basis.dimensions.text_width if basis.dimensions else TEXT_WIDTH
    folder = Path(basis.datasets.text.cache_dir).expanduser()
    size = text_entry_bytes(tokens, width, value_bytes=basis.value_bytes)
    return "encoded captions", folder, size - _present([folder])


def _checkpoints(basis: Basis) -> Iterator[tuple[str, Path, int]]:
    if basis.trained_parameters is None:
        return
    reporting, training = basis.config.reporting, basis.config.training
    states = state_bytes(training.optimizer)
    one = checkpoint_bytes(basis.trained_parameters, state_bytes=states, averaged=training.use_ema)
    # One more than are kept: the oldest goes when the newest stands.
    kept = min(checkpoints_saved(basis), reporting.checkpoints_total_limit + 1)
    # An earlier run that is not continued is moved aside, and makes no room.
    there = reporting.run_folder.glob("checkpoint-*") if reporting.resume_from_checkpoint else ()
    yield f"{kept} checkpoint{'s' * (kept > 1)}", reporting.run_folder, one * kept - _present(there)


def _disk(folder: Path) -> int:
    return nearest_existing(folder).stat().st_dev


def _present(folders: Iterable[Path]) -> int:
    """Return the bytes of what is in folders already."""
    return sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file())
