"""The model card: README.md of a published adapter, for people and, in its head, for the hub.

It is public. What goes in is given by name; whatever looks like a secret is left out all the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal

from reeltune.report.background import without_secrets

PRIVATE = re.compile(r"(^|_)(token|key|secret|password)s?$|webhook|credential", re.IGNORECASE)
"""Names of settings that no card shows, whoever passes them."""


@dataclass(frozen=True)
class Sampling:
    """How the validation videos were made.

    scheduler: diffusers' name of its class. scheduler_settings: what differs from the base model's own configuration.
    """

    prompt: str
    negative_prompt: str
    width: int
    height: int
    frames: int
    fps: float
    steps: int
    guidance: float
    scheduler: str
    scheduler_settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CardFacts:
    """What a card says. base_model: its name on the hub, None for a folder of one's own. settings: name to value.

    prompts: of the validation videos, by the names that are in the names of their files.
    license: of the adapter, by the hub's short names; None says nothing.
    """

    title: str
    base_model: str | None
    adapter: Literal["lora", "lycoris"]
    settings: Mapping[str, Any]
    sampling: Sampling
    prompts: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    license: str | None = None


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
                f"{NOUNS[facts.adapter]} for {_link(facts.base_model)}, trained with reeltune.",
                "",
                *_gallery(videos),
                "## How to use it",
                "",
                "```python",
                snippet(facts, repo),
                "```",
                "",
                "`comfyui/` has the same weights as ComfyUI reads them.",
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
    """Return Python code that makes a video as the validation videos were made."""
    sampling = facts.sampling
    extra = "".join(f", {name}={value!r}" for name, value in sampling.scheduler_settings.items())
    return "\n".join(
        [
            "import torch",
            f"from diffusers import DiffusionPipeline, {sampling.scheduler}",
            "from diffusers.utils import export_to_video",
            *IMPORTS[facts.adapter],
            "",
            f"pipe = DiffusionPipeline.from_pretrained({facts.base_model or OWN_BASE!r}, dtype=torch.bfloat16)",
            f"pipe.scheduler = {sampling.scheduler}.from_config(pipe.scheduler.config{extra})",
            *(line.format(repo=repo) for line in LOADING[facts.adapter]),
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

NOUNS: Mapping[str, str] = {"lora": "A LoRA adapter", "lycoris": "A LyCORIS adapter"}

IMPORTS: Mapping[str, tuple[str, ...]] = {
    "lora": (),
    "lycoris": ("from huggingface_hub import hf_hub_download", "from lycoris import create_lycoris_from_weights"),
}

LOADING: Mapping[str, tuple[str, ...]] = {
    "lora": ('pipe.load_lora_weights("{repo}", weight_name="pytorch_lora_weights.safetensors")',),
    "lycoris": (
        'file = hf_hub_download("{repo}", "pytorch_lora_weights.safetensors")',
        "adapter, _ = create_lycoris_from_weights(1.0, file, pipe.transformer)",
        "adapter.merge_to()",
    ),
}


def _head(facts: CardFacts, videos: Sequence[str]) -> str:
    """Return the YAML that the hub reads, made by the hub's own client."""
    from huggingface_hub import ModelCardData

    kind: dict[str, Any] = (
        {"base_model": facts.base_model, "base_model_relation": "adapter"} if facts.base_model else {}
    )
    shown = [{"text": _prompt_of(facts, video), "output": {"url": video}} for video in videos]
    data = ModelCardData(
        library_name="diffusers",
        pipeline_tag="text-to-video",
        tags=list(dict.fromkeys(["text-to-video", "diffusers", "reeltune", facts.adapter, *facts.tags])),
        license=facts.license,
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
        "scheduler": sampling.scheduler,
        **sampling.scheduler_settings,
    }


def _table(values: Mapping[str, Any]) -> list[str]:
    """Return rows of a Markdown table; texts as they are, all else as JSON."""
    rows = [f"| {name} | {_cell(value)} |" for name, value in values.items() if not PRIVATE.search(name)]
    return ["| | |", "|---|---|", *rows]


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return re.sub(r"\s*\n\s*", " ", text).replace("|", "\\|")
