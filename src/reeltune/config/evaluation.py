"""The stable loss on clips that are held out of training."""

from __future__ import annotations

from typing import Literal

from reeltune.config.option import Section, option


class EvaluationOptions(Section):
    eval_steps_interval: int = option(
        0,
        "Measure the loss on held-out clips before the first step, every this many steps and at the end; 0 never does.",
        unit="steps",
        ge=0,
    )
    eval_timesteps: int = option(
        28, "Noise levels at which each held-out clip is measured, evenly spread over the schedule.", ge=1
    )
    num_eval_images: int = option(
        4, "Held-out clips or pictures that are measured of each dataset; the first in order.", ge=1
    )
    eval_split: float = option(
        0.0,
        "Share of the files of each trained dataset that is held out and measured, about: a file's name decides, so a "
        "held-out file stays so. At least one file, never all: with few files it may be another one when files come or "
        "go. Regularisation data is not split. With it, eval_steps_interval is needed too.",
        ge=0,
        lt=1,
        example=0.05,
    )
    eval_dataset_pooling: bool = option(False, "Measure all held-out clips as one dataset, called pooled.")
    eval_dataset_id: str | None = option(
        None,
        "Measure this dataset alone, one of type eval, or with eval_split a trained one; unset measures all.",
    )
    evaluation_type: Literal["none", "clip"] = option(
        "none", "Accepted for old files: scores by CLIP say nothing about videos, and are not computed."
    )
