"""Which package an optimizer needs, asked without loading torch."""

from __future__ import annotations

from reeltune.config.optimizer_names import OPTIMIZERS
from reeltune.errors import ConfigError
from reeltune.machine.packages import missing

LIBRARIES = {"bnb": "bitsandbytes"}
"""By the extra that `config.optimizer_names` has, the package in `machine.packages`."""


def require_package(name: str) -> None:
    """Raise ConfigError, naming what to install and an alternative, when the package of an optimizer is missing."""
    extra = OPTIMIZERS[name]
    if extra and (problem := missing(LIBRARIES[extra])):
        raise ConfigError(
            f"optimizer {name} cannot be used: {problem}. Install that, or set optimizer to {without_package(name)}."
        )


def without_package(name: str) -> str:
    """Return the optimizer of the same rule that needs no package."""
    return "optimi-lion" if "lion" in name else "optimi-adamw"
