"""Options on the command line: names, values, and what lies between."""

from __future__ import annotations

from typing import Any

import pytest

from reeltune.cli.main import _parser
from reeltune.config.words import parse_overrides
from reeltune.errors import ConfigError

CASES: list[tuple[list[str], dict[str, Any]]] = [
    (["seed=3"], {"seed": "3"}),
    (["--seed", "3"], {"seed": "3"}),
    (["--seed=3"], {"seed": "3"}),
    (["--seed", "-1"], {"seed": "-1"}),
    (["--learning-rate", "-.5e-3"], {"learning_rate": "-.5e-3"}),
    (["--use_ema"], {"use_ema": True}),
    (["--use-ema", "--seed", "-1"], {"use_ema": True, "seed": "-1"}),
    (["--use_ema", "seed=3"], {"use_ema": True, "seed": "3"}),
    (["--use_ema", "lora-rank=3"], {"use_ema": True, "lora_rank": "3"}),
    (["--use_ema", "validation_step_interval=3"], {"use_ema": True, "validation_step_interval": "3"}),
    (["--use_ema", "example=tiny"], {"use_ema": True, "example": "tiny"}),
    (["--validation_prompt", "a sign: 2+2=4"], {"validation_prompt": "a sign: 2+2=4"}),
    (["--validation_prompt", "--2+2=4", "seed=1"], {"validation_prompt": "--2+2=4", "seed": "1"}),
    (["--validation_prompt", "", "--use_ema"], {"validation_prompt": "", "use_ema": True}),
    (["validation_prompt=a cat, 3 = three dogs"], {"validation_prompt": "a cat, 3 = three dogs"}),
    (["resume_from_checkpoint="], {"resume_from_checkpoint": ""}),
    (["seed=1", "--seed", "2"], {"seed": "2"}),
]


@pytest.mark.parametrize(("words", "values"), CASES)
def test_words_are_read_as_names_and_values(words: list[str], values: dict[str, Any]) -> None:
    assert parse_overrides(words, also=("example",)) == values


@pytest.mark.parametrize("words", [words for words, _ in CASES])
def test_the_command_hands_the_words_on_in_order(words: list[str]) -> None:
    assert _parser().parse_known_args(["train", *words])[1] == words


def test_a_word_that_is_no_option_is_refused() -> None:
    with pytest.raises(ConfigError, match="'banana'"):
        parse_overrides(["banana"])
