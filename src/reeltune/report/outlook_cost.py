"""What a step and the videos take, and how long that is at least: a part of the plan's page."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rich.text import Text

from reeltune.contracts.outlook import Cost, EvaluationOutlook, Outlook, RenderOutlook, Routing, StepBound
from reeltune.report.outlook_layout import Paper, named, table, title, wrapped
from reeltune.report.outlook_words import counted, share, span, tflop

CAUTION = "By the best speed known of each: a real run takes longer."


def routing_lines(outlook: Outlook, paper: Paper) -> list[Text]:
    """Return how many tokens each block sees; nothing without routing."""
    if outlook.routing is None:
        return []
    return [title("Token routing (TREAD)"), *named(_routing(outlook.routing), paper)]


def time_lines(outlook: Outlook, paper: Paper) -> list[Text]:
    """Return the videos, what is measured, the operations and the least times; nothing where none is known."""
    rows = [*_videos(outlook.renders), *_evaluation(outlook.evaluation), *_operations(outlook.cost)]
    if not rows:
        return []
    return [title("Videos and time"), *named(rows, paper), *_bounds(outlook, paper)]


def _routing(routing: Routing) -> Iterator[tuple[str, str]]:
    for part in routing.segments:
        blocks = f"block {part.first}" if part.first == part.last else f"blocks {part.first} to {part.last}"
        seen = share(part.tokens / routing.all_tokens)
        yield blocks, f"{part.tokens:,} of {counted(routing.all_tokens, 'token')} of the largest shape ({seen})"
    yield "saving", f"{share(routing.saving)} of a step's operations"


def _videos(renders: RenderOutlook | None) -> Iterator[tuple[str, str]]:
    if renders is None:
        return
    sizes = ", ".join(f"{width} x {height} px" for width, height in renders.sizes)
    each = f"{counted(renders.videos, 'video')} of {counted(renders.prompts, 'prompt')} each time"
    shape = f"{counted(renders.frames, 'frame')}, {counted(renders.steps, 'step')} of {renders.scheduler}"
    yield "videos", f"{counted(renders.times, 'time')} in the run; {each}"
    yield "", f"{sizes}, {shape}"


def _evaluation(evaluation: EvaluationOutlook | None) -> Iterator[tuple[str, str]]:
    if evaluation is None:
        return
    clips = counted(evaluation.clips, "clip")
    if evaluation.clips < evaluation.held_out:
        clips = f"{evaluation.clips:,} of {counted(evaluation.held_out, 'file')} held out"
    clips += f" of {', '.join(evaluation.datasets)}{', pooled' * evaluation.pooled}"
    yield "held-out loss", f"{counted(evaluation.times, 'time')} in the run; {clips}"
    levels = counted(evaluation.levels, "noise level")
    yield "", f"{levels} each, {counted(evaluation.passes, 'forward pass', 'forward passes')} each time"


def _operations(cost: Cost | None) -> Iterator[tuple[str, str]]:
    if cost is None:
        return
    videos = f", {tflop(cost.render_tflop)} for the videos each time" if cost.render_tflop else ""
    loss = f", {tflop(cost.evaluation_tflop)} for the held-out loss each time" if cost.evaluation_tflop else ""
    yield "operations", f"{tflop(cost.step_tflop)} a step{videos}{loss}"
    if cost.render_share is not None:
        yield "videos' share", f"{share(cost.render_share)} of the run's time"


def _bounds(outlook: Outlook, paper: Paper) -> list[Text]:
    if outlook.cost is None or not outlook.cost.bounds:
        return []
    columns = list(_columns(outlook))
    rows = [
        ["at least, on", *(head for head, _ in columns), ""],
        *([bound.gpu, *(span(seconds(bound)) for _, seconds in columns), ""] for bound in outlook.cost.bounds),
    ]
    return [*table(rows, paper), *wrapped(CAUTION, paper, first="  ", indent=2)]


def _columns(outlook: Outlook) -> Iterator[tuple[str, Callable[[StepBound], float]]]:
    yield "a step", lambda bound: bound.step_s
    if outlook.renders:
        yield "videos each time", lambda bound: bound.renders_s
    if outlook.evaluation:
        yield "held-out loss", lambda bound: bound.evaluation_s
    yield "whole run", lambda bound: bound.run_s
