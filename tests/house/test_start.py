"""The command answers at once: nothing heavy is imported before it is needed."""

from __future__ import annotations

import subprocess
import sys
import time


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, text=True, capture_output=True).stdout


def test_the_command_line_opens_without_torch() -> None:
    loaded = run_python("import sys, reeltune.cli.main; reeltune.cli.main._parser(); print(*sys.modules)").split()
    assert not {"torch", "diffusers", "transformers", "pydantic"} & set(loaded)


def test_importing_the_command_line_takes_under_300_ms() -> None:
    code = "import time; t = time.perf_counter(); import reeltune.cli.main; print(time.perf_counter() - t)"
    assert min(float(run_python(code)) for _ in range(3)) < 0.3


def test_help_takes_under_half_a_second() -> None:
    times = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "reeltune", "--help"], check=True, capture_output=True)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.5
