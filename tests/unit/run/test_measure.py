"""What is measured of a base that is loaded, and what is remembered of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from reeltune.families.wan.family import Wan
from reeltune.run.measure import Measurement, rounding_error_of
from unit.run.made_up import config_of

CPU = torch.device("cpu")


class Asked:
    """Stands in for what a family measures, and for its base's fingerprint."""

    def __init__(self, wan: Wan, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wan, self.folder, self.count = wan, folder, 0
        self.base, self.error = "abc", 0.01
        monkeypatch.setattr(Wan, "base_fingerprint", lambda family: self.base)
        monkeypatch.setattr(Wan, "rounding_error", lambda *arguments: self.measured())

    def measured(self) -> float:
        self.count += 1
        return self.error

    def again(self, precision: str) -> float | None:
        config = config_of(base_model_precision=precision, cache_dir=str(self.folder))
        return rounding_error_of(config, self.wan, nn.Identity(), CPU)


@pytest.fixture
def asked(wan: Wan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(wan, tmp_path, monkeypatch)


def test_the_error_is_found_out_once_for_each_base_and_precision(asked: Asked) -> None:
    assert asked.again("int8-quanto") == 0.01
    asked.error = 0.02
    assert asked.again("int8-quanto") == 0.01
    assert asked.count == 1
    assert asked.again("fp8-quanto") == 0.02
    asked.base, asked.error = "xyz", 0.03
    assert asked.again("int8-quanto") == 0.03


def test_a_base_that_is_not_quantized_is_not_asked(asked: Asked) -> None:
    assert asked.again("no_change") is None
    assert asked.count == 0
    assert not any(asked.folder.iterdir())


def test_a_measurement_stands_beside_the_plans_figure() -> None:
    found = Measurement("int8-torchao", "cuda", 1_456_000_000, 1_450_000_000, 7.25, 0.00834)
    assert found.in_words() == [
        "Measured: the base, loaded in 7.2 s on cuda",
        "  weights         1.5 GB (1.4 GB in the plan, +0.4%)",
        "  rounding error  0.83% of the velocity, by int8-torchao",
    ]


def test_what_the_plan_did_not_know_is_left_out() -> None:
    *_, weights, error = Measurement("no_change", "cpu", 2_700_000, None, 0.5, None).in_words()
    assert weights == "  weights         2.7 MB"
    assert error == "  rounding error  none: no weight is quantized"
