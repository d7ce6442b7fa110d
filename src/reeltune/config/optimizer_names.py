"""The names of the optimizers, and the extra that each needs. `train/optimizers.py` makes them; no torch here."""

from __future__ import annotations

from collections.abc import Mapping

_TORCH = "adam adamw sgd radam nadam rmsprop adagrad adadelta adafactor adamax asgd"
_OPTIMI = "adam adamw adan lion radam ranger sgd stableadamw"
_BNB = "adamw adamw-paged adamw8bit adamw8bit-paged lion lion-paged lion8bit lion8bit-paged"

OPTIMIZERS: Mapping[str, str | None] = {
    **{f"torch-{name}": None for name in _TORCH.split()},
    **{f"optimi-{name}": None for name in _OPTIMI.split()},
    **{f"bnb-{name}": "bnb" for name in _BNB.split()},
}
"""Each name, and the extra whose package it needs: None for those that work out of the box."""


def _nearest(name: str) -> str:
    return f"not available yet; {name} is the nearest that is"


NOT_YET: Mapping[str, str] = {
    "adamw_bf16": "not available; trained weights are float32 here, and optimi-adamw is the nearest for them",
    "adamw_schedulefree": _nearest("optimi-adamw"),
    "adamw_schedulefree+aggressive": _nearest("optimi-adamw"),
    "adamw_schedulefree+no_kahan": _nearest("optimi-adamw"),
    "soap": _nearest("optimi-adamw"),
    "prodigy": _nearest("optimi-adamw"),
    "ao-adamw8bit": _nearest("bnb-adamw8bit"),
    "ao-adamw4bit": _nearest("bnb-adamw8bit"),
    "ao-adamfp8": _nearest("bnb-adamw8bit"),
    "ao-adamwfp8": _nearest("bnb-adamw8bit"),
    "bnb-adagrad": _nearest("torch-adagrad"),
    "bnb-adagrad8bit": _nearest("torch-adagrad"),
    "bnb-adam": _nearest("torch-adam"),
    "bnb-adam8bit": _nearest("bnb-adamw8bit"),
    "bnb-ademamix": _nearest("bnb-adamw"),
    "bnb-ademamix-paged": _nearest("bnb-adamw-paged"),
    "bnb-ademamix8bit": _nearest("bnb-adamw8bit"),
    "bnb-ademamix8bit-paged": _nearest("bnb-adamw8bit-paged"),
    "sdnq-adamw": _nearest("bnb-adamw8bit"),
    "sdnq-adafactor": _nearest("torch-adafactor"),
    "sdnq-came": _nearest("torch-adafactor"),
    "sdnq-lion": _nearest("bnb-lion8bit"),
    "sdnq-muon": _nearest("optimi-adamw"),
    "torch-sparseadam": "not available: it takes sparse gradients only, and adapters have none; take torch-adam",
    "dadaptation": _nearest("optimi-adamw"),
    "adafactor": "called torch-adafactor here",
    "adamw8bit": "called bnb-adamw8bit here",
}
"""Names that configuration files in use may hold, and why they are refused: the end of `optimizer: soap is ...`."""
