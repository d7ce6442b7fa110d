"""The names of the optimizers, and the package that each needs. `train/optimizers.py` makes them; no torch here."""

from __future__ import annotations

from collections.abc import Mapping

_TORCH = "adam adamw sgd radam nadam rmsprop adagrad adadelta adafactor adamax asgd muon"
_OPTIMI = "adam adamw adan lion radam ranger sgd stableadamw"
_TORCHAO = "adamw8bit adamw4bit adamfp8 adamwfp8"
_BNB = (
    "adagrad adagrad8bit adam adam8bit adamw adamw-paged adamw8bit adamw8bit-paged lion lion-paged lion8bit "
    "lion8bit-paged ademamix ademamix-paged ademamix8bit ademamix8bit-paged"
)

SCHEDULE_FREE = ("adamw_schedulefree", "adamw_schedulefree+aggressive", "adamw_schedulefree+no_kahan")
"""Those that average their own way, which takes the place of a decaying rate."""

OPTIMIZERS: Mapping[str, str | None] = {
    **{f"torch-{name}": None for name in _TORCH.split()},
    **{f"optimi-{name}": None for name in _OPTIMI.split()},
    "adamw_bf16": None,
    **{f"ao-{name}": "torchao" for name in _TORCHAO.split()},
    **{f"bnb-{name}": "bitsandbytes" for name in _BNB.split()},
    "prodigy": "prodigy-plus-schedule-free",
    **dict.fromkeys(SCHEDULE_FREE, "schedulefree"),
    "soap": "pytorch-optimizer",
}
"""Each name, and the package that it needs, as `machine.packages` knows it: None for those that work out of the box."""


def _nearest(name: str) -> str:
    return f"not available; {name} is the nearest that is"


NOT_YET: Mapping[str, str] = {
    "muon": "called torch-muon here",
    "sdnq-adamw": _nearest("bnb-adamw8bit"),
    "sdnq-adafactor": _nearest("torch-adafactor"),
    "sdnq-came": _nearest("torch-adafactor"),
    "sdnq-lion": _nearest("bnb-lion8bit"),
    "sdnq-muon": _nearest("torch-muon"),
    "torch-sparseadam": "not available: it takes sparse gradients only, and adapters have none; take torch-adam",
    "dadaptation": _nearest("prodigy"),
    "adafactor": "called torch-adafactor here",
    "adamw8bit": "called bnb-adamw8bit here",
}
"""Names that configuration files in use may hold, and why they are refused: the end of `optimizer: muon is ...`."""
