"""The table of what is trained and what was left out, and why: in lines for people, and as the last check.

`manifest_records` gives the same rows to files and programs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from reeltune.contracts.clip import ManifestRow, Sample, samples_of
from reeltune.data.frames import source_seconds
from reeltune.data.placement import Rules
from reeltune.errors import DataError


def require_usable(rows: Sequence[ManifestRow]) -> None:
    """Raise DataError with a table of the reasons when not one clip can be trained."""
    if any(row.sample for row in rows):
        return
    table = [f"  {len(group):5}  {kind}" for kind, group in left_out_by_kind(rows).items()]
    raise DataError(
        "\n".join([f"no clip can be trained: all {len(files_of(rows))} were left out", *table, *_left_out(rows, 10)])
    )


def summary(rows: Sequence[ManifestRow]) -> list[str]:
    """Return lines that say what is trained at which size, and what was left out; each dataset where there are more."""
    datasets = by_dataset(rows)
    if len(datasets) == 1:
        return _summary(rows)
    blocks = ((dataset, _summary(own)) for dataset, own in datasets.items())
    return [line for dataset, (head, *lines) in blocks for line in (f"{dataset}: {head}", *lines)]


def rate_notes(rows: Sequence[ManifestRow], rules: Rules) -> list[str]:
    """Return one line for each way in which used clips are brought to their training rate, most frequent first."""
    samples = samples_of(rows)
    notes = Counter(_rate_note(sample, rules) for sample in samples).most_common()
    more = [f"... and {len(notes) - 10} other rates"] if len(notes) > 10 else []
    return [*(f"{_counted(count, samples)}: {note}" for note, count in notes[:10]), *more]


def by_dataset(rows: Sequence[ManifestRow]) -> dict[str, list[ManifestRow]]:
    """Return the rows of each dataset, in the order in which they come first."""
    groups: dict[str, list[ManifestRow]] = {}
    for row in rows:
        groups.setdefault(row.dataset_id, []).append(row)
    return groups


def files_of(rows: Sequence[ManifestRow]) -> dict[tuple[str, str], list[ManifestRow]]:
    """Return the rows of each file, which has one for each of its windows."""
    files: dict[tuple[str, str], list[ManifestRow]] = {}
    for row in rows:
        files.setdefault((row.dataset_id, row.origin), []).append(row)
    return files


def used_files(rows: Sequence[ManifestRow]) -> int:
    """Count the files of which something is trained."""
    return sum(any(row.sample for row in own) for own in files_of(rows).values())


def left_out_by_kind(rows: Sequence[ManifestRow]) -> Mapping[str, Sequence[ManifestRow]]:
    """Group what is left out by the opening of its reason, which is its kind; the most frequent first."""
    kinds: dict[str, list[ManifestRow]] = {}
    for row in rows:
        if row.sample is None:
            kinds.setdefault(row.kind, []).append(row)
    return dict(sorted(kinds.items(), key=lambda item: -len(item[1])))


def _summary(rows: Sequence[ManifestRow]) -> list[str]:
    samples = samples_of(rows)
    buckets = Counter(sample.placement.bucket for sample in samples)
    noun = "bucket" if len(buckets) == 1 else "buckets"
    found, used = len(files_of(rows)), used_files(rows)
    windows = f" as {len(samples)} windows" if _has_windows(samples) else ""
    return [
        f"{_clips(found)}: {used} used{windows} in {len(buckets)} {noun}, {found - used} left out",
        *(f"  {bucket}: {_counted(count, samples)}" for bucket, count in sorted(buckets.items())),
        *_left_out(rows, 20),
    ]


def _rate_note(sample: Sample, rules: Rules) -> str:
    count = sample.placement.bucket.frames
    if sample.info.frames == 1:
        return "a picture, trained as one frame"
    rate = rules.rate_of(sample.info)
    return f"{rate.note}: {count} frames = {source_seconds(sample.info, rate, num_frames=count):.2f} s of source"


def _left_out(rows: Sequence[ManifestRow], most: int) -> list[str]:
    lines = [f"  left out {row.origin}: {row.reason}" for row in rows if row.sample is None]
    return [*lines[:most], f"  ... and {len(lines) - most} more left out"] if len(lines) > most else lines


def _has_windows(samples: Sequence[Sample]) -> bool:
    return any(sample.windows > 1 for sample in samples)


def _counted(count: int, samples: Sequence[Sample]) -> str:
    """Say how many: clips, or windows where some of all samples are one of several windows."""
    return f"{count} window{'s' * (count != 1)}" if _has_windows(samples) else _clips(count)


def _clips(count: int) -> str:
    return "1 clip" if count == 1 else f"{count} clips"
