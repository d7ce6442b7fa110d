"""What is said of a machine."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from reeltune.machine import packages
from reeltune.machine.check import State
from reeltune.machine.checks import disk_check, login_checks, memory_check, package_checks, python_check
from reeltune.machine.host import Host

GIB = 2**30
PROJECT = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.mark.parametrize(
    ("python", "state"),
    [((3, 10, 14), "fail"), ((3, 11, 0), "ok"), ((3, 13, 2), "ok"), ((3, 14, 0), "fail")],
)
def test_the_python_that_is_packaged_for_is_asked_for(python: tuple[int, int, int], state: State) -> None:
    assert PROJECT["requires-python"] == ">=3.11,<3.14"
    assert python_check(python).state == state


@pytest.mark.parametrize(("free", "state"), [(100 * GIB, "ok"), (10 * GIB, "warn"), (GIB // 2, "fail")])
def test_a_full_disk_fails_and_a_small_one_warns(free: int, state: State) -> None:
    check = disk_check("/here", free)
    assert check.state == state
    assert bool(check.fix) == (state != "ok")


def test_little_memory_warns() -> None:
    assert memory_check(Host(64 * GIB, 60 * GIB, 8)).state == "ok"
    check = memory_check(Host(8 * GIB, 3 * GIB, 1))
    assert (check.state, check.text.partition(";")[0]) == ("warn", "8 GiB, 3 GiB available")


def test_a_package_that_is_missing_or_too_old_comes_with_the_command_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"wandb": "0.19.1", "sageattention": "1.0.6"}
    monkeypatch.setattr(packages, "version_of", versions.get)
    checks = {check.name: check for check in package_checks()}
    assert list(checks) == [package.distribution for package in packages.OPTIONAL]
    assert (checks["wandb"].state, checks["wandb"].text) == ("ok", "0.19.1: report_to wandb")
    assert (checks["torchao"].state, checks["torchao"].fix) == ("absent", 'pip install "reeltune[quant]"')
    old = checks["sageattention"]
    assert (old.state, old.text.partition(":")[0]) == ("warn", "1.0.6, and 2.1.1 or newer is needed")
    assert old.fix.endswith("https://github.com/thu-ml/SageAttention")


def test_a_missing_login_fails_nothing() -> None:
    assert [check.state for check in login_checks(hub=False, wandb=False)] == ["absent", "absent"]
    assert [check.fix for check in login_checks(hub=False, wandb=False)] == ["hf auth login", "wandb login"]
    assert [check.state for check in login_checks(hub=True, wandb=True)] == ["ok", "ok"]
