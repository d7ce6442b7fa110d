"""Settings of optimizers are checked against what each takes, before anything is loaded."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

from reeltune.config.load import load_config
from reeltune.config.optimizer_checks import overruled_settings, settings_of
from reeltune.config.optimizer_keys import KEYS
from reeltune.config.optimizer_names import OPTIMIZERS
from reeltune.config.root import Config
from reeltune.errors import ConfigError


def config_of(**options: Any) -> Config:
    needed = {"pretrained_model_name_or_path": "m", "data_backend_config": "d.json", "output_dir": "o/x"}
    return load_config([], needed | {"max_train_steps": 100} | options)


def refusal(**options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        config_of(**options)
    return str(caught.value)


def test_every_optimizer_says_what_it_takes_and_none_takes_what_the_run_settles() -> None:
    assert KEYS.keys() == OPTIMIZERS.keys()
    for name, takes in KEYS.items():
        assert not takes.keys() & {"lr", "params", "maximize", "fused", "is_paged", "gradient_release"}, name


def test_settings_come_from_options_of_their_own() -> None:
    config = config_of(optimizer_beta1=0.8, optimizer_beta2=0.9, adam_weight_decay=0.1, adam_epsilon=1e-7)
    assert settings_of(config.optimization) == {"betas": (0.8, 0.9), "weight_decay": 0.1, "eps": 1e-7}


def test_unset_settings_are_the_librarys() -> None:
    assert settings_of(config_of().optimization) == {}


def test_optimizer_config_wins_and_what_it_overrules_is_named() -> None:
    config = config_of(
        optimizer_beta1=0.8, optimizer_beta2=0.9, adam_weight_decay=0.1, optimizer_config="betas=0.7|0.95,amsgrad=true"
    )
    assert settings_of(config.optimization) == {"betas": (0.7, 0.95), "weight_decay": 0.1, "amsgrad": True}
    (overruled,) = overruled_settings(config)
    assert overruled == (("optimizer_beta1", "optimizer_beta2"), "optimizer_config sets betas")


def test_an_object_says_the_same_as_a_text() -> None:
    given = config_of(optimizer_config={"betas": [0.7, 0.95], "eps": 1e-7})
    text = config_of(optimizer_config="betas=0.7|0.95, eps=1e-7")
    json = config_of(optimizer_config='{"betas": "0.7|0.95", "eps": "1e-7"}')
    assert settings_of(given.optimization) == settings_of(text.optimization) == settings_of(json.optimization)


def test_texts_in_an_object_are_read_as_those_of_a_text() -> None:
    config = config_of(optimizer_config={"amsgrad": "true", "weight_decay": "0.01", "betas": [0.7, 0.95]})
    assert settings_of(config.optimization) == {"amsgrad": True, "weight_decay": 0.01, "betas": (0.7, 0.95)}


@pytest.mark.parametrize("value", ["1", "1.0", "1.5"])
def test_adafactor_takes_any_threshold_from_1_on(value: str) -> None:
    config = config_of(optimizer="torch-adafactor", optimizer_config=f"d={value}")
    assert settings_of(config.optimization) == {"d": float(value)}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"optimizer": "torch-sgd", "optimizer_config": "betas=0.9|0.99"},
            "optimizer_config: torch-sgd has no betas; it takes dampening, momentum, nesterov, weight_decay",
        ),
        (
            {"optimizer": "torch-sgd", "optimizer_beta1": 0.9, "optimizer_beta2": 0.99},
            "optimizer_beta1 and optimizer_beta2: torch-sgd has no betas",
        ),
        ({"optimizer": "optimi-lion", "adam_epsilon": 1e-7}, "adam_epsilon: optimi-lion has no eps"),
        ({"optimizer_beta1": 0.9}, "optimizer_beta1 is set and optimizer_beta2 is not"),
        ({"optimizer_beta2": 0.9}, "optimizer_beta2 is set and optimizer_beta1 is not"),
        ({"optimizer_config": "eps=1e-8,amsgrad=true,eps=1e-7"}, "eps is given 2 times"),
        ({"optimizer_config": '{"eps": }'}, "line 1, column 9: unexpected"),
        ({"optimizer": "torch-adafactor", "optimizer_config": "d=0.5"}, "d of torch-adafactor is 0.5; a number >= 1"),
        ({"optimizer_config": "lr=1e-3"}, "lr is set by learning_rate"),
        ({"optimizer_config": "betas=0.9|1.5"}, "betas of torch-adamw is 0.9|1.5; two numbers"),
        ({"optimizer_config": "betas=0.9"}, "betas of torch-adamw is 0.9; two numbers"),
        ({"optimizer_config": "eps=0"}, "eps of torch-adamw is 0; a number above 0 is needed"),
        ({"optimizer_config": "weight_decay=-1"}, "weight_decay of torch-adamw is -1; a number >= 0"),
        ({"optimizer_config": "amsgrad=1"}, "amsgrad of torch-adamw is 1; true or false"),
        ({"optimizer_config": "weight_decay=true"}, "weight_decay of torch-adamw is True; a number >= 0"),
        (
            {"optimizer": "bnb-ademamix", "optimizer_beta1": 0.9, "optimizer_beta2": 0.99},
            "betas of bnb-ademamix is 0.9|0.99; three numbers",
        ),
        ({"optimizer": "optimi-ranger", "optimizer_config": "k=0"}, "k of optimi-ranger is 0; a whole number >= 1"),
        ({"optimizer": "prodigy", "optimizer_config": "d_coef=x"}, "d_coef of prodigy is 'x'; a number above 0"),
        ({"optimizer": "prodigy", "optimizer_config": "beta3=1"}, "beta3 of prodigy is 1; a number .* or none"),
        # At rest the weights are x = y + (1 - 1 / beta1) * (z - y): a beta1 of 0 has none.
        ({"optimizer": "adamw_schedulefree", "optimizer_config": "betas=0|0.9"}, "two numbers between 0 and 1"),
        ({"optimizer": "torch-muon", "optimizer_config": "adjust_lr_fn=x"}, "one of original, match_rms_adamw"),
        ({"optimizer": "torch-sgd", "optimizer_config": "nesterov=true"}, "nesterov of torch-sgd needs a momentum"),
    ],
)
def test_what_an_optimizer_does_not_take_is_listed(options: dict[str, Any], words: str) -> None:
    assert re.search(words.replace("|", r"\|"), refusal(**options))


def test_all_problems_are_listed_at_once() -> None:
    message = refusal(optimizer="torch-sgd", optimizer_beta1=0.9, optimizer_config="momentum=2,eps=1e-8")
    assert "3 problems" in message


def test_schedule_free_says_that_nothing_decays() -> None:
    ((names, reason),) = overruled_settings(config_of(optimizer="adamw_schedulefree"))
    assert "lr_end" in names
    assert "in place of a decay" in reason


def test_checking_does_not_load_torch() -> None:
    code = "import sys; import reeltune.config.contradictions; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
