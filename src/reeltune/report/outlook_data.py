"""What becomes of the files, and in which shapes they are trained: a part of the plan's page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from reeltune.contracts.outlook import BucketOutlook, DatasetOutlook, Outlook
from reeltune.report.outlook_layout import Paper, table, title, wrapped
from reeltune.report.outlook_words import amount, counted

INDENT = 4
HANG = 6


def data_lines(outlook: Outlook, paper: Paper) -> list[Text]:
    """Return each dataset with what is used and what is left out, and the shapes that are trained."""
    datasets = [line for dataset in outlook.datasets for line in _dataset(dataset, paper)]
    return [title("The data"), *datasets, *_buckets(outlook.buckets, paper)]


def _dataset(dataset: DatasetOutlook, paper: Paper) -> Iterator[Text]:
    yield from wrapped(f"{dataset.id}, in {dataset.folder}", paper, first="  ", indent=INDENT)
    for sentence in _sentences(dataset):
        yield from wrapped(sentence, paper, first=" " * INDENT, indent=HANG)


def _sentences(dataset: DatasetOutlook) -> Iterator[str]:
    windows = f" as {counted(dataset.windows, 'window')}" if dataset.windows > dataset.used else ""
    captions = counted(dataset.captions, "caption")
    files = f"{counted(dataset.found, 'file')} found, {dataset.used:,} used{windows}, {captions}"
    yield f"{files}; {_use(dataset)}"
    for left in dataset.left_out:
        one = f" ({left.example})" if left.count == 1 else f" (such as {left.example})"
        yield f"{left.count:,} left out: {left.reason}" + one * bool(left.example)
    yield from dataset.rates


def _use(dataset: DatasetOutlook) -> str:
    if dataset.held_out:
        return "held out: the loss is measured on them, nothing is learned"
    times = dataset.repeats + 1
    return f"each trained {'once' if times == 1 else f'{times} times'} an epoch (repeats {dataset.repeats})"


def _buckets(buckets: Sequence[BucketOutlook], paper: Paper) -> list[Text]:
    if not buckets:
        return []
    head = ("shape", "samples an epoch", "batches", "tokens a sample", "")
    rows = [
        (
            f"{one.width} x {one.height} px x {counted(one.frames, 'frame')}",
            amount(one.samples),
            amount(one.batches),
            f"{one.tokens:,}",
            "",
        )
        for one in buckets
    ]
    return table([head, *rows], paper)
