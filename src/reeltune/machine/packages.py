"""The packages that some options need: what each is for and what brings it. Asked for without importing any."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class OptionalPackage:
    """A package that some options need, from version `at_least` on. install: the command that brings it."""

    distribution: str
    at_least: str
    purpose: str
    install: str


def _extra(name: str) -> str:
    return f'pip install "reeltune[{name}]"'


OPTIONAL: tuple[OptionalPackage, ...] = (
    OptionalPackage(
        "torchao", "0.14", "base_model_precision int8-torchao, fp8-torchao; optimizers ao-*", _extra("quant")
    ),
    OptionalPackage("optimum-quanto", "0.2.7", "base_model_precision int8-quanto, fp8-quanto", _extra("quant")),
    OptionalPackage("bitsandbytes", "0.46", "optimizers bnb-*, with states of 8 bits", _extra("bnb")),
    OptionalPackage("prodigy-plus-schedule-free", "2.0", "optimizer prodigy", _extra("optimizers")),
    OptionalPackage("schedulefree", "1.4", "optimizers adamw_schedulefree*", _extra("optimizers")),
    OptionalPackage("pytorch-optimizer", "4.0", "optimizer soap", _extra("optimizers")),
    OptionalPackage("lycoris-lora", "4.1", "lora_type lycoris", _extra("lycoris")),
    OptionalPackage("wandb", "0.19", "report_to wandb", _extra("wandb")),
    OptionalPackage("tensorboard", "2.18", "report_to tensorboard", _extra("tensorboard")),
    OptionalPackage("s3fs", "2025.3", "datasets of type aws", _extra("s3")),
    OptionalPackage(
        "sageattention",
        "2.1.1",
        "attention_mechanism sageattention, for videos",
        # What the package index calls sageattention is version 1, which diffusers does not take.
        "pip install --no-build-isolation git+https://github.com/thu-ml/SageAttention",
    ),
    OptionalPackage("xformers", "0.0.29", "attention_mechanism xformers, for videos", "pip install xformers"),
)

PACKAGES: Mapping[str, OptionalPackage] = {package.distribution: package for package in OPTIONAL}

TORCH = "torch==2.13.0"
"""PyTorch, in the version that the tests ran with, for commands that install another build of it."""


def missing(distribution: str) -> str | None:
    """Say what keeps one of PACKAGES from being used, and what to type; None when it is here and new enough."""
    package, version = PACKAGES[distribution], version_of(distribution)
    if version is None:
        return f"{distribution} is not installed ({package.install})"
    if _numbers(version) < _numbers(package.at_least):
        return f"{distribution} is {version}, and {package.at_least} or newer is needed ({package.install})"
    return None


def version_of(distribution: str) -> str | None:
    """Return the version of an installed package, None when it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
