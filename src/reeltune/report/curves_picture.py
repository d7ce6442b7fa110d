"""How the curves of a run look. matplotlib is imported where it is used: it takes half a second."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reeltune.report.course import Course, Measured
from reeltune.whole_files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Of datasets. They can be told apart by people who see fewer colours, too (Okabe and Ito)."""

INK, FAINT, GREEN = "#333333", "#9a9a9a", "#009E73"
DASHES = {"raw": "-", "ema": (0, (5, 2))}
MOST_POINTS = 2000
"""More cannot be told apart in a picture so wide."""

DOTS_PER_INCH = 130


def evaluation_picture(course: Course, path: Path, *, weights: str) -> None:
    """Draw the held-out loss over the steps and over the noise levels, and the loss of training beside it.

    weights: by which the best step is told.
    """
    kind = course.kind(weights)
    figure = _figure(12.0, 6.4)
    grid = figure.add_gridspec(2, 2, height_ratios=(3, 2), width_ratios=(3, 2))
    held_out, trained = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[1, 0])
    levels = figure.add_subplot(grid[:, 1])
    means = course.means(kind)
    best = course.best(kind)
    figure.suptitle(_title(course.verdict(kind)), x=0.01, ha="left", fontsize=12, color=INK)
    _draw_held_out(held_out, course, best)
    _draw_training(trained, course)
    last = max([*course.steps[-1:], *means], default=1)
    for axes in (held_out, trained):
        _set_steps(axes, last)
    _draw_levels(levels, course, kind, sorted(means), best)
    _save(figure, path)


def loss_picture(course: Course, path: Path) -> None:
    """Draw the loss of training and the learning rate over the steps."""
    figure = _figure(9.0, 5.2)
    grid = figure.add_gridspec(2, 1, height_ratios=(3, 1))
    loss, rate = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    _draw_training(loss, course)
    loss.set_xlabel("")
    steps = np.asarray(course.steps)
    chosen = _thinned(len(steps))
    rate.plot(steps[chosen], np.asarray(course.rates)[chosen], color=INK, linewidth=1.4)
    rate.ticklabel_format(axis="y", style="sci", scilimits=(-2, 2))
    _label(rate, "Learning rate", "optimizer step", "")
    for axes in (loss, rate):
        _set_steps(axes, int(steps[-1]))
    _save(figure, path)


def running_mean(values: np.ndarray, length: int) -> np.ndarray:
    """Return at each place the mean of the last `length` values, of fewer at the start; only finite ones count."""
    finite = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(finite, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(finite)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - length, 0)
    number = counts[ends] - counts[starts]
    return np.where(number > 0, (sums[ends] - sums[starts]) / np.maximum(number, 1), np.nan)


def _draw_held_out(axes: Axes, course: Course, best: int | None) -> None:
    datasets = list(dict.fromkeys(name for name, _ in course.series))
    kinds = {weights for _, weights in course.series}
    for (name, weights), series in course.series.items():
        error = series[-1].standard_error
        words = [name, weights if len(kinds) > 1 else "", "" if error is None else f"± {error:.2g}"]
        label = " ".join(filter(None, words))
        _draw_series(axes, series, COLORS[datasets.index(name) % len(COLORS)], DASHES.get(weights, "-"), label)
    _set_height(axes, [one for series in course.series.values() for one in series])
    if best is not None:
        _mark(axes, best, is_late=2 * best > max(course.steps[-1:], default=0))
    _label(axes, "Held-out loss, with its standard error", "", "mean squared error")
    axes.legend(frameon=False, fontsize=9, ncols=2 if len(course.series) > 2 else 1, loc="upper right")


def _mark(axes: Axes, best: int, *, is_late: bool) -> None:
    """Name the best step beside a line through it, on the side where there is room."""
    axes.axvline(best, color=GREEN, linewidth=1.2, linestyle=":", zorder=1)
    axes.annotate(
        f"best: step {best}",
        (best, 0),
        xycoords=("data", "axes fraction"),
        xytext=(-4 if is_late else 4, 5),
        textcoords="offset points",
        ha="right" if is_late else "left",
        color=GREEN,
        fontsize=9,
    )


