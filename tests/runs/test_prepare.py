"""`reeltune prepare` fills the caches that training reads, and takes the room that the plan said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from helpers.cli import reeltune
from helpers.tiny import TinyRun, copy_prepared


def needs(run: TinyRun) -> dict[str, int]:
    """Return the bytes that the plan says are still to be written, by what they are."""
    return {need["what"]: need["need_bytes"] for need in plan_of(run)["disk"]}


def plan_of(run: TinyRun, *words: str) -> dict[str, Any]:
    outcome = reeltune("plan", "--json", "--example", "tiny", *words, cwd=run.place)
    assert outcome.returncode == 0, outcome.stderr
    return json.loads(outcome.stdout)


@pytest.fixture(scope="module")
def prepared(tiny_example: Path, tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """A copy of the tiny example, as `reeltune prepare` leaves it."""
    run = copy_prepared(tiny_example, tmp_path_factory.mktemp("prepared"))
    for path in sorted((run.place / "output/tiny/cache").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    promised = needs(run)
    outcome = reeltune("prepare", "--example", "tiny", cwd=run.place)
    assert outcome.returncode == 0, outcome.stderr
    assert "Ready: 24 clips and 26 texts are encoded. Start with: " in outcome.stdout
    # Within the headers of the files, and for captions within the guess of their tokens.
    assert entries(run, "vae")[1] == pytest.approx(promised["encoded clips"], rel=0.05)
    assert entries(run, "text")[1] == pytest.approx(promised["encoded captions"], rel=0.25)
    return run


def entries(run: TinyRun, cache: str) -> tuple[set[tuple[Path, int]], int]:
    """Return each encoded entry of a cache with its time of change, and the bytes of all."""
    files = {path: path.stat() for path in (run.place / "output/tiny/cache" / cache).rglob("*.safetensors")}
    times = {(path, status.st_mtime_ns) for path, status in files.items()}
    return times, sum(status.st_size for status in files.values())


def test_preparing_again_encodes_nothing(prepared: TinyRun) -> None:
    before = [entries(prepared, cache) for cache in ("vae", "text")]
    assert [len(times) for times, _ in before] == [24, 26]
    outcome = reeltune("prepare", "--example", "tiny", cwd=prepared.place)
    assert "Ready: 24 clips and 26 texts are encoded" in outcome.stdout
    assert "encoding" not in outcome.stderr
    assert "loading the" not in outcome.stderr
    assert [entries(prepared, cache) for cache in ("vae", "text")] == before
    assert not prepared.folder.exists()


def test_training_reads_what_was_prepared(prepared: TinyRun) -> None:
    before = [entries(prepared, cache) for cache in ("vae", "text")]
    promised = needs(prepared)
    assert promised["encoded clips"] == 0
    words = ("max_train_steps=2", "checkpointing_steps=1", "validation_disable=true")
    outcome = reeltune("train", "--example", "tiny", *words, cwd=prepared.place)
    assert outcome.returncode == 0, outcome.stderr
    assert "encoding" not in outcome.stderr
    assert [entries(prepared, cache) for cache in ("vae", "text")] == before
    # The plan said what two checkpoints take.
    written = sum(path.stat().st_size for path in prepared.folder.glob("checkpoint-*/**/*") if path.is_file())
    assert written == pytest.approx(promised["2 checkpoints"], rel=0.1)
    assert plan_of(prepared, *words)["length"]["done"] == 2
