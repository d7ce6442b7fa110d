"""`reeltune plan --measure`: the plan, and what only the loaded base can tell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.tiny import copy_prepared
from reeltune.cli.main import main


def test_the_base_is_measured_beside_the_plan(
    tiny_example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("optimum.quanto")
    run = copy_prepared(tiny_example, tmp_path)
    monkeypatch.chdir(run.place)
    assert main(["plan", "--example", "tiny", "--measure", "--json", "base_model_precision=int8-quanto"]) == 0
    page = json.loads(capsys.readouterr().out)
    measured = page["measured"]
    assert measured["precision"] == "int8-quanto"
    # Nothing but bfloat16, 8-bit and float32 numbers that are counted alike.
    assert measured["weights_bytes"] == pytest.approx(measured["planned_bytes"], rel=0.01)
    assert 0.001 < measured["rounding_error"] < 0.03
    assert measured["load_s"] > 0
    assert not run.folder.exists()
