"""What the last screen says to type is what goes on with the run."""

from __future__ import annotations

import argparse

import pytest

from reeltune.cli.train import _command


def typed(*words: str, **flags: str) -> str:
    arguments = argparse.Namespace(**{"config": None, "env": None, "example": None, **flags})
    return _command(arguments, words)


def test_the_command_is_repeated_as_it_was_typed() -> None:
    assert typed() == "reeltune train"
    assert typed("validation_prompt=a cat", example="tiny") == "reeltune train --example tiny 'validation_prompt=a cat'"


def test_a_wish_to_start_afresh_is_not_repeated() -> None:
    assert typed("resume_from_checkpoint=", "seed=1", config="c.json") == "reeltune train --config c.json seed=1"


def test_a_script_that_calls_says_how_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REELTUNE_COMMAND", "./train.sh")
    assert typed(example="tiny") == "./train.sh --example tiny"
