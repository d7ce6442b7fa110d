"""What known GPUs can do at best: dense bfloat16 with float32 sums.

Two have rates of their own. The others take the share of its peak that the reference of their kind reaches. The rates
are high ones, for they make lower bounds of times.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

TERA = 1e12


@dataclass(frozen=True)
class GpuSpeed:
    """One kind of GPU. Rates in operations a second."""

    name: str
    peak: float
    linear: float
    attention_forward: float
    attention_backward: float


@dataclass(frozen=True)
class _Reference:
    """Shares of the peak that one GPU reaches. attention: head width 128, long sequences, no mask."""

    linear: float
    attention_forward: float
    attention_backward: float


_HOPPER = _Reference(800 / 989, 640 / 989, 550 / 989)
# An H100. Source: Shah et al. 2024, arXiv:2407.08608 (FlashAttention-3: 648 forward, 561 backward at 16k tokens).
_ADA = _Reference(0.9, 150 / 165, 120 / 165)
# An RTX 4090. Linear layers and attention forward at nine tenths of the peak, as reported for FlashAttention-2 on this
# GPU; its backward is assumed, at the four fifths of the forward that other GPUs show.


def _gpu(name: str, peak: int, reference: _Reference) -> GpuSpeed:
    """peak: TFLOP/s."""
    return GpuSpeed(
        name=name,
        peak=peak * TERA,
        linear=peak * TERA * reference.linear,
        attention_forward=peak * TERA * reference.attention_forward,
        attention_backward=peak * TERA * reference.attention_backward,
    )


GPUS: Mapping[str, GpuSpeed] = {
    gpu.name: gpu
    for gpu in (
        _gpu("H100 80GB HBM3", 989, _HOPPER),
        _gpu("H100 PCIe", 756, _HOPPER),
        _gpu("H100 NVL", 835, _HOPPER),
        _gpu("H200", 989, _HOPPER),
        _gpu("H200 NVL", 835, _HOPPER),
        _gpu("GH200 480GB", 989, _HOPPER),
        _gpu("B200", 2250, _HOPPER),
        _gpu("A100-SXM4-80GB", 312, _ADA),
        _gpu("A100 80GB PCIe", 312, _ADA),
        _gpu("A100-SXM4-40GB", 312, _ADA),
        _gpu("A100-PCIE-40GB", 312, _ADA),
        _gpu("L40S", 362, _ADA),
        _gpu("L40", 181, _ADA),
        _gpu("L4", 121, _ADA),
        _gpu("A40", 150, _ADA),
        _gpu("A10", 125, _ADA),
        _gpu("A10G", 70, _ADA),
        _gpu("RTX PRO 6000 Blackwell Workstation Edition", 500, _ADA),
        _gpu("RTX 6000 Ada Generation", 364, _ADA),
        _gpu("RTX A6000", 155, _ADA),
        _gpu("RTX A5000", 111, _ADA),
        _gpu("RTX 5090", 209, _ADA),
        _gpu("RTX 5080", 113, _ADA),
        _gpu("RTX 5070 Ti", 88, _ADA),
        _gpu("RTX 4090", 165, _ADA),
        _gpu("RTX 4080 SUPER", 104, _ADA),
        _gpu("RTX 4080", 97, _ADA),
        _gpu("RTX 4070 Ti SUPER", 88, _ADA),
        _gpu("RTX 4060 Ti", 44, _ADA),
        _gpu("RTX 3090 Ti", 80, _ADA),
        _gpu("RTX 3090", 71, _ADA),
        _gpu("RTX 3080", 60, _ADA),
        _gpu("RTX 3060", 25, _ADA),
    )
}
"""By the name that the driver gives, without the maker's. Peaks: NVIDIA's data sheets."""


def gpu_named(name: str) -> GpuSpeed | None:
    """Return what is known of a GPU by the name that the driver gives it; None for one that is not in the table.

    The whole name counts: a laptop's RTX 4090 is slower, and is not taken for the card.
    """
    return GPUS.get(re.sub(r"\b(NVIDIA|GeForce)\s+", "", name).strip())
