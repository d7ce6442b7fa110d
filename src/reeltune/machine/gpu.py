"""Which GPUs this machine has, asked of the driver's own tool: no library is loaded, and no context is made."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

TIMEOUT_S = 3.0
MEBI = 2**20

_NVIDIA = ("nvidia-smi", "--query-gpu=index,uuid,name,memory.total,memory.free,driver_version")
_NVIDIA_FORMAT = "--format=csv,noheader,nounits"
_AMD = ("rocm-smi", "--showproductname", "--showmeminfo", "vram", "--showdriverversion", "--json")


@dataclass(frozen=True)
class Gpu:
    """index: as the driver counts. driver: its version."""

    name: str
    memory_bytes: int
    free_bytes: int
    driver: str
    index: int
    uuid: str = ""


def find_gpus() -> list[Gpu]:
    """Return the GPUs that a process here may use, NVIDIA's or else AMD's; none when no tool answers in time."""
    if output := _output(*_NVIDIA, _NVIDIA_FORMAT):
        return visible(parse_nvidia(output), os.environ.get("CUDA_VISIBLE_DEVICES"))
    return parse_amd(_output(*_AMD))


def parse_nvidia(output: str) -> list[Gpu]:
    """Read the lines of nvidia-smi. Lines of another form, such as its complaints, are passed over."""
    rows = [[cell.strip() for cell in line.split(",")] for line in output.splitlines()]
    return [
        Gpu(name, _mebibytes(total, shared.total), _mebibytes(free, shared.available), driver, int(index), uuid)
        for shared in [psutil.virtual_memory()]
        for row in rows
        if len(row) == 6 and row[0].isdigit()
        for index, uuid, name, total, free, driver in [row]
    ]


def parse_amd(output: str) -> list[Gpu]:
    """Read rocm-smi's JSON."""
    try:
        found = json.loads(output or "{}")
    except json.JSONDecodeError:
        return []
    # The names of the fields changed their capitals from one release to the next.
    cards = {card: {name.lower(): value for name, value in fields.items()} for card, fields in found.items()}
    driver = cards.pop("system", {}).get("driver version", "")
    return [
        Gpu(
            name=fields.get("card series", card),
            memory_bytes=int(total),
            free_bytes=int(total) - int(fields.get("vram total used memory (b)", 0)),
            driver=driver,
            index=int(card.removeprefix("card")),
        )
        for card, fields in cards.items()
        if (total := fields.get("vram total memory (b)"))
    ]


def visible(gpus: Sequence[Gpu], setting: str | None) -> list[Gpu]:
    """Return the GPUs that CUDA_VISIBLE_DEVICES leaves, in its order: numbers or beginnings of UUIDs.

    As CUDA does, the first entry that names none ends the list.
    """
    if setting is None:
        return list(gpus)
    chosen: list[Gpu] = []
    for entry in (word.strip() for word in setting.split(",")):
        named = [gpu for gpu in gpus if entry == str(gpu.index) or (entry[:4] == "GPU-" and gpu.uuid.startswith(entry))]
        if len(named) != 1:
            break
        chosen += named
    return chosen


def _mebibytes(text: str, shared: int) -> int:
    # A GPU without memory of its own, on the machine's, has no number here.
    return int(text) * MEBI if text.isdigit() else shared


def _output(*command: str) -> str:
    """Return what a command prints; nothing when it is not here, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
