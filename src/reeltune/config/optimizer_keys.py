"""What each optimizer can be told: its library's own names of settings, each with its kind.

Left out is what the run settles itself: the rate, the sign of the objective, and how a step is carried out.
"""

from __future__ import annotations

from collections.abc import Mapping

from reeltune.config.optimizer_kinds import (
    AT_LEAST_0,
    AT_LEAST_1,
    AT_MOST_0,
    BETAS,
    COUNT,
    FROM_1,
    INNER_BETAS,
    POSITIVE,
    SHARE,
    SWITCH,
    THREE_BETAS,
    Kind,
    one_of,
    or_none,
)
from reeltune.config.optimizer_names import OPTIMIZERS

Keys = Mapping[str, Kind]

_DECAY: Keys = {"weight_decay": AT_LEAST_0}
_ADAM: Keys = {"betas": BETAS, "eps": POSITIVE, **_DECAY}
_TORCH_ADAM: Keys = {**_ADAM, "amsgrad": SWITCH}
_DECOUPLED: Keys = {"decoupled_weight_decay": SWITCH}
_OPTIMI: Keys = {**_DECAY, "decouple_lr": SWITCH, "max_lr": POSITIVE, "kahan_sum": SWITCH}
_OPTIMI_ADAM: Keys = {**_OPTIMI, **_ADAM}
_COUPLED: Keys = {"decouple_wd": SWITCH}
_BNB: Keys = {"min_8bit_size": COUNT}
_BNB_ADAM: Keys = {**_ADAM, **_BNB}
_BNB_ADAGRAD: Keys = {**_DECAY, **_BNB, "eps": POSITIVE}
_ADEMAMIX: Keys = {
    **_BNB_ADAM,
    "betas": THREE_BETAS,
    "alpha": AT_LEAST_0,
    "t_alpha": or_none(AT_LEAST_1),
    "t_beta3": or_none(AT_LEAST_1),
}
_SCHEDULE_FREE: Keys = {**_ADAM, "betas": INNER_BETAS, "r": AT_LEAST_0, "weight_lr_power": AT_LEAST_0}
_PRODIGY_SWITCHES = (
    "weight_decay_by_lr d_limiter factored factored_fp32 use_bias_correction use_stableadamw use_schedulefree "
    "use_speed use_cautious use_grams use_adopt use_orthograd use_focus"
)

_BY_RULE: Mapping[str, Keys] = {
    "torch-adam": {**_TORCH_ADAM, **_DECOUPLED},
    "torch-adamw": _TORCH_ADAM,
    "adamw_bf16": _TORCH_ADAM,
    "torch-sgd": {**_DECAY, "momentum": SHARE, "dampening": SHARE, "nesterov": SWITCH},
    "torch-radam": {**_ADAM, **_DECOUPLED},
    "torch-nadam": {**_ADAM, **_DECOUPLED, "momentum_decay": AT_LEAST_0},
    "torch-rmsprop": {**_DECAY, "eps": POSITIVE, "alpha": SHARE, "momentum": SHARE, "centered": SWITCH},
    "torch-adagrad": {**_DECAY, "eps": POSITIVE, "lr_decay": AT_LEAST_0, "initial_accumulator_value": AT_LEAST_0},
    "torch-adadelta": {**_DECAY, "eps": POSITIVE, "rho": SHARE},
    "torch-adafactor": {**_DECAY, "beta2_decay": AT_MOST_0, "d": FROM_1},
    "torch-adamax": _ADAM,
    "torch-asgd": {**_DECAY, "lambd": AT_LEAST_0, "alpha": AT_LEAST_0, "t0": AT_LEAST_0},
    "torch-muon": {
        **_DECAY,
        "momentum": SHARE,
        "nesterov": SWITCH,
        "ns_steps": AT_LEAST_1,
        "adjust_lr_fn": one_of("original", "match_rms_adamw"),
    },
    "optimi-adam": {**_OPTIMI_ADAM, **_COUPLED},
    "optimi-adamw": _OPTIMI_ADAM,
    "optimi-adan": {**_OPTIMI_ADAM, "betas": THREE_BETAS, "adam_wd": SWITCH},
    "optimi-lion": {**_OPTIMI, "betas": BETAS},
    "optimi-radam": {**_OPTIMI_ADAM, **_COUPLED},
    "optimi-ranger": {**_OPTIMI_ADAM, **_COUPLED, "k": AT_LEAST_1, "alpha": SHARE},
    "optimi-sgd": {**_OPTIMI, **_COUPLED, "momentum": SHARE, "dampening": SWITCH, "torch_init": SWITCH},
    "optimi-stableadamw": _OPTIMI_ADAM,
    **dict.fromkeys(("ao-adamw8bit", "ao-adamw4bit", "ao-adamfp8", "ao-adamwfp8"), _ADAM),
    "bnb-adagrad": _BNB_ADAGRAD,
    "bnb-adam": _BNB_ADAM,
    "bnb-adamw": _BNB_ADAM,
    "bnb-lion": {"betas": BETAS, **_DECAY, **_BNB},
    "bnb-ademamix": _ADEMAMIX,
    "prodigy": {
        **_ADAM,
        "betas": INNER_BETAS,
        "beta3": or_none(SHARE),
        "d0": POSITIVE,
        "d_coef": POSITIVE,
        "prodigy_steps": COUNT,
        "schedulefree_c": AT_LEAST_0,
        **dict.fromkeys(_PRODIGY_SWITCHES.split(), SWITCH),
    },
    "adamw_schedulefree": _SCHEDULE_FREE,
    "soap": {
        **_ADAM,
        "shampoo_beta": or_none(SHARE),
        "precondition_frequency": AT_LEAST_1,
        "max_precondition_dim": AT_LEAST_1,
        **dict.fromkeys(("merge_dims", "precondition_1d", "correct_bias", "normalize_gradient"), SWITCH),
    },
}


def _rule_of(name: str) -> str:
    """Return the name without what only changes where its state is, or with which settings it starts."""
    rule = name.partition("+")[0].removesuffix("-paged")
    return rule.removesuffix("8bit") if rule.startswith("bnb-") else rule


KEYS: Mapping[str, Keys] = {name: _BY_RULE[_rule_of(name)] for name in OPTIMIZERS}
"""By the name of each optimizer, the settings that it takes."""
