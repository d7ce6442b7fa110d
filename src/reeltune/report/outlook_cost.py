"""What a step and the videos take, and how long that is at least: a part of the plan's page."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from reeltune.contracts.outlook import Cost, Outlook, RenderOutlook, Routing
from reeltune.report.outlook_layout import Paper, named, table, title, wrapped
from reeltune.report.outlook_words import counted, share, span, tflop

CAUTION = "By the best speed known of each: a real run takes longer."


def routing_lines(outlook: Outlook, paper: Paper) -> list[Text]:
    """Return how many tokens each block sees; nothing without routing."""
    if outlook.routing is None:
        return []
    return [title("Token routing (TREAD)"), *named(_routing(outlook.routing), paper)]


def time_lines(outlook: Outlook, paper: Paper) -> list[Text]:
    """Return the videos, the operations and the least times; nothing where neither is known."""
    if outlook.renders is None and outlook.cost is None:
        return []
    rows = [*_videos(outlook.renders), *_operations(outlook.cost)]
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


def _operations(cost: Cost | None) -> Iterator[tuple[str, str]]:
    if cost is None:
        return
    videos = f", {tflop(cost.render_tflop)} for the videos each time" if cost.render_tflop else ""
    yield "operations", f"{tflop(cost.step_tflop)} a step{videos}"
    if cost.render_share is not None:
        yield "videos' share", f"{share(cost.render_share)} of the run's time"


def _bounds(outlook: Outlook, paper: Paper) -> list[Text]:
    cost, renders = outlook.cost, outlook.renders
    if cost is None or not cost.bounds:
        return []
    times = renders.times if renders else 0
    head = ["at least, on", "a step", *["videos each time"] * bool(times), "whole run", ""]
    rows = [
        [
            bound.gpu,
            span(bound.step_s),
            *[span(bound.renders_s)] * bool(times),
            span(outlook.length.total_steps * bound.step_s + times * bound.renders_s),
            "",
        ]
        for bound in cost.bounds
    ]
    return [*table([head, *rows], paper), *wrapped(CAUTION, paper, first="  ", indent=2)]
