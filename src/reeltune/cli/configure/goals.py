"""Values that suit what is to be learnt, each with its reason in words for the user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reeltune.cli.configure.cards import LARGE, SMALL

RATE_FACTOR: Mapping[str, float] = {SMALL: 1.0, LARGE: 0.5}
"""What a goal's learning rate is multiplied by: the wider model moves more at the same rate."""

LION_FACTOR = 0.2
"""Lion's steps all have full length, so it wants a rate several times below AdamW's."""


@dataclass(frozen=True)
class Goal:
    """What is to be learnt, and the values that suit it. whys: the reason of each value, by option.

    steps_per_clip: at batch size 1. most_resolution: above it, frames are worth more than pixels.
    """

    title: str
    lora_rank: int
    learning_rate: float
    flow_schedule_shift: float
    caption_dropout_probability: float
    steps_per_clip: int
    whys: Mapping[str, str]
    most_resolution: int = 10_000


GOALS: Mapping[str, Goal] = {
    "character": Goal(
        "a person, animal or figure that is to be recognised",
        lora_rank=32,
        learning_rate=1e-4,
        flow_schedule_shift=3.0,
        caption_dropout_probability=0.05,
        steps_per_clip=100,
        whys={
            "lora_rank": "room for one face from all sides",
            "learning_rate": "the usual rate of AdamW with alpha = rank",
            "flow_schedule_shift": "as the model was trained: shape at high noise, features in the middle",
            "caption_dropout_probability": "low, so that the name in the captions is bound to the looks",
        },
    ),
    "style": Goal(
        "how everything looks: drawing, colours, light, film",
        lora_rank=16,
        learning_rate=1e-4,
        flow_schedule_shift=2.0,
        caption_dropout_probability=0.15,
        steps_per_clip=60,
        whys={
            "lora_rank": "a look is the same everywhere; little room learns it without learning the scenes by heart",
            "learning_rate": "the usual rate of AdamW with alpha = rank",
            "flow_schedule_shift": "below the model's own 3: strokes, grain and colours are settled at lower noise",
            "caption_dropout_probability": "higher, so that the look comes without being asked for",
        },
    ),
    "motion": Goal(
        "a movement, of a body or of the camera",
        lora_rank=32,
        learning_rate=7e-5,
        flow_schedule_shift=5.0,
        caption_dropout_probability=0.1,
        steps_per_clip=120,
        whys={
            "lora_rank": "movement joins space and time, which takes more room than a look",
            "learning_rate": "slower, over more steps: motion is harder than looks, and breaks into flicker sooner",
            "flow_schedule_shift": "movement is decided at high noise, so most steps are spent there",
            "caption_dropout_probability": "the usual share, so that guidance works afterwards",
        },
        most_resolution=480,
    ),
    "concept": Goal(
        "a thing, a place, an effect, or anything else",
        lora_rank=16,
        learning_rate=1e-4,
        flow_schedule_shift=3.0,
        caption_dropout_probability=0.1,
        steps_per_clip=80,
        whys={
            "lora_rank": "one idea takes little room, and less of what the model knows is lost",
            "learning_rate": "the usual rate of AdamW with alpha = rank",
            "flow_schedule_shift": "as the model was trained",
            "caption_dropout_probability": "the usual share, so that guidance works afterwards",
        },
    ),
}

SAMPLES_AT_LEAST, SAMPLES_AT_MOST = 600, 8000
"""Clips that go through the model in a whole run: too few teach nothing, and ever more clips need no more passes."""
