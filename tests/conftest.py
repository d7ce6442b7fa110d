"""What the tests share: one tiny model, one set of clips, one finished run, made once per session."""

from __future__ import annotations

import os

# Before torch is imported anywhere: one thread, so that a busy machine does not slow a step fifty times.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import pickle
import signal
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from helpers.cli import reeltune
from helpers.tiny import TinyRun, copy_prepared, open_tiny
from reeltune.demo.example import make_example
from reeltune.families.wan.family import Wan

torch.set_num_threads(1)
# A job in a shell's background ignores Ctrl-C, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def shared_place(tmp_path_factory: pytest.TempPathFactory, name: str) -> Path:
    """Return a folder that all processes of this test session share."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name


@pytest.fixture(scope="session")
def tiny_example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory in which the tiny example's clips and model lie. Read only: copy it to run in it."""
    place = shared_place(tmp_path_factory, "tiny")
    with FileLock(f"{place}.lock"):
        if not place.exists():
            make_example(place / "output/tiny")
    return place


@pytest.fixture(scope="session")
def tiny_model(tiny_example: Path) -> Path:
    """The tiny model's folder, in the diffusers layout."""
    return tiny_example / "output/tiny/model"


@pytest.fixture(scope="session")
def tiny_clips(tiny_example: Path) -> Path:
    """The tiny data set's folder."""
    return tiny_example / "output/tiny/clips"


@pytest.fixture
def wan(tiny_model: Path) -> Wan:
    """The tiny model as a family, in float32."""
    return open_tiny(tiny_model, torch.float32)


@pytest.fixture(scope="session")
def finished(tiny_example: Path, tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """The bundled example, run to its end by the command that a newcomer types. Read only."""
    place = shared_place(tmp_path_factory, "finished")
    said = place.with_suffix(".pickle")
    with FileLock(f"{place}.lock"):
        if not said.exists():
            copy_prepared(tiny_example, place)
            said.write_bytes(pickle.dumps(reeltune("train", "--example", "tiny", cwd=place)))
    outcome = pickle.loads(said.read_bytes())
    assert outcome.returncode == 0, outcome.stderr
    return TinyRun(place, outcome)


@pytest.fixture(autouse=True)
def _fixed_random_state() -> None:
    """Let no test depend on the random state that another one left."""
    torch.manual_seed(0)
