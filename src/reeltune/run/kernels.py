"""The attention kernels that PyTorch has here, and whether their gradients are right.

Each is run forward and backward on a small case, in the number type of training, and compared with the plain formula in
float64 on the same rounded numbers. A kernel that is wrong would train without any error to see.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from reeltune.machine.check import Check
from reeltune.run.launch import choose_device

KERNELS: Mapping[str, SDPBackend] = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}
"""PyTorch's, by short names."""

TOLERANCES = {torch.bfloat16: 2e-2, torch.float16: 4e-3, torch.float32: 2e-3}
"""Largest relative error of the result and of each gradient: a few roundings of the type; TF32 for float32."""

HEADS, HEAD_WIDTH = 2, 128
CASES = ((192, 192), (192, 72))
"""Queries and keys: self-attention, and cross-attention with a length that fills no tile."""


@dataclass(frozen=True)
class KernelReport:
    """error: the largest relative one; None when the kernel does not run here, for the reason given."""

    name: str
    error: float | None
    tolerance: float
    reason: str = ""

    @property
    def right(self) -> bool:
        # Written so that a NaN is wrong.
        return self.error is not None and self.error <= self.tolerance


def check_training_kernels(*, bfloat16: bool) -> list[Check]:
    """Run every kernel on the device of training, in its number type, and say how they did."""
    device, dtype = choose_device(), torch.bfloat16 if bfloat16 else torch.float32
    return kernel_checks(check_kernels(device, dtype), chosen_kernel(device, dtype))


def check_kernels(device: torch.device, dtype: torch.dtype) -> tuple[KernelReport, ...]:
    """Run every kernel on the device."""
    return tuple(_check(name, device, dtype) for name in KERNELS)


def chosen_kernel(device: torch.device, dtype: torch.dtype) -> str:
    """Return the kernel that PyTorch picks by itself for such a case."""
    query, key, value = (each.requires_grad_() for each in _inputs(*CASES[0], device, dtype))
    number = torch._fused_sdp_choice(query, key, value)
    return next((name for name, backend in KERNELS.items() if backend.value == number), "none")


def kernel_checks(reports: Sequence[KernelReport], chosen: str) -> list[Check]:
    """Return what is to be said of each kernel. chosen: the one that PyTorch picks; only that one must be right."""
    return [_spoken(report, used=report.name == chosen) for report in reports]


def _spoken(report: KernelReport, *, used: bool) -> Check:
    name, picked = f"attention {report.name}", "; PyTorch picks this one" if used else ""
    if report.error is None:
        return Check(name, "absent", f"not here: {report.reason}")
    limit = f"{report.error:.2%} away from the formula, {report.tolerance:.1%} is allowed"
    if report.right:
        return Check(name, "ok", f"gradients are right ({limit}){picked}")
    fix = "pip install --upgrade torch" if used else ""
    return Check(name, "fail" if used else "warn", f"gradients are wrong: {limit}{picked}", fix)


def _check(name: str, device: torch.device, dtype: torch.dtype) -> KernelReport:
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            error = max(_error(name, case, device, dtype) for case in CASES)
    except RuntimeError as problem:
        # PyTorch tells its reasons as warnings, and then only that there is no kernel.
        reasons = [str(warning.message) for warning in said] or [str(problem)]
        return KernelReport(name, None, TOLERANCES[dtype], _sentence(reasons[-1]))
    return KernelReport(name, error, TOLERANCES[dtype])


def _error(name: str, case: tuple[int, int], device: torch.device, dtype: torch.dtype) -> float:
    inputs = _inputs(*case, device, dtype)
    wish = _normal(case[0], seed=3).to(device, dtype)
    with sdpa_kernel(KERNELS[name]):
        own = _result_and_gradients(scaled_dot_product_attention, inputs, wish)
    exact = _result_and_gradients(_formula, tuple(each.double().cpu() for each in inputs), wish.double().cpu())
    errors = [_relative(mine.double().cpu(), right) for mine, right in zip(own, exact, strict=True)]
    return math.nan if any(math.isnan(error) for error in errors) else max(errors)


def _result_and_gradients(attention: Callable[..., Tensor], inputs: tuple[Tensor, ...], wish: Tensor) -> list[Tensor]:
    leaves = [each.detach().clone().requires_grad_() for each in inputs]
    result = attention(*leaves)
    return [result.detach(), *torch.autograd.grad(result, leaves, wish)]


def _formula(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    return scores.softmax(dim=-1) @ value


def _inputs(queries: int, keys: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    query, key, value = _normal(queries, seed=0), _normal(keys, seed=1), _normal(keys, seed=2)
    return query.to(device, dtype), key.to(device, dtype), value.to(device, dtype)


def _normal(length: int, *, seed: int) -> Tensor:
    return torch.randn(1, HEADS, length, HEAD_WIDTH, generator=torch.Generator().manual_seed(seed))


def _relative(own: Tensor, exact: Tensor) -> float:
    return float((own - exact).norm() / exact.norm())


def _sentence(text: str) -> str:
    return text.partition("\n")[0].partition(". ")[0].partition(" (Triggered")[0].rstrip(".")
