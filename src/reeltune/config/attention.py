"""The attention kernels that can be asked for: what each is called in diffusers, and which package brings it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reeltune.machine.packages import missing


@dataclass(frozen=True)
class Kernel:
    """An attention kernel outside PyTorch; it needs a CUDA device.

    backend: its name in diffusers. package: what brings it, of `machine.packages`.
    """

    backend: str
    package: str


ATTENTION: Mapping[str, Kernel | None] = {
    "diffusers": None,
    "sageattention": Kernel("sage", "sageattention"),
    "sageattention-int8-fp16-triton": Kernel("_sage_qk_int8_pv_fp16_triton", "sageattention"),
    "sageattention-int8-fp16-cuda": Kernel("_sage_qk_int8_pv_fp16_cuda", "sageattention"),
    "sageattention-int8-fp8-cuda": Kernel("_sage_qk_int8_pv_fp8_cuda", "sageattention"),
    "xformers": Kernel("xformers", "xformers"),
}
"""Kernels by the names that options know; None is PyTorch's own."""


def lacking(name: str) -> str | None:
    """Say what this machine lacks for a kernel, and how to get it; None when nothing is missing."""
    kernel = ATTENTION[name]
    return missing(kernel.package) if kernel else None
