"""What the chosen optimizer does besides stepping, its settings taken into account."""

from __future__ import annotations

from collections.abc import Mapping

from reeltune.config.optimization import OptimizationOptions
from reeltune.config.optimizer_checks import settings_of
from reeltune.config.optimizer_names import SCHEDULE_FREE

_LIMITING: Mapping[str, str | None] = {"optimi-stableadamw": None, "prodigy": "use_stableadamw"}

_AVERAGING: Mapping[str, str | None] = {**dict.fromkeys(SCHEDULE_FREE), "prodigy": "use_schedulefree"}
"""By the name of the optimizer, the setting that turns it off, on unless it is given; None where nothing does."""


def limits_itself(options: OptimizationOptions) -> bool:
    """Tell whether the optimizer keeps its updates small whatever the gradients are."""
    return _does(options, _LIMITING)


def averages_itself(options: OptimizationOptions) -> bool:
    """Tell whether the weights in use are an average of those in training; see `train/resting.py`."""
    return _does(options, _AVERAGING)


def _does(options: OptimizationOptions, switches: Mapping[str, str | None]) -> bool:
    if options.optimizer not in switches:
        return False
    switch = switches[options.optimizer]
    return switch is None or settings_of(options).get(switch) is not False
