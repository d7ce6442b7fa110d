"""The last screen of a run: how it ended, where everything is, what to do next."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from rich.filesize import decimal

from reeltune.contracts.checkpoints import name_of, steps_in
from reeltune.contracts.outcome import Outcome


def last_screen(outcome: Outcome, command: str) -> str:
    """Return what a person should know when the command ends; only what is there is named.

    command: what to type to go on with this run.
    """
    places = _lines(_places(outcome.folder, outcome.result))
    return "\n".join(["", _ending(outcome), *places, "", "Next:", *_lines(_next_steps(outcome, command))])


def _lines(named: Iterator[tuple[str, str]]) -> list[str]:
    return [f"  {name + ':':<24}{text}" for name, text in named]


def _ending(outcome: Outcome) -> str:
    steps = f"{outcome.total_steps} step{'s' * (outcome.total_steps != 1)}"
    if outcome.nothing_to_do:
        done = "the one step is done" if outcome.total_steps == 1 else f"all {steps} are done"
        return f"Nothing to do: {done}."
    if outcome.stopped:
        return f"Stopped on request after step {outcome.step} of {outcome.total_steps}; everything is saved."
    return f"Finished: {steps}."


def _places(folder: Path, result: Path) -> Iterator[tuple[str, str]]:
    if result.exists():
        yield "adapter for diffusers", _with_size(result)
    if comfyui := _newest(folder / "comfyui", "*.safetensors"):
        yield "adapter for ComfyUI", _with_size(comfyui)
    if video := _newest(folder / "validation", "*.mp4"):
        yield "newest video", str(video)
    if steps := steps_in(folder):
        *older, newest = steps
        yield "newest checkpoint", f"{folder / name_of(newest)}" + f" ({len(older)} older)" * bool(older)
    for name, file in (("each clip, used or not", "manifest.jsonl"), ("losses and events", "events.jsonl")):
        if (folder / file).exists():
            yield name, str(folder / file)


def _next_steps(outcome: Outcome, command: str) -> Iterator[tuple[str, str]]:
    if _newest(outcome.folder / "validation", "*.mp4"):
        yield "look", "watch the video"
    if outcome.stopped:
        yield "go on", command
    else:
        length = outcome.length or outcome.total_steps
        yield "train on", f"{_without(command, outcome.length_option)} {outcome.length_option}={2 * length}"
    if outcome.result.exists():
        yield "use it in diffusers", f'pipeline.load_lora_weights("{outcome.result.parent.as_posix()}")'
    if _newest(outcome.folder / "comfyui", "*.safetensors"):
        yield "use it in ComfyUI", "copy the adapter for ComfyUI to models/loras there"


def _without(command: str, option: str) -> str:
    """Return a command without the words that give one option."""
    return re.sub(rf" (--)?{option}[= ]\S+", "", command)


def _with_size(path: Path) -> str:
    return f"{path} ({decimal(path.stat().st_size)})"


def _newest(folder: Path, pattern: str) -> Path | None:
    """Return the file that was written last. Hidden ones are drafts: they may be cut short."""
    paths = (path for path in folder.glob(pattern) if not path.name.startswith("."))
    return max(paths, key=lambda path: (path.stat().st_mtime, path.name), default=None)
