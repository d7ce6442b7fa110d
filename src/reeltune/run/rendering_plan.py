"""What the validation videos of a run will be: prompts, sizes, seeds, weights, and what one costs. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from reeltune.config.prompts import BUILT_IN, NamedPrompt, file_safe, load_prompts, parse_prompts, require_distinct
from reeltune.config.rendering import RenderingOptions
from reeltune.config.root import Config
from reeltune.contracts.facts import Facts

MAIN_PROMPT = "validation"
"""The nickname of validation_prompt."""

Shown = Literal["raw", "ema"]


@dataclass(frozen=True)
class Video:
    """One video of each rendering: whose prompt, how large, from which noise, and the name it is filed under."""

    prompt: NamedPrompt
    width: int
    height: int
    seed: int
    name: str


@dataclass(frozen=True)
class RenderingPlan:
    """The videos of each rendering.

    shown: the weights that each video is made with. frames: of the form 4k+1.
    passes: how often the transformer is asked for one video. benchmark: whether the bare base renders them all once.
    """

    videos: tuple[Video, ...]
    shown: tuple[Shown, ...]
    frames: int
    passes: int
    benchmark: bool

    @property
    def renders_per_time(self) -> int:
        """Return how many video files each rendering makes."""
        return len(self.videos) * len(self.shown)


def plan_rendering(config: Config, facts: Facts) -> RenderingPlan:
    """Work out the videos: built-in prompts, the user's, the main one; each in all sizes, with all seeds.

    Raises ConfigError when the user's library cannot be read, or two prompts have one name.
    """
    rendering = config.rendering
    videos = tuple(_videos(config, facts))
    return RenderingPlan(
        videos=videos,
        shown=shown_weights(config),
        frames=facts.geometry.usable_frames(rendering.validation_num_video_frames),
        passes=rendering.validation_num_inference_steps * (2 if rendering.validation_guidance > 1 else 1),
        benchmark=bool(videos) and not rendering.disable_benchmark,
    )


def prompts_of(rendering: RenderingOptions) -> tuple[NamedPrompt, ...]:
    """Return the prompts that are rendered, in order; none with validation_disable."""
    if rendering.validation_disable:
        return ()
    main = rendering.validation_prompt
    prompts = (
        *(BUILT_IN if rendering.validation_prompt_library else ()),
        *_users(rendering.user_prompt_library),
        *([NamedPrompt(MAIN_PROMPT, main)] if main else []),
    )
    require_distinct(prompts)
    return prompts


def prompts_to_encode(config: Config) -> list[str]:
    """Return every text that the validation videos need encoded: none where none is rendered."""
    prompts = prompts_of(config.rendering)
    texts = [prompt.prompt for prompt in prompts]
    return [*dict.fromkeys([*texts, config.rendering.validation_negative_prompt])] if prompts else []


def made_sizes(rendering: RenderingOptions, facts: Facts) -> dict[tuple[int, int], tuple[int, int]]:
    """Return each (width, height) that was asked for with what is made of it: rounded down to what the model takes."""
    return {asked: _made(asked, facts.geometry.side_multiple) for asked in rendering.sizes}


def shown_weights(config: Config) -> tuple[Shown, ...]:
    """Return which weights each video is made with."""
    if not config.average.use_ema:
        return ("raw",)
    choices: dict[str, tuple[Shown, ...]] = {"comparison": ("raw", "ema"), "ema_only": ("ema",), "none": ("raw",)}
    return choices[config.rendering.ema_validation]


def _users(library: str | dict[str, str] | None) -> tuple[NamedPrompt, ...]:
    if not library:
        return ()
    return load_prompts(Path(library).expanduser()) if isinstance(library, str) else parse_prompts(library)


def _videos(config: Config, facts: Facts) -> Iterator[Video]:
    rendering = config.rendering
    sizes = list(dict.fromkeys(made_sizes(rendering, facts).values()))
    first = config.training.seed if rendering.validation_seed is None else rendering.validation_seed
    count = rendering.num_validation_images
    for prompt in prompts_of(rendering):
        for width, height in sizes:
            for index in range(count):
                # A part of the name only where it tells files apart.
                size = f"-{width}x{height}" if len(sizes) > 1 else ""
                number = f"-{index + 1}" if count > 1 else ""
                yield Video(prompt, width, height, first + index, f"{file_safe(prompt.name)}{size}{number}")


def _made(asked: tuple[int, int], multiple: int) -> tuple[int, int]:
    width, height = (max(multiple, side // multiple * multiple) for side in asked)
    return width, height
