"""What a plan says of the clips that are held out: how many, how many of them are measured, and which are trained too.

No torch.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence

from reeltune.config.datasets import Datasets
from reeltune.config.root import Config
from reeltune.contracts.clip import FileRef, Manifest, ManifestRow, samples_of
from reeltune.contracts.notes import Note
from reeltune.data.hold_out import parted_by_lot
from reeltune.data.manifest import by_dataset, used_files
from reeltune.errors import DataError, listed
from reeltune.run.held_out import is_split

SAMPLED_BYTES = 1 << 16
"""Read of a file at its start, in the middle and at its end. Files of one size that agree there count as copies."""

MOST_NAMED = 10


def held_out_notes(config: Config, datasets: Datasets, manifest: Manifest) -> list[Note]:
    """Return every note on what is held out.

    Raises DataError, with strict, where a clip that is measured is trained too.
    """
    copies = trained_too(manifest)
    if copies and config.reporting.strict:
        raise DataError(listed("strict is true and clips that are measured are trained too", _named(copies)))
    return [*_split_notes(config, datasets, manifest), *_copy_notes(copies)]


def trained_too(manifest: Manifest) -> dict[str, str]:
    """Return the files that are measured and trained, by where they are: the trained file with the same bytes.

    Files are compared where their bytes are on this machine, others by their addresses; only those of equal size are
    opened.
    """
    measured = {sample.file.origin: sample.file for sample in samples_of(manifest.held_out)}
    sizes = {file.size_bytes for file in measured.values()}
    by_size: dict[int, dict[str, FileRef]] = {}
    for sample in samples_of(manifest.trained):
        if sample.file.size_bytes in sizes:
            by_size.setdefault(sample.file.size_bytes, {})[sample.file.origin] = sample.file
    found = ((file.origin, _twin(file, by_size.get(file.size_bytes, {}))) for file in measured.values())
    return {origin: twin for origin, twin in found if twin}


def _twin(file: FileRef, others: dict[str, FileRef]) -> str:
    """Return where the same clip is among files of the same size; empty where it is not."""
    for other in others.values():
        if _identity(other) == _identity(file) or (_look(file) and _look(file) == _look(other)):
            return other.origin
    return ""


def _identity(file: FileRef) -> str:
    return file.url or os.path.realpath(file.path)


def _look(file: FileRef) -> str:
    """Return a fingerprint of some of a file's bytes; empty where they are not on this machine."""
    try:
        with file.path.open("rb") as stream:
            digest = hashlib.blake2b(digest_size=16)
            for start in (0, max(0, file.size_bytes // 2), max(0, file.size_bytes - SAMPLED_BYTES)):
                stream.seek(start)
                digest.update(stream.read(SAMPLED_BYTES))
            return digest.hexdigest()
    except OSError:
        return ""


def _named(copies: dict[str, str]) -> list[str]:
    lines = [one if one == twin else f"{one}, which is {twin}" for one, twin in copies.items()]
    more = len(lines) - MOST_NAMED
    return [*lines[:MOST_NAMED], *([f"... and {more} more"] if more > 0 else [])]


def _copy_notes(copies: dict[str, str]) -> Iterator[Note]:
    if copies:
        text = (
            f"{_files(len(copies))} measured and trained too, so the held-out loss falls even where nothing general is "
            f"learned: {'; '.join(_named(copies))}; take them out of one of the two"
        )
        yield Note("trap", "held-out clips", text)


def _files(count: int) -> str:
    return "1 file is" if count == 1 else f"{count} files are"


def _split_notes(config: Config, datasets: Datasets, manifest: Manifest) -> Iterator[Note]:
    trained, held_out = by_dataset(manifest.trained), by_dataset(manifest.held_out)
    limit = config.evaluation.num_eval_images
    for dataset in datasets.trained:
        if is_split(dataset, config.evaluation):
            apart, rest = (rows.get(dataset.id, []) for rows in (held_out, trained))
            lasts = parted_by_lot(_names(apart), _names(rest), config.evaluation.eval_split)
            yield _split_note(dataset.id, len(apart), used_files(rest), limit, lasts=lasts)


def _names(rows: Sequence[ManifestRow]) -> set[str]:
    return {sample.file.name for sample in samples_of(rows)}


def _split_note(name: str, apart: int, trained: int, limit: int, *, lasts: bool) -> Note:
    if not apart:
        return Note("trap", "eval_split", f"nothing of {name} is held out: {trained} of its files can be used")
    which = "always the same ones" if lasts else "and with so few files another one may be when files come or go"
    text = f"{apart} of {apart + trained} files of {name} are held out and not trained, {which}"
    if apart <= limit:
        return Note("fact", "eval_split", text)
    short = f"; num_eval_images lets only {limit} of them be measured: set it to {apart}, or eval_split lower"
    return Note("trap", "eval_split", text + short)
