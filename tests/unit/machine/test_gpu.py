"""What the drivers' tools print, as GPUs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psutil
import pytest

from reeltune.machine import gpu
from reeltune.machine.gpu import Gpu, find_gpus, parse_amd, parse_nvidia, visible

TWO = """\
0, GPU-1aa7, NVIDIA GeForce RTX 4090, 24564, 23028, 550.54.14
1, GPU-1ab8, NVIDIA H100 80GB HBM3, 81559, 81008, 550.54.14
"""


def test_every_line_is_a_gpu_with_memory_in_bytes() -> None:
    small, large = parse_nvidia(TWO)
    assert small == Gpu("NVIDIA GeForce RTX 4090", 24564 * 2**20, 23028 * 2**20, "550.54.14", 0, "GPU-1aa7")
    assert (large.name, large.index) == ("NVIDIA H100 80GB HBM3", 1)


@pytest.mark.parametrize(
    "output",
    [
        "",
        "No devices were found\n",
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n",
        'Field "uuid" is not a valid field to query.\n',
    ],
)
def test_a_complaint_is_no_gpu(output: str) -> None:
    assert parse_nvidia(output) == []


def test_a_gpu_without_memory_of_its_own_has_the_machine_s() -> None:
    (shared,) = parse_nvidia("0, GPU-9, NVIDIA GB10, [N/A], [N/A], 580.95.05\n")
    assert shared.memory_bytes == psutil.virtual_memory().total
    assert 0 < shared.free_bytes <= shared.memory_bytes


def test_amd_s_tool_is_read_in_both_of_its_spellings() -> None:
    spellings = ("Card Series", "Card series")
    for series in spellings:
        output = (
            f'{{"card0": {{"{series}": "AMD Instinct MI300X", "VRAM Total Memory (B)": "206141652992", '
            '"VRAM Total Used Memory (B)": "297738240"}, "system": {"Driver version": "6.8.5"}}'
        )
        (found,) = parse_amd(output)
        assert found == Gpu("AMD Instinct MI300X", 206141652992, 206141652992 - 297738240, "6.8.5", 0)


@pytest.mark.parametrize("output", ["", "WARNING: No AMD GPUs specified", '{"system": {"Driver version": "6.8.5"}}'])
def test_no_amd_gpu_is_none(output: str) -> None:
    assert parse_amd(output) == []


@pytest.mark.parametrize(
    ("setting", "left"),
    [
        (None, [0, 1]),
        ("1", [1]),
        ("1,0", [1, 0]),
        ("", []),
        ("-1", []),
        ("0,7,1", [0]),
        ("GPU-1ab", [1]),
        # Two begin so.
        ("GPU-1a", []),
    ],
)
def test_hidden_gpus_are_left_out_as_cuda_does(setting: str | None, left: list[int]) -> None:
    assert [one.index for one in visible(parse_nvidia(TWO), setting)] == left


def put_tool(folder: Path, name: str, script: str) -> None:
    tool = folder / name
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole of PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path


def test_the_driver_s_tool_is_asked(tools: Path) -> None:
    put_tool(tools, "nvidia-smi", 'echo "0, GPU-1, NVIDIA L40S, 46068, 45000, 570.1"')
    assert [one.name for one in find_gpus()] == ["NVIDIA L40S"]


def test_without_any_tool_there_is_no_gpu(tools: Path) -> None:
    assert find_gpus() == []


def test_a_tool_that_fails_is_no_gpu(tools: Path) -> None:
    put_tool(tools, "nvidia-smi", 'echo "0, GPU-1, NVIDIA L40S, 46068, 45000, 570.1"; exit 9')
    assert find_gpus() == []


def test_a_tool_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(command: tuple[str, ...], *, timeout: float, **_: object) -> None:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(gpu.subprocess, "run", hang)
    assert find_gpus() == []
