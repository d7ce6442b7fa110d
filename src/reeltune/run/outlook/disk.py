"""What is still to be written to disks, in the outlook."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from reeltune.contracts.clip import samples_of
from reeltune.contracts.outlook import DiskNeed
from reeltune.estimate.disk import latent_entry_bytes, text_entry_bytes
from reeltune.machine.host import free_bytes, nearest_existing
from reeltune.run.checkpoint_room import checkpoint_room
from reeltune.run.outlook.basis import Basis
from reeltune.run.rendering_plan import prompts_to_encode

CHARACTERS_PER_TOKEN = 4
"""Of a caption, about."""

TEXT_WIDTH = 4096
"""Taken while the model's size is not known."""

Need = tuple[str, Path, int, str]
"""What is written into which folder, its bytes, and the option that names the folder."""


def disk_outlook(basis: Basis) -> tuple[DiskNeed, ...]:
    """Return what is still to be written, by folder."""
    needs = [*_clips(basis), _captions(basis), *_checkpoints(basis)]
    # Once for each disk: measured twice, one disk would look like two.
    free: dict[int, int] = {}
    for _, folder, *_ in needs:
        free.setdefault(_disk(folder), free_bytes(folder))
    return tuple(
        DiskNeed(what, str(folder), max(0, size), free[_disk(folder)], option) for what, folder, size, option in needs
    )


def _clips(basis: Basis) -> Iterator[Need]:
    for dataset in basis.used_datasets:
        buckets = [
            sample.placement.bucket for sample in samples_of(basis.manifest.rows) if sample.dataset_id == dataset.id
        ]
        folder = dataset.cache_folder
        size = sum(latent_entry_bytes(basis.facts.geometry.shape_of(bucket)) for bucket in buckets)
        yield "encoded clips", folder, size - _present(folder), "cache_dir_vae"


def _captions(basis: Basis) -> Need:
    captions = {caption for sample in samples_of(basis.manifest.rows) for caption in sample.captions}
    texts = captions | {"", *prompts_to_encode(basis.config)}
    longest = basis.facts.text_length
    tokens = sum(min(longest, 2 + len(text) // CHARACTERS_PER_TOKEN) for text in texts)
    width = basis.dimensions.text_width if basis.dimensions else TEXT_WIDTH
    folder = basis.datasets.text.cache_folder
    size = text_entry_bytes(tokens, width, value_bytes=basis.value_bytes)
    return "encoded captions", folder, size - _present(folder), "cache_dir"


def _checkpoints(basis: Basis) -> Iterator[Need]:
    if basis.trained_parameters is None:
        return
    room = checkpoint_room(basis.config, weights=basis.trained_parameters, total_steps=basis.plan.total_steps)
    if room.count:
        yield str(room), basis.config.reporting.run_folder, room.size_bytes, "output_dir"


def _disk(folder: Path) -> int:
    return nearest_existing(folder).stat().st_dev


def _present(folder: Path) -> int:
    """Return the bytes of what is in a folder already."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
