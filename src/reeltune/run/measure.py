"""What can only be said of a base once it is loaded: what its weights take, how long that lasts, what rounding does."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.filesize import decimal
from torch import nn

from reeltune.config.load import Loaded
from reeltune.config.root import Config
from reeltune.contracts.family import Family
from reeltune.contracts.outlook import Outlook
from reeltune.families import check_family
from reeltune.families.opening import check_weights, open_family
from reeltune.machine.packages import version_of
from reeltune.quantize.packages import LIBRARIES
from reeltune.quantize.stored import stored_bytes
from reeltune.remembered import keep, recall
from reeltune.run.launch import choose_device, opening_of

BASE_PART = "base model"
"""What the plan calls the weights."""


@dataclass(frozen=True)
class Measurement:
    """The base as it is on the device. planned_bytes: the plan's figure, where the model's size was known to it.

    rounding_error: see `Family.rounding_error`.
    """

    precision: str
    device: str
    weights_bytes: int
    planned_bytes: int | None
    load_s: float
    rounding_error: float | None

    def in_words(self) -> list[str]:
        """Return the lines that stand below a plan."""
        return [
            f"Measured: the base, loaded in {self.load_s:.1f} s on {self.device}",
            f"  weights         {decimal(self.weights_bytes)}{self._beside_the_plan()}",
            f"  rounding error  {self._error_in_words()}",
        ]

    def _beside_the_plan(self) -> str:
        if self.planned_bytes is None:
            return ""
        off = self.weights_bytes / self.planned_bytes - 1
        return f" ({decimal(self.planned_bytes)} in the plan, {off:+.1%})"

    def _error_in_words(self) -> str:
        if self.rounding_error is None:
            return "none: no weight is quantized"
        return f"{self.rounding_error:.2%} of the velocity, by {self.precision}"


def measure(loaded: Loaded, outlook: Outlook) -> Measurement:
    """Load the transformer as a run would, and look at it. Raises ModelError and ConfigError as a run does."""
    config, device = loaded.config, choose_device()
    check_family(config.model)
    check_weights(config.model)
    family = open_family(config.model, opening_of(config))
    started = time.monotonic()
    transformer = family.load_transformer(device)
    load_s = time.monotonic() - started
    return Measurement(
        precision=config.model.base_model_precision,
        device=device.type,
        weights_bytes=stored_bytes(transformer),
        planned_bytes=_planned(outlook),
        load_s=load_s,
        rounding_error=rounding_error_of(config, family, transformer, device),
    )


def rounding_error_of(config: Config, family: Family, transformer: nn.Module, device: torch.device) -> float | None:
    """Return `Family.rounding_error`, remembered in cache_dir: the original weights are read once more for it.

    transformer: without an adapter. None when nothing is quantized.
    """
    precision = config.model.base_model_precision
    if precision == "no_change":
        return None
    package = LIBRARIES[precision.rpartition("-")[2]]
    key = ("rounding", family.base_fingerprint(), precision, config.model.compute_type, version_of(package) or "")
    folder = Path(config.data.cache_dir).expanduser()
    error = recall(folder, key)
    if error is None:
        error = family.rounding_error(transformer, device)
        keep(folder, key, error)
    return error


def _planned(outlook: Outlook) -> int | None:
    """Return the plan's figure for the base's weights while it is trained."""
    parts = [part for need in outlook.memory if need.stage == "training" for part in need.parts]
    return next((size for name, size in parts if name == BASE_PART), None)
