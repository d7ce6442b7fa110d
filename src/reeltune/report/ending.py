"""The last screen of a run: how it ended, where everything is, what to do next."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.filesize import decimal

from reeltune.contracts.checkpoints import BEST, name_of, steps_in
from reeltune.contracts.outcome import Outcome, ResultKind


@dataclass(frozen=True)
class Words:
    """What the files of one kind of training are called, and how each is used. {result}, {folder}: where they are."""

    for_diffusers: str
    use_in_diffusers: str
    for_comfyui: str = "adapter for ComfyUI"
    use_in_comfyui: str = "copy the adapter for ComfyUI to models/loras there"


WORDS: Mapping[ResultKind, Words] = {
    "lora": Words("adapter for diffusers", 'pipeline.load_lora_weights("{folder}")'),
    "lycoris": Words(
        "LyCORIS adapter", 'lycoris.create_lycoris_from_weights(1.0, "{result}", pipeline.transformer)[0].apply_to()'
    ),
    "lycoris-to-merge": Words(
        "LyCORIS adapter", "reeltune export {result} --format merged --base MODEL; no loader knows this kind"
    ),
    "full": Words(
        "model for diffusers",
        'WanTransformer3DModel.from_pretrained("{result}")',
        "model for ComfyUI",
        "copy the model for ComfyUI to models/diffusion_models there",
    ),
}


_RECORDS = (
    ("best checkpoint", BEST),
    ("held-out loss, drawn", "evaluation.png"),
    ("each clip, used or not", "manifest.jsonl"),
    ("losses and events", "events.jsonl"),
)
"""What else a run may leave, by what it is called."""


def last_screen(outcome: Outcome, command: str) -> str:
    """Return what a person should know when the command ends; only what is there is named.

    command: what to type to go on with this run.
    """
    places = _lines(_places(outcome.folder, outcome.result, WORDS[outcome.kind]))
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


def _places(folder: Path, result: Path, words: Words) -> Iterator[tuple[str, str]]:
    if result.exists():
        yield words.for_diffusers, _with_size(result)
    if (result.parent / "pipeline").is_dir():
        yield "the whole pipeline", str(result.parent / "pipeline")
    if comfyui := _newest(folder / "comfyui", "*.safetensors"):
        yield words.for_comfyui, _with_size(comfyui)
    if video := _newest(folder / "validation", "*.mp4"):
        yield "newest video", str(video)
    if steps := steps_in(folder):
        *older, newest = steps
        yield "newest checkpoint", f"{folder / name_of(newest)}" + f" ({len(older)} older)" * bool(older)
    for name, file in _RECORDS:
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
    words, places = (
        WORDS[outcome.kind],
        {"result": outcome.result.as_posix(), "folder": outcome.result.parent.as_posix()},
    )
    if outcome.result.exists():
        yield "use it in diffusers", words.use_in_diffusers.format(**places)
    if _newest(outcome.folder / "comfyui", "*.safetensors"):
        yield "use it in ComfyUI", words.use_in_comfyui


def _without(command: str, option: str) -> str:
    """Return a command without the words that give one option."""
    return re.sub(rf" (--)?{option}[= ]\S+", "", command)


def _with_size(path: Path) -> str:
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return f"{path} ({decimal(sum(file.stat().st_size for file in files))})"


def _newest(folder: Path, pattern: str) -> Path | None:
    """Return the file that was written last. Hidden ones are drafts: they may be cut short."""
    paths = (path for path in folder.glob(pattern) if not path.name.startswith("."))
    return max(paths, key=lambda path: (path.stat().st_mtime, path.name), default=None)
