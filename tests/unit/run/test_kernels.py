"""The check of attention kernels finds right ones right and wrong ones wrong."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend
from torch.nn.functional import scaled_dot_product_attention

from reeltune.run import kernels
from reeltune.run.kernels import KernelReport, check_kernels, chosen_kernel, kernel_checks

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_pytorch_s_own_kernels_are_right_here(dtype: torch.dtype) -> None:
    reports = {report.name: report for report in check_kernels(CPU, dtype)}
    for name in ("flash", "math"):
        error = reports[name].error
        assert error is not None
        assert reports[name].right
        # Not by a hair's breadth: an error of the type's own size.
        assert torch.finfo(dtype).eps / 100 < error < reports[name].tolerance / 3
    # A CPU has no kernels of a GPU.
    assert reports["cudnn"].error is None
    assert reports["cudnn"].reason


def wrong_value_gradient(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return scaled_dot_product_attention(query, key, value - 0.03 * (value - value.detach()))


def wrong_scale(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return scaled_dot_product_attention(query, key, value, scale=1.1 / 128**0.5)


def not_a_number(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return scaled_dot_product_attention(query, key, value) * torch.tensor(float("nan"))


@pytest.mark.parametrize("wrong", [wrong_value_gradient, wrong_scale, not_a_number])
def test_a_kernel_that_computes_something_else_is_found(monkeypatch: pytest.MonkeyPatch, wrong: object) -> None:
    monkeypatch.setattr(kernels, "scaled_dot_product_attention", wrong)
    report = check_kernels(CPU, torch.bfloat16)[0]
    assert report.error is not None
    assert not report.right


def test_the_kernel_that_pytorch_picks_is_the_one_that_runs() -> None:
    chosen = chosen_kernel(CPU, torch.float32)
    with torch.profiler.profile() as seen:
        tensor = torch.zeros(1, 2, 192, 128, requires_grad=True)
        scaled_dot_product_attention(tensor, tensor, tensor)
    names = " ".join(event.key for event in seen.key_averages())
    assert kernels.KERNELS[chosen] == SDPBackend.FLASH_ATTENTION
    assert "flash_attention" in names


def test_only_a_wrong_kernel_in_use_stops_a_run() -> None:
    reports = [
        KernelReport("flash", 0.5, 0.02),
        KernelReport("cudnn", None, 0.02, "Flash attention has been disabled"),
        KernelReport("math", 0.001, 0.02),
    ]
    assert [check.state for check in kernel_checks(reports, "flash")] == ["fail", "absent", "ok"]
    assert [check.state for check in kernel_checks(reports, "math")] == ["warn", "absent", "ok"]
    assert "picks" in kernel_checks(reports, "math")[2].text
    assert kernel_checks(reports, "flash")[0].fix
