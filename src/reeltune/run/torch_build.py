"""Which PyTorch is installed, and whether it fits the GPU and its driver; if not, which one to install."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from reeltune.machine.check import Check
from reeltune.machine.gpu import Gpu
from reeltune.machine.packages import TORCH

OLDEST_DRIVERS = {13: 580, 12: 525}
"""NVIDIA's oldest driver for each major version of CUDA. Source: the release notes of the CUDA toolkits."""

INSTALL = f"pip install --force-reinstall {TORCH} --index-url https://download.pytorch.org/whl/"
NEW = f"{INSTALL}cu130"
"""The build for CUDA 13."""
OLD = f"{INSTALL}cu126"
"""The build for CUDA 12.6: the one for older drivers, and the last for GPUs before Turing."""

TURING, FIRST_BFLOAT16 = (7, 5), (8, 0)
"""Compute capabilities. Before Ampere (8.0), as in the V100, bfloat16 is computed by detours or not at all."""


@dataclass(frozen=True)
class TorchBuild:
    """cuda, hip: what it was built for. problem: why CUDA does not start, in its own words.

    device, capability: the first GPU's, when it can be used. kernels: architectures that the build has code for.
    """

    version: str
    cuda: str | None = None
    hip: str | None = None
    mps: bool = False
    device: str | None = None
    capability: tuple[int, int] = (0, 0)
    kernels: tuple[str, ...] = ()
    problem: str = ""

    @property
    def bfloat16(self) -> bool:
        """Whether the device computes in bfloat16 itself; every CPU does, if slowly."""
        return self.device is None or self.hip is not None or self.capability >= FIRST_BFLOAT16


def find_torch_build() -> TorchBuild:
    """Ask the installed PyTorch."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
    return TorchBuild(
        version=torch.__version__,
        cuda=torch.version.cuda,
        hip=torch.version.hip,
        mps=torch.backends.mps.is_available(),
        device=torch.cuda.get_device_name(0) if available else None,
        capability=torch.cuda.get_device_capability(0) if available else (0, 0),
        kernels=tuple(torch.cuda.get_arch_list()) if available else (),
        problem=str(said[-1].message).partition(". ")[0] if said and not available else "",
    )


def torch_checks(build: TorchBuild, gpus: Sequence[Gpu]) -> list[Check]:
    """Return the build, and the device that a run would use. gpus: what the driver's tool found."""
    kind = f"CUDA {build.cuda}" if build.cuda else f"ROCm {build.hip}" if build.hip else "CPU only"
    return [Check("PyTorch", "ok", f"{build.version}, built for {kind}"), _device(build, gpus)]


def _device(build: TorchBuild, gpus: Sequence[Gpu]) -> Check:
    if build.device:
        return _usable(build, gpus)
    if not gpus:
        return _no_gpu(build)
    return _unused(build, gpus[0])


def _usable(build: TorchBuild, gpus: Sequence[Gpu]) -> Check:
    text = build.device or ""
    if gpus:
        free, total = gpus[0].free_bytes / 2**30, gpus[0].memory_bytes / 2**30
        text += f", {free:.0f} of {total:.0f} GiB free, driver {gpus[0].driver}"
    if not has_code_for(build):
        names = ".".join(map(str, build.capability))
        fix = OLD if build.capability < TURING else NEW
        return Check("GPU", "fail", f"{text}; this PyTorch has no code for its architecture ({names})", fix)
    if not build.bfloat16:
        return Check("GPU", "warn", f"{text}; it has no bfloat16 of its own", "mixed_precision=no, which is float32")
    return Check("GPU", "ok", text)


def _no_gpu(build: TorchBuild) -> Check:
    if build.mps:
        return Check("GPU", "warn", "an Apple GPU, which is not used: training runs on the processor")
    return Check("GPU", "warn", "none was found: the tiny example runs on the processor, real models take days")


def _unused(build: TorchBuild, gpu: Gpu) -> Check:
    """Say why a GPU that is here is not used."""
    driver = _major(gpu.driver)
    text = f"{gpu.name} is here, driver {gpu.driver}, and this PyTorch cannot use it"
    if build.cuda is None and build.hip is None:
        return Check("GPU", "fail", f"{text}: it is a build for the CPU", _build_for(driver))
    oldest = OLDEST_DRIVERS.get(_major(build.cuda or ""), 0)
    if driver < oldest:
        reason = f"CUDA {build.cuda} needs driver {oldest} or newer"
        return Check("GPU", "fail", f"{text}: {reason}", _build_for(driver))
    return Check("GPU", "fail", f"{text}: {build.problem or 'CUDA gives no reason'}", "nvidia-smi")


def _build_for(driver: int) -> str:
    """Return what to install for a driver."""
    if driver >= OLDEST_DRIVERS[13]:
        return NEW
    if driver >= OLDEST_DRIVERS[12]:
        return f"{OLD}   (or update the driver to {OLDEST_DRIVERS[13]} or newer)"
    return (
        f"Update the NVIDIA driver to {OLDEST_DRIVERS[13]} or newer; {OLDEST_DRIVERS[12]} is the least for any PyTorch"
    )


def has_code_for(build: TorchBuild) -> bool:
    """Tell whether the build has kernels for the device: of its own generation and no newer, or some to translate."""
    if build.hip or not build.kernels:
        return True
    major, minor = build.capability
    for name in build.kernels:
        if match := re.fullmatch(r"(sm|compute)_(\d+)(\d)[af]?", name):
            kind, own = match[1], (int(match[2]), int(match[3]))
            if own <= (major, minor) and (kind == "compute" or own[0] == major):
                return True
    return False


def _major(version: str) -> int:
    match = re.match(r"\d+", version)
    return int(match[0]) if match else 0
