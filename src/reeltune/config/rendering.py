"""Videos made along the way, to judge the run by."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator

from reeltune.config.option import Section, option

SMALLEST_SIDE = 16
"""Pixels that become one element of the transformer's input, each way."""


def check_size(text: str) -> str:
    """Return `width x height` as it is. Raises ValueError when it is not two whole numbers of at least 16."""
    sides = re.fullmatch(r"\s*([0-9]+)\s*[xX]\s*([0-9]+)\s*", text)
    if sides is None or min(int(side) for side in sides.groups()) < SMALLEST_SIDE:
        raise ValueError(f'width x height is needed, each at least {SMALLEST_SIDE}, such as "832x480"')
    return text


class RenderingOptions(Section):
    validation_prompt: str | None = option(None, "Prompt of the validation video; unset renders none.")
    validation_negative_prompt: str = option("", "What the validation video is steered away from.")
    validation_steps: int = option(
        100,
        "Render every this many optimizer steps, and at the end; 0 renders at the end only.",
        unit="steps",
        ge=0,
        also=("validation_step_interval",),
    )
    validation_resolution: Annotated[str, AfterValidator(check_size)] = option(
        "832x480", "Size of the validation video: width x height.", unit="pixels", example="832x480"
    )
    validation_num_video_frames: int = option(
        81, "Length of the validation video; rounded down to 4k+1.", unit="frames", ge=1
    )
    validation_num_inference_steps: int = option(30, "Denoising steps of a validation video.", ge=1)
    validation_guidance: float = option(
        5.0, "How strongly the prompt is followed; 1 switches guidance off and halves the time.", ge=1
    )
    validation_seed: int | None = option(None, "Noise of the validation video; unset takes seed.", ge=0, lt=2**63)
    validation_flow_shift: float | None = option(
        None, "Shift of the rendering schedule; unset takes the model's own.", gt=0
    )
    ema_validation: Literal["comparison", "ema_only", "none"] = option(
        "comparison", "With use_ema: render both raw and averaged weights, the average alone, or the raw alone."
    )
