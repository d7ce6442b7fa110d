"""What a run needs of the machine, as checks: plain facts in, sentences out."""

from __future__ import annotations

from collections.abc import Iterator

from reeltune.machine import packages
from reeltune.machine.check import Check
from reeltune.machine.host import Host

GIB = 2**30
OLDEST_PYTHON, FIRST_UNTRIED_PYTHON = (3, 11), (3, 14)
LITTLE_DISK, LEAST_DISK = 30 * GIB, 1 * GIB
"""The 1.3B model, its encoders and a small cache; a few checkpoints of a tiny one."""
LITTLE_RAM = 16 * GIB
"""The text encoder passes through the host's memory with its 11 GB."""


def python_check(version: tuple[int, int, int]) -> Check:
    text = ".".join(map(str, version))
    if OLDEST_PYTHON <= version[:2] < FIRST_UNTRIED_PYTHON:
        return Check("Python", "ok", text)
    return Check("Python", "fail", f"{text}; 3.11, 3.12 or 3.13 is needed", "python3.12 -m venv .venv")


def memory_check(host: Host) -> Check:
    total, available = host.ram_bytes / GIB, host.available_bytes / GIB
    text = f"{total:.0f} GiB, {available:.0f} GiB available; {host.cpus} processor{'s' * (host.cpus != 1)}"
    if host.ram_bytes >= LITTLE_RAM:
        return Check("memory", "ok", text)
    fix = "text_encoder_1_precision=int8-torchao halves what the text encoder takes"
    return Check("memory", "warn", f"{text}; 16 GiB are needed to load the text encoder of the released models", fix)


def disk_check(folder: str, free: int) -> Check:
    text = f"{free / GIB:.0f} GiB free at {folder}"
    if free >= LITTLE_DISK:
        return Check("disk", "ok", text)
    fix = "Make room, or name folders on another disk: output_dir=..., cache_dir_vae, HF_HOME"
    if free < LEAST_DISK:
        return Check("disk", "fail", f"{text}; nothing can be kept there", fix)
    return Check("disk", "warn", f"{text}; the 1.3B model and its encoders take 30 GiB", fix)


def package_checks() -> Iterator[Check]:
    """Yield one check for each optional package: here, too old for what it is for, or not here."""
    for package in packages.OPTIONAL:
        name, version = package.distribution, packages.version_of(package.distribution)
        if version is None:
            yield Check(name, "absent", f"not installed: {package.purpose}", package.install)
        elif packages.missing(name):
            text = f"{version}, and {package.at_least} or newer is needed: {package.purpose}"
            yield Check(name, "warn", text, package.install)
        else:
            yield Check(name, "ok", f"{version}: {package.purpose}")


def login_checks(*, hub: bool, wandb: bool) -> Iterator[Check]:
    yield (
        Check("hub login", "ok", "a token was found")
        if hub
        else Check("hub login", "absent", "none: for push_to_hub and gated models", "hf auth login")
    )
    yield (
        Check("wandb login", "ok", "a key was found")
        if wandb
        else Check("wandb login", "absent", "none: for report_to wandb", "wandb login")
    )
