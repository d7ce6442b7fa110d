"""Whether a package is here and new enough, and what to type where it is not."""

from __future__ import annotations

import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import get_args

import pytest

from reeltune.config.reporting import TrackerName
from reeltune.machine import packages
from reeltune.machine.packages import OPTIONAL, PACKAGES, TORCH, missing, version_of

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_extras_bring_the_packages_in_the_versions_that_are_asked_for() -> None:
    extras = PROJECT["optional-dependencies"]
    for package in OPTIONAL:
        if "reeltune[" in package.install:
            extra = package.install.partition("[")[2].partition("]")[0]
            assert f"{package.distribution}>={package.at_least}" in extras[extra]


def test_what_is_always_installed_is_not_optional() -> None:
    always = {line.partition(">=")[0] for line in PROJECT["dependencies"]}
    assert not always & set(PACKAGES)


def test_every_tracker_but_our_own_has_its_package() -> None:
    assert set(get_args(TrackerName)) - {"all", "csv"} <= set(PACKAGES)


def test_the_build_of_pytorch_is_the_one_that_all_installs_use() -> None:
    assert TORCH in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()


def test_versions_are_those_that_are_installed() -> None:
    assert version_of("numpy") == version("numpy")
    assert version_of("no-such-package-anywhere") is None


@pytest.mark.parametrize(
    ("installed", "said"),
    [
        (None, 'bitsandbytes is not installed (pip install "reeltune[bnb]")'),
        ("0.9.1", 'bitsandbytes is 0.9.1, and 0.46 or newer is needed (pip install "reeltune[bnb]")'),
        ("0.46.0", None),
        ("0.100.2+cu128", None),
        ("1.0", None),
    ],
)
def test_a_package_that_is_missing_or_too_old_is_named_with_what_to_type(
    installed: str | None, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "version_of", lambda name: installed)
    assert missing("bitsandbytes") == said
