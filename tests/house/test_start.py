"""The command answers at once: nothing heavy is imported before it is needed."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence

import pytest

from reeltune.cli.main import COMMANDS

HEAVY = {"torch", "diffusers", "transformers", "peft", "pydantic", "numpy", "av", "questionary", "huggingface_hub"} | {
    *("PIL", "pyarrow", "fsspec", "s3fs", "aiohttp"),
}
"""What takes a tenth of a second and more."""


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, text=True, capture_output=True).stdout


def modules_after(code: str) -> set[str]:
    """Return what is imported once the code has run, or has left by exiting."""
    shown = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nprint('MODULES', *sys.modules)"
    return set(run_python(shown).rpartition("MODULES")[2].split())


def seconds_of(words: Sequence[str]) -> float:
    """Return how long a command takes, the shortest of three."""
    times = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "reeltune", *words], check=True, capture_output=True)
        times.append(time.perf_counter() - started)
    return min(times)


def test_the_command_line_opens_without_torch() -> None:
    assert not HEAVY & modules_after("import reeltune.cli.main; reeltune.cli.main._parser()")


def test_importing_the_command_line_takes_under_300_ms() -> None:
    code = "import time; t = time.perf_counter(); import reeltune.cli.main; print(time.perf_counter() - t)"
    assert min(float(run_python(code)) for _ in range(3)) < 0.3


@pytest.mark.parametrize("words", [[], *([command] for command in COMMANDS)], ids=lambda words: " ".join(words))
def test_help_takes_under_half_a_second(words: list[str]) -> None:
    assert seconds_of([*words, "--help"]) < 0.5


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_needs_nothing_heavy(command: str) -> None:
    assert not HEAVY & modules_after(f"from reeltune.cli.main import main; main(['{command}', '--help'])")


@pytest.mark.parametrize(
    ("words", "without"),
    [
        (["examples", "list"], HEAVY),
        # Options are read with pydantic; numbers and clips are of no use to them.
        (["options", "lora"], HEAVY - {"pydantic"}),
        (["train", "lora_rank=0"], {"torch", "diffusers", "transformers", "peft"}),
        (["plan", "lora_rank=0"], {"torch", "diffusers", "transformers", "peft"}),
        (["data", "manifest", "lora_rank=0"], HEAVY - {"pydantic"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_commands_that_end_early_import_little(words: list[str], without: set[str]) -> None:
    assert not without & modules_after(f"from reeltune.cli.main import main; main({words})")
