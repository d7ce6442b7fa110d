"""What the last screen says to type is what goes on with the run."""

from __future__ import annotations

import argparse

import pytest

from reeltune.cli.source import command


def typed(*words: str, **flags: str) -> str:
    arguments = argparse.Namespace(**{"config": None, "env": None, "example": None, **flags})
    return command("train", arguments, words, leave_out={"resume_from_checkpoint"})


def test_the_command_is_repeated_as_it_was_typed() -> None:
    assert typed() == "reeltune train"
    assert typed("validation_prompt=a cat", example="tiny") == "reeltune train --example tiny 'validation_prompt=a cat'"


def test_a_wish_to_start_afresh_is_not_repeated() -> None:
    assert typed("resume_from_checkpoint=", "seed=1", config="c.json") == "reeltune train --config c.json seed=1"


def test_a_script_that_calls_says_how_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REELTUNE_COMMAND", "./train.sh")
    assert typed(example="tiny") == "./train.sh --example tiny"


@pytest.mark.parametrize("words", [('webhook_config={"a": 1}',), ("--webhook-config", "[1]"), ("--webhook_config=x",)])
def test_what_may_hold_secrets_is_not_repeated(words: tuple[str, ...]) -> None:
    assert typed("seed=1", *words, "--strict", "lora_rank=4") == "reeltune train seed=1 --strict lora_rank=4"
