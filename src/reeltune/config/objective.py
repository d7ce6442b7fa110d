"""What is learned from each sample: how often which noise level is trained, and how an answer is judged."""

from __future__ import annotations

from typing import Literal

from reeltune.config.option import Section, option


class ObjectiveOptions(Section):
    flow_schedule_shift: float | None = option(
        None, "Push training toward high noise (above 1) or low noise (below 1); unset or 0: no shift.", ge=0, example=3
    )
    flow_schedule_auto_shift: bool = option(
        False, "Let the shift follow the frame size: more noise for larger frames; wins over flow_schedule_shift."
    )
    flow_sigmoid_scale: float = option(
        1.0, "Spread of the normal variable whose sigmoid is the noise level of a sample.", gt=0
    )
    flow_sigmoid_mean: float = option(
        0.0, "Middle of that normal variable: above 0 for more noise, below for less (the logit-normal density)."
    )
    flow_use_uniform_schedule: bool = option(
        False, "Draw every noise level equally often, instead of the sigmoid of a normal variable."
    )
    flow_use_beta_schedule: bool = option(False, "Draw noise levels from a beta distribution instead.")
    flow_beta_schedule_alpha: float = option(
        2.0, "First parameter of the beta distribution: larger, with the other as it is, for more noise.", gt=0
    )
    flow_beta_schedule_beta: float = option(
        2.0, "Second parameter of the beta distribution: larger, with the other as it is, for less noise.", gt=0
    )
    flow_stratified_sampling: bool = option(
        False,
        "Spread the noise levels of neighbouring samples evenly over their density, instead of drawing each alone: the "
        "same levels in the long run, and a calmer loss.",
    )
    loss_type: Literal["l2", "huber", "smooth_l1"] = option(
        "l2",
        "How the error of an answer counts: l2 = its square; huber and smooth_l1 = the square of small errors and the "
        "plain size of large ones. The loss on held-out clips stays the square.",
    )
    huber_c: float = option(
        0.1, "Size of an error from which huber and smooth_l1 stop squaring, in units of the latents.", gt=0, le=1
    )
    huber_schedule: Literal["snr", "exponential", "constant"] = option(
        "snr",
        "constant = huber_c at every noise level; exponential, snr = 1 without noise, down to huber_c at pure noise.",
    )
    loss_weighting: Literal["none", "sigma_sqrt", "cosmap"] = option(
        "none",
        "What a sample's loss is multiplied by, by its noise level s: none = 1; sigma_sqrt = 1/s^2, for details; "
        "cosmap = 2/(pi(1-2s+2s^2)), for the middle. The loss on held-out clips is not weighted.",
    )
    masked_loss_probability: float = option(
        1.0, "Share of the samples with a mask whose loss is masked; the others are trained as a whole.", ge=0, le=1
    )
