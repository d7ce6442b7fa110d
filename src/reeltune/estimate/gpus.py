"""What known GPUs can do at best: dense bfloat16 with float32 sums, and memory.

Two have rates of their own. The others take the share of its peak that the reference of their kind reaches; whether a
rate was published or scaled is in the record. The rates are high ones, for they make lower bounds of times.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

TERA = 1e12
GIGA = 10**9


@dataclass(frozen=True)
class GpuSpeed:
    """One kind of GPU. Rates in operations a second; basis: where the three below the peak are from."""

    name: str
    peak: float
    linear: float
    attention_forward: float
    attention_backward: float
    memory_bytes: int
    basis: str


@dataclass(frozen=True)
class _Reference:
    """Shares of the peak that one GPU reaches. attention: head width 128, long sequences, no mask."""

    linear: float
    attention_forward: float
    attention_backward: float


_HOPPER = _Reference(800 / 989, 640 / 989, 550 / 989)
# Source: Shah et al. 2024, arXiv:2407.08608 (FlashAttention-3: 648 forward, 561 backward at 16k tokens).
_ADA = _Reference(0.9, 150 / 165, 120 / 165)
# Linear layers and attention forward at nine tenths of the peak, as reported for FlashAttention-2 on this GPU; its
# backward is assumed, at the four fifths of the forward that other GPUs show.

_PUBLISHED = "published rates"
_HALF_PUBLISHED = "published rates; that of attention's backward is assumed"
_HOPPER_SCALED = "shares of the peak that an H100 reaches"
_ADA_SCALED = "shares of the peak that an RTX 4090 reaches"


def _gpu(name: str, peak: int, memory: int, reference: _Reference, basis: str) -> GpuSpeed:
    """peak: TFLOP/s. memory: GB as sold."""
    return GpuSpeed(
        name=name,
        peak=peak * TERA,
        linear=peak * TERA * reference.linear,
        attention_forward=peak * TERA * reference.attention_forward,
        attention_backward=peak * TERA * reference.attention_backward,
        memory_bytes=memory * GIGA,
        basis=basis,
    )


GPUS: Mapping[str, GpuSpeed] = {
    gpu.name: gpu
    for gpu in (
        _gpu("H100 80GB HBM3", 989, 80, _HOPPER, _PUBLISHED),
        _gpu("H100 PCIe", 756, 80, _HOPPER, _HOPPER_SCALED),
        _gpu("H100 NVL", 835, 94, _HOPPER, _HOPPER_SCALED),
        _gpu("H200", 989, 141, _HOPPER, _HOPPER_SCALED),
        _gpu("H200 NVL", 835, 141, _HOPPER, _HOPPER_SCALED),
        _gpu("GH200 480GB", 989, 96, _HOPPER, _HOPPER_SCALED),
        _gpu("B200", 2250, 180, _HOPPER, _HOPPER_SCALED),
        _gpu("A100-SXM4-80GB", 312, 80, _ADA, _ADA_SCALED),
        _gpu("A100 80GB PCIe", 312, 80, _ADA, _ADA_SCALED),
        _gpu("A100-SXM4-40GB", 312, 40, _ADA, _ADA_SCALED),
        _gpu("A100-PCIE-40GB", 312, 40, _ADA, _ADA_SCALED),
        _gpu("L40S", 362, 48, _ADA, _ADA_SCALED),
        _gpu("L40", 181, 48, _ADA, _ADA_SCALED),
        _gpu("L4", 121, 24, _ADA, _ADA_SCALED),
        _gpu("A40", 150, 48, _ADA, _ADA_SCALED),
        _gpu("A10", 125, 24, _ADA, _ADA_SCALED),
        _gpu("A10G", 70, 24, _ADA, _ADA_SCALED),
        _gpu("RTX PRO 6000 Blackwell Workstation Edition", 500, 96, _ADA, _ADA_SCALED),
        _gpu("RTX 6000 Ada Generation", 364, 48, _ADA, _ADA_SCALED),
        _gpu("RTX A6000", 155, 48, _ADA, _ADA_SCALED),
        _gpu("RTX A5000", 111, 24, _ADA, _ADA_SCALED),
        _gpu("RTX 5090", 209, 32, _ADA, _ADA_SCALED),
        _gpu("RTX 5080", 113, 16, _ADA, _ADA_SCALED),
        _gpu("RTX 5070 Ti", 88, 16, _ADA, _ADA_SCALED),
        _gpu("RTX 4090", 165, 24, _ADA, _HALF_PUBLISHED),
        _gpu("RTX 4080 SUPER", 104, 16, _ADA, _ADA_SCALED),
        _gpu("RTX 4080", 97, 16, _ADA, _ADA_SCALED),
        _gpu("RTX 4070 Ti SUPER", 88, 16, _ADA, _ADA_SCALED),
        _gpu("RTX 4060 Ti", 44, 16, _ADA, _ADA_SCALED),
        _gpu("RTX 3090 Ti", 80, 24, _ADA, _ADA_SCALED),
        _gpu("RTX 3090", 71, 24, _ADA, _ADA_SCALED),
        _gpu("RTX 3080", 60, 10, _ADA, _ADA_SCALED),
        _gpu("RTX 3060", 25, 12, _ADA, _ADA_SCALED),
    )
}
"""By the name that the driver gives, without the maker's. Peaks and memory: NVIDIA's data sheets."""


def gpu_named(name: str) -> GpuSpeed | None:
    """Return what is known of a GPU by the name that the driver gives it; None for one that is not in the table.

    The whole name counts: a laptop's RTX 4090 is slower, and is not taken for the card.
    """
    return GPUS.get(re.sub(r"\b(NVIDIA|GeForce)\s+", "", name).strip())
