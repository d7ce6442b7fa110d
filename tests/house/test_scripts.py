"""The scripts that make .venv say what they do to it, and work with whatever Python a machine has.

Python is a stand-in here: a shell script that answers what setup.sh asks, so that nothing is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FAKE_PYTHON = """#!/bin/bash
# version, venv, pip, ensurepip: what this Python has; a venv that it makes has pip.
version={version} venv={venv} pip={pip} ensurepip={ensurepip}
case "$*" in
    --version) echo "Python $version" ;;
    "-c import sys;"*) case $version in 3.11*|3.12*|3.13*) exit 0 ;; *) exit 1 ;; esac ;;
    "-m venv "*) [ $venv = yes ] || {{ echo "No module named venv" >&2; exit 1; }}
        mkdir -p "$3/bin" && sed "s/ pip=no/ pip=yes/" "$0" >"$3/bin/python" && chmod +x "$3/bin/python" ;;
    "-m pip --version") [ $pip = yes ] ;;
    "-m ensurepip") [ $ensurepip = yes ] && sed -i "s/ pip=no/ pip=yes/" "$0" ;;
    *) echo "unexpected: $*" >&2; exit 9 ;;
esac
"""


def fake_python(
    path: Path, *, version: str = "3.12.1", venv: bool = True, pip: bool = True, ensurepip: bool = True
) -> Path:
    """Write a stand-in for a Python that has only what is said."""
    has = {"venv": venv, "pip": pip, "ensurepip": ensurepip}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(FAKE_PYTHON.format(version=version, **{name: "yes" if yes else "no" for name, yes in has.items()}))
    path.chmod(0o755)
    return path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a copy of setup.sh, and with the only programs that it can see in bin/."""
    shutil.copy(ROOT / "setup.sh", tmp_path)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "dirname", "rm", "mv", "mkdir", "sed", "chmod"):
        (programs / name).symlink_to(str(shutil.which(name)))
    return tmp_path


def make_venv(place: Path) -> subprocess.CompletedProcess[str]:
    """Run setup.sh's make_venv as train.sh would."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHON"}
    return subprocess.run(
        ["bash", "-c", "set -u; . ./setup.sh; make_venv"],
        cwd=place,
        env=environment | {"PATH": str(place / "bin")},
        text=True,
        capture_output=True,
        timeout=30,
        check=False,
    )


def version_in(place: Path) -> str:
    return subprocess.run(
        [place / ".venv/bin/python", "--version"], check=True, text=True, capture_output=True
    ).stdout.strip()


@pytest.mark.parametrize("script", ["setup.sh", "train.sh", "test.sh"])
def test_a_script_is_valid_bash(script: str) -> None:
    subprocess.run(["bash", "-n", ROOT / script], check=True)


def test_a_venv_is_made_where_there_is_none(place: Path) -> None:
    fake_python(place / "bin/python3")
    outcome = make_venv(place)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stderr == f"making {place}/.venv with Python 3.12.1\n"
    assert version_in(place) == "Python 3.12.1"


def test_a_whole_venv_is_kept_without_a_word(place: Path) -> None:
    fake_python(place / "bin/python3")
    fake_python(place / ".venv/bin/python", version="3.11.2")
    outcome = make_venv(place)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert version_in(place) == "Python 3.11.2"


def test_another_python_is_looked_for_when_python3_is_too_old(place: Path) -> None:
    fake_python(place / "bin/python3", version="3.10.9")
    fake_python(place / "bin/python3.13", version="3.13.0")
    assert make_venv(place).returncode == 0
    assert version_in(place) == "Python 3.13.0"


def test_no_fitting_python_is_said_and_a_venv_that_is_there_stays(place: Path) -> None:
    fake_python(place / "bin/python3", version="3.9.1")
    fake_python(place / ".venv/bin/python", version="3.9.1")
    outcome = make_venv(place)
    assert outcome.returncode == 2
    assert "needs Python 3.11, 3.12 or 3.13" in outcome.stderr
    assert "found: Python 3.9.1" in outcome.stderr
    assert version_in(place) == "Python 3.9.1"


def test_a_python_without_venv_is_said_with_what_to_install(place: Path) -> None:
    fake_python(place / "bin/python3", venv=False)
    outcome = make_venv(place)
    assert outcome.returncode == 2
    assert "No module named venv" in outcome.stderr
    assert "sudo apt install python3-venv" in outcome.stderr
    assert not (place / ".venv").exists()


def test_a_venv_without_pip_gets_pip_and_keeps_the_rest(place: Path) -> None:
    fake_python(place / "bin/python3")
    fake_python(place / ".venv/bin/python", version="3.11.2", pip=False)
    (place / ".venv/mine").write_text("x")
    outcome = make_venv(place)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stderr == f"{place}/.venv has no pip: adding it, the rest stays\n"
    assert version_in(place) == "Python 3.11.2"
    assert (place / ".venv/mine").exists()


@pytest.mark.parametrize(
    ("old", "reason"),
    [
        ({"pip": False, "ensurepip": False}, "it has no pip, and Python's ensurepip could not add it"),
        ({"version": "3.14.0"}, "its Python is 3.14.0, and 3.11 to 3.13 is needed"),
        ({"version": "3.10.4"}, "its Python is 3.10.4, and 3.11 to 3.13 is needed"),
    ],
)
def test_an_unfit_venv_is_made_anew_with_the_reason(place: Path, old: dict, reason: str) -> None:
    fake_python(place / "bin/python3", version="3.13.1")
    fake_python(place / ".venv/bin/python", **old)
    outcome = make_venv(place)
    assert outcome.returncode == 0, outcome.stderr
    assert f"{place}/.venv is made anew: {reason}\n" in outcome.stderr
    assert version_in(place) == "Python 3.13.1"
    assert not (place / ".venv.aside").exists()


def test_an_unfit_venv_comes_back_when_no_new_one_can_be_made(place: Path) -> None:
    fake_python(place / "bin/python3", venv=False)
    fake_python(place / ".venv/bin/python", version="3.10.4")
    outcome = make_venv(place)
    assert outcome.returncode == 2
    assert f"{place}/.venv is left as it was" in outcome.stderr
    assert version_in(place) == "Python 3.10.4"


def test_a_venv_whose_python_is_gone_is_made_anew(place: Path) -> None:
    fake_python(place / "bin/python3")
    (place / ".venv/bin").mkdir(parents=True)
    (place / ".venv/bin/python").symlink_to(place / "nowhere")
    outcome = make_venv(place)
    assert outcome.returncode == 0, outcome.stderr
    assert "its Python is missing or broken" in outcome.stderr
    assert version_in(place) == "Python 3.12.1"
