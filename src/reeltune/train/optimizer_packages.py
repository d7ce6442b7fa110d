"""Which package an optimizer needs, asked without loading torch."""

from __future__ import annotations

from importlib.metadata import version

from reeltune.config.optimizer_names import OPTIMIZERS
from reeltune.errors import ConfigError
from reeltune.machine.packages import missing


def require_package(name: str) -> None:
    """Raise ConfigError, naming what to install and an alternative, when the package of an optimizer is missing."""
    package = OPTIMIZERS[name]
    if name == "torch-muon" and tuple(map(int, version("torch").split(".")[:2])) < (2, 9):
        raise ConfigError(
            f"optimizer {name} cannot be used: torch {version('torch')} has no Muon. Install 2.9 or newer, or set "
            f"optimizer to {without_package(name)}."
        )
    if package and (problem := missing(package)):
        raise ConfigError(
            f"optimizer {name} cannot be used: {problem}. Install that, or set optimizer to {without_package(name)}."
        )


def without_package(name: str) -> str:
    """Return the nearest optimizer that needs no package: of the same rule where there is one."""
    return next((own for part, own in _OWN.items() if part in name), "optimi-adamw")


_OWN = {"lion": "optimi-lion", "adagrad": "torch-adagrad"}
"""By a part of a name, the optimizer of that rule that needs no package."""
