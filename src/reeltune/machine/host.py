"""The machine itself: memory, processors, room on its disks. Limits of a container count."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")
"""Where Linux keeps the limits of a container, version 2."""


@dataclass(frozen=True)
class Host:
    """ram_bytes, available_bytes: memory there is, and memory that could be had without paging. cpus: for us to use."""

    ram_bytes: int
    available_bytes: int
    cpus: int


def find_host(cgroup: Path = CGROUP) -> Host:
    """Return what a process here may use."""
    memory = psutil.virtual_memory()
    limit, used = _number(cgroup / "memory.max"), _number(cgroup / "memory.current")
    if limit is None:
        return Host(memory.total, memory.available, _cpus())
    free = max(0, limit - (used or 0))
    return Host(min(memory.total, limit), min(memory.available, free), _cpus())


def resident_bytes() -> int:
    """Return the memory that this process has in use, libraries included."""
    return psutil.Process().memory_info().rss


def free_bytes(folder: Path) -> int:
    """Return the room on the disk of a folder that may not exist yet."""
    return shutil.disk_usage(nearest_existing(folder)).free


def nearest_existing(path: Path) -> Path:
    """Return the path itself, or the first of its parents that exists."""
    path = Path(os.path.abspath(path.expanduser()))
    return next(place for place in [path, *path.parents] if place.exists())


def _cpus() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _number(path: Path) -> int | None:
    """Return the number in a file; None for a file that says `max`, or is not there."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
