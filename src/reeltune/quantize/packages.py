"""Which package a precision needs, asked without loading torch."""

from __future__ import annotations

from reeltune.errors import ConfigError
from reeltune.machine.packages import missing

LIBRARIES = {"quanto": "optimum-quanto", "torchao": "torchao"}
"""By the ending of a precision's name, the package in `machine.packages`."""


def require_package(precision: str) -> None:
    """Raise ConfigError, naming what to install, when the package of a precision such as `int8-torchao` is missing."""
    if problem := missing(LIBRARIES[precision.rpartition("-")[2]]):
        raise ConfigError(f"{precision} cannot be used: {problem}. Install that, or set the precision to no_change.")
