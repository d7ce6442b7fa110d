"""Which packages are installed, without importing any of them."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass


@dataclass(frozen=True)
class OptionalPackage:
    """A package that some options need. install: the command that brings it."""

    distribution: str
    purpose: str
    install: str


OPTIONAL: tuple[OptionalPackage, ...] = (
    OptionalPackage("torchao", "base_model_precision int8-torchao, fp8-torchao", 'pip install "reeltune[quant]"'),
    OptionalPackage("optimum-quanto", "base_model_precision int8-quanto, fp8-quanto", 'pip install "reeltune[quant]"'),
    OptionalPackage("bitsandbytes", "optimizers bnb-*, with states of 8 bits", 'pip install "reeltune[bnb]"'),
    OptionalPackage("wandb", "report_to wandb", 'pip install "reeltune[wandb]"'),
    OptionalPackage("tensorboard", "report_to tensorboard", 'pip install "reeltune[tensorboard]"'),
    OptionalPackage(
        "sageattention",
        "attention_mechanism sageattention, for videos",
        # What the package index calls sageattention is version 1.
        "pip install --no-build-isolation git+https://github.com/thu-ml/SageAttention",
    ),
    OptionalPackage("xformers", "attention_mechanism xformers, for videos", "pip install xformers"),
    OptionalPackage("scipy", "validation_noise_scheduler euler, for its beta distribution", "pip install scipy"),
)


def version_of(distribution: str) -> str | None:
    """Return the version of an installed package, None when it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
