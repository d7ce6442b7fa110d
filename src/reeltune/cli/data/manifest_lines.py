"""The manifest as a page: each dataset with its shapes, its rates, and what is left out and why."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rich.text import Text

from reeltune.cli.data.page import heading, sentence, some
from reeltune.config.datasets import ClipDataset
from reeltune.config.load import Loaded
from reeltune.contracts.clip import Bucket, Manifest, ManifestRow, Sample, samples_of
from reeltune.data.manifest import by_dataset, files_of, left_out_by_kind, rate_notes, used_files
from reeltune.families import family_facts
from reeltune.report.outlook_layout import Paper, table
from reeltune.report.outlook_words import counted
from reeltune.run.rules import rules_of

EXAMPLES = 3
"""Files that are named for each reason."""


def manifest_lines(loaded: Loaded, manifest: Manifest, paper: Paper, *, name_all: bool) -> list[Text]:
    """Return the page. name_all: whether every file that is left out is named."""
    facts = family_facts(loaded.config.model)
    lines: list[Text] = []
    for dataset, rows in _parts(loaded, manifest):
        rules = rules_of(dataset, loaded.config, facts)
        lines += [
            *heading(f"{dataset.id}, in {dataset.place}", paper),
            *sentence(_counts(rows, dataset), paper),
            *_shapes(samples_of(rows), paper),
            *(line for note in rate_notes(rows, rules) for line in sentence(note, paper)),
            *_left_out(rows, paper, most=len(rows) if name_all else EXAMPLES),
            Text(),
        ]
    nothing = [] if samples_of(manifest.trained) else sentence("Nothing can be trained.", paper, depth=0)
    return [*lines, *sentence(_total(manifest.rows), paper, depth=0), *nothing]


def _parts(loaded: Loaded, manifest: Manifest) -> Iterator[tuple[ClipDataset, list[ManifestRow]]]:
    """Yield each dataset with its rows; what is trained of it and what is held out of it one after the other."""
    trained, held_out = by_dataset(manifest.trained), by_dataset(manifest.held_out)
    for dataset in loaded.datasets.clips:
        for own in (trained, held_out):
            if dataset.id in own:
                yield dataset, own[dataset.id]


def _counts(rows: Sequence[ManifestRow], dataset: ClipDataset) -> str:
    found, used = len(files_of(rows)), used_files(rows)
    windows = len(samples_of(rows))
    several = f" as {counted(windows, 'window')}" if windows > used else ""
    return f"{counted(found, 'file')}: {used:,} used{several} ({_use(rows, dataset)}), {found - used:,} left out"


def _use(rows: Sequence[ManifestRow], dataset: ClipDataset) -> str:
    if dataset.dataset_type == "eval" or any(row.held_out for row in rows):
        return "held out and measured"
    return "once an epoch" if dataset.times == 1 else f"{dataset.times} times an epoch"


def _shapes(samples: Sequence[Sample], paper: Paper) -> list[Text]:
    if not samples:
        return []
    buckets: dict[Bucket, list[Sample]] = {}
    for sample in samples:
        buckets.setdefault(sample.placement.bucket, []).append(sample)
    head = ("shape", "samples", "of the source", "")
    return table([head, *(_shape(bucket, buckets[bucket]) for bucket in sorted(buckets))], paper)


def _shape(bucket: Bucket, samples: Sequence[Sample]) -> tuple[str, str, str, str]:
    shape = f"{bucket.width} x {bucket.height} px x {counted(bucket.frames, 'frame')}"
    return shape, f"{len(samples):,}", f"{_seconds(samples):,.1f} s", ""


def _seconds(samples: Sequence[Sample]) -> float:
    return math.fsum(end - start for start, end in (sample.span_s for sample in samples))


def _left_out(rows: Sequence[ManifestRow], paper: Paper, *, most: int) -> Iterator[Text]:
    for kind, group in left_out_by_kind(rows).items():
        yield from sentence(f"{len(group):,} left out: {kind}", paper)
        named = [f"{row.origin}: {row.why}" for row in group]
        for line in some(named, most, more="--left-out names them"):
            yield from sentence(line, paper, depth=2)


def _total(rows: Sequence[ManifestRow]) -> str:
    samples, found, used = samples_of(rows), len(files_of(rows)), used_files(rows)
    spread = f"{counted(len(samples), 'sample')}, {_seconds(samples):,.1f} s of the source"
    return f"In all: {counted(found, 'file')}, {used:,} used, {found - used:,} left out; {spread}."
