"""How long the run is, how its learning rate goes, and which noise levels it sees: a part of the plan's page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from reeltune.contracts.outlook import Length, NoiseLevels, Outlook, Rate, RateCurve
from reeltune.report.outlook_layout import GAP, MARGIN, NAMES, Paper, named, table, title
from reeltune.report.outlook_words import counted, passes, rate, share
from reeltune.report.sparkline import sparkline

LEVELS_BETWEEN = ("clean ", " noise")


def course_lines(outlook: Outlook, paper: Paper) -> list[Text]:
    """Return the run's length, the course of its learning rate, and the noise levels."""
    return [
        title("How it is trained"),
        *named(_length(outlook.length), paper),
        *named(_rate_curve(outlook.rates, paper), paper),
        *table(_rate_table(outlook.rates.rates), paper),
        *named(_noise(outlook.noise, paper), paper),
    ]


def _length(length: Length) -> Iterator[tuple[str, str]]:
    yield "steps", f"{length.total_steps:,}, set by {length.ended_by}"
    if length.done:
        left = max(0, length.total_steps - length.done)
        yield "done so far", f"{counted(length.done, 'step')}, saved in a checkpoint; {left:,} are left"
    samples = counted(length.batch_size * length.accumulation, "sample")
    yield (
        "a step",
        f"{samples} (train_batch_size {length.batch_size}, gradient_accumulation_steps {length.accumulation})",
    )
    data = f"{counted(length.samples, 'sample')} ({counted(length.batches_per_epoch, 'batch', 'batches')})"
    yield "epochs", f"{passes(length.epochs)} {'passes over' if length.is_even else 'of'} {data}"
    if length.shares:
        yield "datasets", ", ".join(f"{one.id} {share(one.share)}" for one in length.shares) + " of the steps"
    yield "checkpoints", f"{length.checkpoints:,} over the run"


def _rate_curve(curve: RateCurve, paper: Paper) -> Iterator[tuple[str, str]]:
    yield "learning rate", curve.name
    yield "", sparkline(curve.values, columns=paper.width - NAMES, encoding=paper.encoding)


def _rate_table(rates: Sequence[Rate]) -> list[list[str]]:
    highest = max((one.rate for one in rates), default=0.0)
    # A cosine ends at 1e-20 rather than at 0.
    shown = [rate(one.rate if one.rate > 1e-6 * highest else 0.0) for one in rates]
    columns = (
        ("after", (f"{one.percent} %" for one in rates)),
        ("step", (f"{one.step:,}" for one in rates)),
        ("rate", shown),
    )
    return [[f"  {name}".ljust(NAMES - MARGIN - GAP), *cells, ""] for name, cells in columns]


def _noise(noise: NoiseLevels, paper: Paper) -> Iterator[tuple[str, str]]:
    yield "noise levels", f"{noise.shift}; half are above {noise.median:.2f} (0 is clean, 1 is pure noise)"
    before, after = LEVELS_BETWEEN
    columns = paper.width - NAMES - len(before) - len(after)
    yield "", before + sparkline(noise.density, columns=columns, encoding=paper.encoding) + after
    for name, words in (("drawn from", noise.drawn), ("offsets", noise.offsets), ("loss", noise.loss)):
        if words:
            yield name, words
    yield "video shift", noise.rendered_shift
