"""What a plan says of an optimizer whose name promises more, or whose rate means less."""

from __future__ import annotations

from typing import Any

import pytest

from reeltune.config.load import load_config
from reeltune.run.optimizer_notes import optimizer_notes


def notes(**options: Any) -> list[str]:
    needed = {"pretrained_model_name_or_path": "m", "data_backend_config": "d.json", "output_dir": "o/x"}
    config = load_config([], needed | {"max_train_steps": 100} | options)
    return [f"{note.kind} {note.about}: {note.text}" for note in optimizer_notes(config)]


@pytest.mark.parametrize(
    ("options", "beginning"),
    [
        ({"optimizer": "adamw_bf16"}, "fact optimizer: adamw_bf16 runs as torch-adamw"),
        ({"optimizer": "adamw_schedulefree", "lr_scheduler": "cosine"}, "trap lr_scheduler: cosine is not used"),
        ({"optimizer": "prodigy"}, "trap learning_rate: 0.0001 is a factor on the rate that prodigy finds"),
        (
            {"optimizer": "prodigy", "learning_rate": 1.0, "lr_scheduler": "sine"},
            "fact lr_scheduler: sine multiplies the rate that prodigy finds",
        ),
        ({"optimizer": "ao-adamw8bit"}, "fact optimizer: ao-adamw8bit compiles its step"),
    ],
)
def test_what_the_name_does_not_say_is_said(options: dict[str, Any], beginning: str) -> None:
    (note,) = notes(**options)
    assert note.startswith(beginning)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"optimizer": "adamw_schedulefree"},
        {"optimizer": "prodigy", "learning_rate": 1.0},
        {
            "optimizer": "prodigy",
            "learning_rate": 1.0,
            "lr_scheduler": "sine",
            "optimizer_config": "use_schedulefree=false",
        },
    ],
)
def test_the_rest_needs_no_words(options: dict[str, Any]) -> None:
    assert notes(**options) == []
