"""Which PyTorch fits which GPU and driver."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from reeltune.machine.check import Check
from reeltune.machine.gpu import Gpu
from reeltune.run.torch_build import NEW, OLD, TorchBuild, find_torch_build, has_code_for, torch_checks

NEWER = ("sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120")


def gpu(driver: str, name: str = "NVIDIA H100 80GB HBM3") -> Gpu:
    return Gpu(name, 80 * 2**30, 70 * 2**30, driver, 0)


def usable(capability: tuple[int, int], kernels: tuple[str, ...] = NEWER) -> TorchBuild:
    return TorchBuild("2.13", cuda="13.0", device="NVIDIA X", capability=capability, kernels=kernels)


def device_check(build: TorchBuild, *gpus: Gpu) -> Check:
    return torch_checks(build, gpus)[1]


def test_this_build_is_described_as_it_is() -> None:
    build = find_torch_build()
    assert build.version == torch.__version__
    assert (build.device is not None) == torch.cuda.is_available()


def test_a_gpu_that_works_is_named_with_its_memory_and_driver() -> None:
    check = device_check(usable((9, 0)), gpu("580.65.06"))
    assert check == Check("GPU", "ok", "NVIDIA X, 70 of 80 GiB free, driver 580.65.06")


@pytest.mark.parametrize(
    ("cuda", "driver", "fix"),
    [
        ("13.0", "570.124.06", "whl/cu126"),
        ("13.0", "525.60.13", "whl/cu126"),
        ("13.2", "515.43.04", "Update the NVIDIA driver to 580"),
        ("12.8", "515.43.04", "Update the NVIDIA driver to 580"),
        (None, "580.65.06", "whl/cu130"),
        (None, "550.54.14", "whl/cu126"),
    ],
)
def test_a_driver_that_is_too_old_gets_the_build_that_fits_it(cuda: str | None, driver: str, fix: str) -> None:
    check = device_check(TorchBuild("2.13", cuda=cuda), gpu(driver))
    assert check.state == "fail"
    assert fix in check.fix
    assert driver in check.text


def test_a_driver_that_is_new_enough_is_not_blamed() -> None:
    check = device_check(TorchBuild("2.13", cuda="13.0", problem="CUDA unknown error"), gpu("580.65.06"))
    assert check.state == "fail"
    assert "CUDA unknown error" in check.text
    assert "needs driver" not in check.text


@pytest.mark.parametrize(("command", "cuda"), [(NEW, "cu130"), (OLD, "cu126")])
def test_another_build_is_installed_in_the_version_that_all_installs_use(command: str, cuda: str) -> None:
    constraints = (Path(__file__).parents[3] / "constraints.txt").read_text(encoding="utf-8").splitlines()
    (version,) = [line for line in constraints if line.startswith("torch==")]
    assert command == (f"pip install --force-reinstall {version} --index-url https://download.pytorch.org/whl/{cuda}")


def test_volta_gets_the_build_that_still_has_code_for_it() -> None:
    check = device_check(usable((7, 0)), gpu("580.65.06", "Tesla V100-SXM2-16GB"))
    assert check.state == "fail"
    assert "7.0" in check.text
    assert check.fix.endswith("cu126")


def test_volta_with_its_build_is_told_to_do_without_bfloat16() -> None:
    build = usable((7, 0), ("sm_50", "sm_60", "sm_70", "sm_75", "sm_80"))
    check = device_check(build, gpu("550.54.14"))
    assert check.state == "warn"
    assert "mixed_precision=no" in check.fix
    assert not build.bfloat16
    assert usable((8, 0)).bfloat16


@pytest.mark.parametrize(
    ("capability", "kernels", "has"),
    [
        ((8, 6), ("sm_80",), True),
        ((8, 0), ("sm_86",), False),
        ((9, 0), ("sm_86",), False),
        ((9, 0), ("sm_90a",), True),
        ((12, 1), ("sm_120",), True),
        ((12, 0), ("sm_100",), False),
        ((13, 0), ("sm_120", "compute_120"), True),
        ((7, 0), ("sm_75", "compute_75"), False),
    ],
)
def test_code_runs_on_its_own_generation_or_is_translated_for_later_ones(
    capability: tuple[int, int], kernels: tuple[str, ...], has: bool
) -> None:
    assert has_code_for(usable(capability, kernels)) == has


def test_without_a_gpu_a_run_is_possible_and_slow() -> None:
    assert device_check(TorchBuild("2.13")).state == "warn"
    assert "Apple" in device_check(TorchBuild("2.13", mps=True)).text


def test_amd_s_build_has_bfloat16() -> None:
    build = TorchBuild("2.13", hip="7.0", device="AMD Instinct MI300X")
    assert device_check(build, gpu("6.8.5")).state == "ok"
    assert build.bfloat16
