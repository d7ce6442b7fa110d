"""Which package a precision needs, asked without loading torch."""

from __future__ import annotations

import importlib.util

from reeltune.errors import ConfigError

_PACKAGES = {"quanto": ("optimum-quanto", "optimum", "optimum.quanto"), "torchao": ("torchao", "torchao")}
"""By the ending of a precision's name: the package, and the modules that are there when it is, outermost first."""


def require_package(precision: str) -> None:
    """Raise ConfigError, naming what to install, when the package of a precision such as `int8-torchao` is missing."""
    package, *modules = _PACKAGES[precision.rpartition("-")[2]]
    # Outermost first: a module cannot be looked for inside a package that is not there.
    if not all(importlib.util.find_spec(module) for module in modules):
        raise ConfigError(
            f'{precision} needs {package}, which is not installed. Type: pip install "reeltune[quant]", '
            "or set the precision to no_change."
        )
