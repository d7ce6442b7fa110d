"""A dataset's files become rows, used or left out with the reason. `manifest` shows and stores the rows.

A file gives one row for each window that is trained, or one that says why there is none: n files in, n accounted for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from reeltune.config.datasets import ClipDataset
from reeltune.contracts.clip import ClipInfo, FileRef, ManifestRow, Sample
from reeltune.contracts.progress import Track
from reeltune.contracts.source import Found, Passed, Source
from reeltune.data.caption_filters import Filters
from reeltune.data.captions import CaptionReader, Words
from reeltune.data.inspection import inspect
from reeltune.data.inspectors import HungOrCrashed
from reeltune.data.memory import ClipMemory
from reeltune.data.placement import Rules, place
from reeltune.data.quarantine import BrokenFile, Quarantine
from reeltune.errors import DataError, UnreadableFile
from reeltune.randomness import Draws

MEMORY = "clips.json"
"""In a dataset's cache folder: what was found out about its clips."""

UNREADABLE, NO_CAPTION = "unreadable", "no caption"
"""Open the reason of a file that is left out because it cannot be read, or for want of words."""

Infos = Mapping[FileRef, ClipInfo | UnreadableFile]


def scan(
    dataset: ClipDataset,
    source: Source,
    *,
    rules: Rules,
    draws: Draws,
    filters: Filters,
    track: Track,
) -> tuple[ManifestRow, ...]:
    """Look at every file of a dataset and return its rows, in the order in which the source lists the files.

    Files that the source passes over follow, with a row each that says why.

    track: called as track(files, title, total=, unit=) and iterated in place of files, to show progress.
    Raises DataError for a dataset without a file that could be used, and when more than a tenth of the captions are
    missing.
    """
    found = source.find()
    _require_files(found, dataset)
    reader = CaptionReader(dataset, source, filters=filters)
    # Captions first: they cost little, and a forgotten folder of captions shows before the long look at the clips.
    words = {entry.file: reader.read(entry) for entry in found.entries}
    _check_captions(words, dataset)
    quarantine = Quarantine(dataset.cache_folder)
    listed = {file: broken for file in words if (broken := quarantine.listed(file))}
    infos = _look_at([file for file in words if file not in listed], source, dataset, quarantine, track)
    seen = _Seen(words, infos, listed)
    placing = _Placing(dataset.id, rules, draws)
    rows = (row for file in words for row in placing.rows(file, seen))
    return (*rows, *(_passed(passed, dataset.id) for passed in found.passed))


def _look_at(
    files: Sequence[FileRef], source: Source, dataset: ClipDataset, quarantine: Quarantine, track: Track
) -> Infos:
    """Return what each file holds, or why it cannot be read; what hung or crashed a decoder is put on the list."""
    memory = ClipMemory(dataset.cache_folder / MEMORY)
    try:
        infos = _listing(files, inspect(files, memory=memory, fetch=source.fetch), quarantine)
        shown = track(infos, f"reading {dataset.id}", total=len(files), unit="clips")
        return dict(zip(files, shown, strict=True))
    finally:
        # Ctrl-C in a long look must not make the next one as long.
        memory.save()
        quarantine.save()


def _listing(
    files: Sequence[FileRef], infos: Iterable[ClipInfo | UnreadableFile], quarantine: Quarantine
) -> Iterator[ClipInfo | UnreadableFile]:
    for file, info in zip(files, infos, strict=True):
        if isinstance(info, HungOrCrashed):
            quarantine.add(file, info.reason)
        yield info


@dataclass(frozen=True)
class _Seen:
    """What is known of the files. listed: those that broke before, and are not opened again."""

    words: Mapping[FileRef, Words]
    infos: Infos
    listed: Mapping[FileRef, BrokenFile]

    def unreadable(self, file: FileRef) -> str | None:
        """Return why a file cannot be read; None when it can."""
        if broken := self.listed.get(file):
            again = "`reeltune data quarantine --clear` with the same options has it tried again"
            return f"{broken.reason} (found {broken.when}; {again})"
        info = self.infos[file]
        return info.reason if isinstance(info, UnreadableFile) else None


@dataclass(frozen=True)
class _Placing:
    """How what is known of a file becomes its rows."""

    dataset_id: str
    rules: Rules
    draws: Draws

    def rows(self, file: FileRef, seen: _Seen) -> Iterator[ManifestRow]:
        """Give a row for each window, or one with the reason."""
        outcome = self._outcome(file, seen)
        if isinstance(outcome, str):
            yield ManifestRow(file.path, None, outcome, self.dataset_id, file.url)
            return
        for sample in outcome:
            yield ManifestRow(file.path, sample, "", self.dataset_id, file.url)

    def _outcome(self, file: FileRef, seen: _Seen) -> Sequence[Sample] | str:
        if reason := seen.unreadable(file):
            return f"{UNREADABLE}: {reason}"
        info, words = seen.infos[file], seen.words[file]
        assert isinstance(info, ClipInfo)
        placements = place(info, self.rules, draws=self.draws, name=file.name)
        if isinstance(placements, str):
            return placements
        if words.reason:
            return f"{NO_CAPTION}: {words.reason}"
        windows = len(placements)
        return [
            Sample(self.dataset_id, file, info, placement, words.captions, window, windows)
            for window, placement in enumerate(placements)
        ]


def _passed(passed: Passed, dataset_id: str) -> ManifestRow:
    return ManifestRow(passed.path, None, passed.reason, dataset_id, passed.url)


def _require_files(found: Found, dataset: ClipDataset) -> None:
    if found.entries:
        return
    reasons = [f"{passed.url or passed.path}: {passed.reason}" for passed in found.passed]
    raise DataError(
        "\n  ".join(
            [
                f"dataset {dataset.id}: nothing in {dataset.place} can be used, {len(reasons)} files are left out",
                *_first_five(reasons),
            ]
        )
    )


def _check_captions(words: Mapping[FileRef, Words], dataset: ClipDataset) -> None:
    missing = [one.reason for one in words.values() if one.reason]
    if dataset.allow_missing_captions or 10 * len(missing) <= len(words):
        return
    raise DataError(
        "\n  ".join(
            [
                f"dataset {dataset.id}: {len(missing)} of {len(words)} clips have no caption, more than a tenth; "
                "mend these, choose another caption_strategy, or set allow_missing_captions to true to leave them out",
                # A caption for all is missing in one place only.
                *_first_five(list(dict.fromkeys(missing)), "; `reeltune data captions --all` names them"),
            ]
        )
    )


def _first_five(lines: Sequence[str], rest: str = "") -> list[str]:
    return [*lines[:5], f"... and {len(lines) - 5} more{rest}"] if len(lines) > 5 else [*lines]
