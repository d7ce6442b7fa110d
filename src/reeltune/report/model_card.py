"""The model card: README.md of a published adapter, for people and, in its head, for the hub.

It is public. What goes in is given by name; whatever looks like a secret is left out all the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

from reeltune.contracts.outcome import ResultKind
from reeltune.report.model_card_loading import loading_lines
from reeltune.secrets import without_secrets

PRIVATE = re.compile(r"(^|_)(token|key|secret|password)s?$|webhook|credential", re.IGNORECASE)
"""Names of settings that no card shows, whoever passes them."""


@dataclass(frozen=True)
class Sampling:
    """How the validation videos were made.

    sampler: as validation_noise_scheduler names it; unipc is the base model's own. flow_shift: None is the model's own.
    """

    prompt: str
    negative_prompt: str
    width: int
    height: int
    frames: int
    fps: float
    steps: int
    guidance: float
    sampler: Literal["unipc", "euler"]
    flow_shift: float | None


@dataclass(frozen=True)
class CardFacts:
    """What a card says. base_model: its name on the hub, None for a place of one's own. settings: name to value.

    prompts: of the validation videos, by what their files' names have of them. kind: of what was
    trained. words: what it is. comfyui: whether there is a file for ComfyUI.
    """

    title: str
    base_model: str | None
    settings: Mapping[str, Any]
    sampling: Sampling
    prompts: Mapping[str, str]
    kind: ResultKind = "lora"
    words: str = "A LoRA adapter"
    comfyui: bool = True


def model_card(facts: CardFacts, *, repo: str, videos: Sequence[str]) -> str:
    """Return the text of README.md. repo: full name. videos: paths in the repository."""
    return without_secrets(
        "\n".join(
            [
                "---",
                _head(facts, videos),
                "---",
                "",
                f"# {facts.title}",
                "",
                f"{facts.words} for {_link(facts.base_model)}, trained with reeltune.",
                "",
                *_gallery(videos),
                "## How to use it",
                "",
                "```python",
                snippet(facts, repo),
                "```",
                "",
                _comfyui(facts),
                "",
                "## Validation videos",
                "",
                *_table(_shown(facts.sampling)),
                "",
                "## Training",
                "",
                *_table(facts.settings),
                "",
            ]
        )
    )


def snippet(facts: CardFacts, repo: str) -> str:
    """Return Python code that makes a video as the validation videos were made, as far as diffusers' parts go."""
    sampling = facts.sampling
    return "\n".join(
        [
            *loading_lines(facts.kind, base=facts.base_model or OWN_BASE, repo=repo),
            *_scheduler(sampling),
            'pipe.to("cuda")',
            "",
            "frames = pipe(",
            f"    prompt={sampling.prompt!r},",
            f"    negative_prompt={sampling.negative_prompt!r},",
            f"    width={sampling.width},",
            f"    height={sampling.height},",
            f"    num_frames={sampling.frames},",
            f"    num_inference_steps={sampling.steps},",
            f"    guidance_scale={sampling.guidance},",
            ").frames[0]",
            f'export_to_video(frames, "video.mp4", fps={sampling.fps:g})',
        ]
    )


OWN_BASE = "path/to/the/base/model"

RELATIONS: Mapping[ResultKind, str] = {
    "lora": "adapter",
    "lycoris": "adapter",
    "lycoris-to-merge": "adapter",
    "full": "finetune",
}
"""What the repository is to its base model, as the hub calls it."""

TAGS: Mapping[ResultKind, tuple[str, ...]] = {
    "lora": ("lora",),
    "lycoris": ("lycoris",),
    "lycoris-to-merge": ("lycoris",),
    "full": (),
}
"""What the hub finds a repository by, beside what all have."""


def _scheduler(sampling: Sampling) -> list[str]:
    """Return the lines that set the pipeline's scheduler; none where the model's own is as it was."""
    if sampling.sampler != "unipc":
        return [f"# The validation videos were made with another sampler, reeltune's {sampling.sampler}."]
    if sampling.flow_shift is None:
        return []
    return [f"pipe.scheduler = pipe.scheduler.from_config(pipe.scheduler.config, flow_shift={sampling.flow_shift})"]


def _head(facts: CardFacts, videos: Sequence[str]) -> str:
    """Return the YAML that the hub reads, made by the hub's own client."""
    from huggingface_hub import ModelCardData

    relation = RELATIONS[facts.kind]
    kind: dict[str, Any] = {"base_model": facts.base_model, "base_model_relation": relation} if facts.base_model else {}
    shown = [{"text": _prompt_of(facts, video), "output": {"url": video}} for video in videos]
    data = ModelCardData(
        library_name="diffusers",
        pipeline_tag="text-to-video",
        tags=["text-to-video", "diffusers", "reeltune", *TAGS[facts.kind]],
        widget=shown or None,
        **kind,
    )
    return data.to_yaml()


def _prompt_of(facts: CardFacts, video: str) -> str:
    """Return what a video shows: the prompt whose name is in its file's name, the longest if there are several."""
    stem = PurePosixPath(video).stem
    named = [name for name in facts.prompts if name in stem]
    return facts.prompts[max(named, key=len)] if named else stem


def _link(base_model: str | None) -> str:
    return f"[{base_model}](https://huggingface.co/{base_model})" if base_model else "a base model of its own"


def _comfyui(facts: CardFacts) -> str:
    if facts.comfyui:
        return "`comfyui/` has the same weights as ComfyUI reads them."
    return "There is no file for ComfyUI, which has no rule for this kind of adapter."


def _gallery(videos: Sequence[str]) -> list[str]:
    lines = [f"- [{PurePosixPath(video).stem}]({video})" for video in videos]
    return ["<Gallery />", "", *lines, ""] if lines else []


def _shown(sampling: Sampling) -> dict[str, Any]:
    return {
        "prompt": sampling.prompt,
        "negative prompt": sampling.negative_prompt,
        "size": f"{sampling.width}x{sampling.height}, {sampling.frames} frames at {sampling.fps:g} fps",
        "steps": sampling.steps,
        "guidance": sampling.guidance,
        "sampler": sampling.sampler,
        "flow shift": "the model's own" if sampling.flow_shift is None else sampling.flow_shift,
    }


def _table(values: Mapping[str, Any]) -> list[str]:
    """Return rows of a Markdown table; texts as they are, all else as JSON."""
    rows = [f"| {name} | {_cell(value)} |" for name, value in values.items() if not PRIVATE.search(name)]
    return ["| | |", "|---|---|", *rows]


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return re.sub(r"\s*\n\s*", " ", text).replace("|", "\\|")
