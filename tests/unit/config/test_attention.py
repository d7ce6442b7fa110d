"""An attention kernel is known by a name, and what is missing for it is said with how to get it."""

from __future__ import annotations

import importlib.metadata

import pytest
from diffusers import AttentionBackendName
from diffusers.models import attention_dispatch

from reeltune.config.attention import ATTENTION, lacking
from reeltune.machine.packages import PACKAGES


def versions(monkeypatch: pytest.MonkeyPatch, **installed: str) -> None:
    def version(name: str) -> str:
        if name in installed:
            return installed[name]
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)


def test_the_kernels_are_those_of_diffusers_from_the_versions_that_it_takes() -> None:
    kernels = [kernel for kernel in ATTENTION.values() if kernel]
    assert {kernel.backend for kernel in kernels} <= {backend.value for backend in AttentionBackendName}
    required = {
        "sageattention": attention_dispatch._REQUIRED_SAGE_VERSION,
        "xformers": attention_dispatch._REQUIRED_XFORMERS_VERSION,
    }
    assert {kernel.package: PACKAGES[kernel.package].at_least for kernel in kernels} == required


def test_pytorchs_own_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    versions(monkeypatch)
    assert lacking("diffusers") is None


@pytest.mark.parametrize(
    ("installed", "missing"),
    [
        ({}, "sageattention is not installed (pip install"),
        ({"sageattention": "1.0.6"}, "sageattention is 1.0.6, and 2.1.1 or newer is needed (pip install"),
        ({"sageattention": "2.1.1"}, None),
        ({"sageattention": "2.10.0+cu128"}, None),
    ],
)
def test_a_missing_or_old_package_is_named(
    monkeypatch: pytest.MonkeyPatch, installed: dict[str, str], missing: str | None
) -> None:
    versions(monkeypatch, **installed)
    said = lacking("sageattention")
    assert said is None if missing is None else said is not None and said.startswith(missing)
