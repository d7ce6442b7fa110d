"""The attention kernels that can be asked for: what each is called in diffusers, and which package brings it."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Kernel:
    """An attention kernel outside PyTorch; it needs a CUDA device.

    backend: its name in diffusers. package: what brings it, from version `at_least` on. install: the command for that.
    """

    backend: str
    package: str
    at_least: str
    install: str


# What the package index calls sageattention is version 1, which diffusers does not take.
_SAGE = ("sageattention", "2.1.1", "pip install --no-build-isolation git+https://github.com/thu-ml/SageAttention")

ATTENTION: Mapping[str, Kernel | None] = {
    "diffusers": None,
    "sageattention": Kernel("sage", *_SAGE),
    "sageattention-int8-fp16-triton": Kernel("_sage_qk_int8_pv_fp16_triton", *_SAGE),
    "sageattention-int8-fp16-cuda": Kernel("_sage_qk_int8_pv_fp16_cuda", *_SAGE),
    "sageattention-int8-fp8-cuda": Kernel("_sage_qk_int8_pv_fp8_cuda", *_SAGE),
    "xformers": Kernel("xformers", "xformers", "0.0.29", "pip install xformers"),
}
"""Kernels by the names that options know; None is PyTorch's own."""


def lacking(name: str) -> str | None:
    """Say what this machine lacks for a kernel, and how to get it; None when nothing is missing."""
    kernel = ATTENTION[name]
    if kernel is None:
        return None
    try:
        version = importlib.metadata.version(kernel.package)
    except importlib.metadata.PackageNotFoundError:
        found = "is not installed"
    else:
        if _numbers(version) >= _numbers(kernel.at_least):
            return None
        found = f"is {version}, and {kernel.at_least} or newer is needed"
    return f"{kernel.package} {found}: {kernel.install}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