def _draw_series(axes: Axes, series: Sequence[Measured], color: str, dashes: object, label: str) -> None:
    steps = [one.step for one in series]
    losses = np.array([one.loss for one in series])
    errors = np.array([one.standard_error or 0.0 for one in series])
    axes.fill_between(steps, losses - errors, losses + errors, color=color, alpha=0.12, linewidth=0)
    axes.plot(steps, losses, color=color, linestyle=dashes, marker="o", markersize=3.5, linewidth=1.6, label=label)  # pyright: ignore[reportArgumentType]


def _set_height(axes: Axes, measured: Sequence[Measured]) -> None:
    """Leave room for the losses, and for no more of wide errors than that: what changes is to be seen."""
    losses = np.array([one.loss for one in measured if np.isfinite(one.loss)])
    if not len(losses):
        return
    low, high = losses.min(), losses.max()
    span = high - low or abs(high) or 1.0
    widest = max([one.standard_error or 0.0 for one in measured if np.isfinite(one.standard_error or 0.0)], default=0.0)
    room = min(widest, 0.75 * span) + 0.12 * span
    axes.set_ylim(low - room, high + room)


def _draw_training(axes: Axes, course: Course) -> None:
    steps, losses = np.asarray(course.steps), np.asarray(course.losses)
    if len(steps):
        chosen, length = _thinned(len(steps)), max(10, len(steps) // 50)
        axes.plot(steps[chosen], losses[chosen], color=FAINT, linewidth=0.6, alpha=0.6, label="each step")
        mean = running_mean(losses, length)
        axes.plot(steps[chosen], mean[chosen], color=INK, linewidth=1.8, label=f"mean of the last {length}")
        axes.legend(frameon=False, fontsize=9)
    _label(axes, "Training loss: other noise at each step", "optimizer step", "")


def _draw_levels(axes: Axes, course: Course, weights: str, steps: Sequence[int], best: int | None) -> None:
    shown: dict[int, tuple[str, str]] = {}
    for step, word, color in ((steps[:1], "first", FAINT), ([best], "best", GREEN), (steps[-1:], "latest", COLORS[0])):
        for known in (one for one in step if one is not None):
            words = f"{shown[known][0]} and {word}" if known in shown else word
            shown[known] = (words, GREEN if "best" in words else color)
    for step, (words, color) in shown.items():
        sigmas, losses = np.array(course.curve(step, weights)).T
        # The best and the latest are close together: the best is broken and on top, so that both show.
        dashes, order = ((0, (2, 2)), 3) if words == "best" else ("-", 2)
        label = f"{words}: step {step}"
        axes.plot(sigmas, losses, color=color, linestyle=dashes, linewidth=1.9, label=label, zorder=order)
    _label(axes, f"By noise level ({weights} weights)", "noise level sigma: 0 is clean, 1 is noise", "")
    axes.set_xlim(0, 1.02)
    if shown:
        axes.legend(frameon=False, fontsize=9)


def _title(verdict: str) -> str:
    text = verdict[:1].upper() + verdict[1:]
    return "\n".join(textwrap.wrap(text, 125)) or "Held-out loss"


def _label(axes: Axes, title: str, across: str, up: str) -> None:
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.set_xlabel(across, fontsize=9, color=INK)
    axes.set_ylabel(up, fontsize=9, color=INK)
    axes.tick_params(labelsize=8, colors=INK, length=3)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#bbbbbb")


def _set_steps(axes: Axes, last: int) -> None:
    """Let the axis run over all steps, with whole ones named."""
    axes.set_xlim(0, max(last, 1))
    axes.locator_params(axis="x", integer=True)


def _thinned(count: int) -> slice:
    """Return which of so many points are drawn: the last one always."""
    stride = max(1, count // MOST_POINTS)
    return slice((count - 1) % stride, None, stride)


def _figure(width: float, height: float) -> Figure:
    # It tells of fonts that it looks for at its first start.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Without pyplot: that keeps figures for a screen, and is for one thread alone.
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path) -> None:
    with whole_file(path) as draft, draft.open("wb") as file:
        figure.savefig(file, format="png")
