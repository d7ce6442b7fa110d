"""Scaled rates, gradient release and averages: what is refused, what is said, and what becomes of the numbers."""

from __future__ import annotations

import math
from typing import Any

import pytest

from reeltune.config.datasets import Datasets, TextEmbeds, VideoDataset
from reeltune.config.inert import inert_settings
from reeltune.config.load import load_config
from reeltune.config.root import Config
from reeltune.errors import ConfigError
from reeltune.estimate.memory import TrainedWeights
from reeltune.run.optimization_notes import optimization_notes
from reeltune.train.schedule import schedule_of

RELEASED = {"optimizer_release_gradients": True, "optimizer": "optimi-adamw"}


def config_of(**options: Any) -> Config:
    needed = {"data_backend_config": "d.json", "output_dir": "o/x", "max_train_steps": 10, "train_batch_size": 4}
    return load_config([], needed | options)


def problems_of(**options: Any) -> str:
    try:
        config_of(**options)
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"optimizer": "optimi-lion"}, []),
        ({"grad_clip_method": "norm", "max_grad_norm": 0}, []),
        ({"optimizer": "torch-adamw"}, ["optimizer is torch-adamw", "such as optimi-adamw"]),
        ({"gradient_accumulation_steps": 2}, ["gradient_accumulation_steps is 2"]),
        ({"grad_clip_method": "norm", "max_grad_norm": 1.0}, ["grad_clip_method is norm"]),
    ],
)
def test_release_is_refused_where_a_tensor_cannot_move_alone(options: dict[str, Any], named: list[str]) -> None:
    problems = problems_of(**{**RELEASED, **options})
    assert all(words in problems for words in named)
    assert bool(problems) == bool(named)
    assert not problems_of(**{**options, "optimizer_release_gradients": False})


@pytest.mark.parametrize(("sqrt", "factor"), [(False, 12), (True, math.sqrt(12))])
def test_the_rate_is_scaled_by_the_samples_of_a_step(sqrt: bool, factor: float) -> None:
    config = config_of(learning_rate=1e-4, lr_scale=True, lr_scale_sqrt=sqrt, gradient_accumulation_steps=3)
    schedule = schedule_of(config.optimization, 10, samples=config.training.samples_per_step)
    assert schedule.rate(5) == pytest.approx(1e-4 * factor, rel=1e-12)
    (note,) = optimization_notes(config)
    assert note.about == "lr_scale"
    assert f"{1e-4 * factor:g}" in note.text


def test_without_lr_scale_the_rate_is_as_written() -> None:
    config = config_of(learning_rate=1e-4, lr_scale_sqrt=True)
    assert schedule_of(config.optimization, 10, samples=4).rate(5) == 1e-4
    assert not list(optimization_notes(config))


def test_an_end_below_the_scaled_rate_is_a_falling_rate() -> None:
    options = {"lr_scheduler": "cosine", "learning_rate": 1e-4, "lr_end": 2e-4}
    assert "lr_end 0.0002 is above learning_rate 0.0001" in problems_of(**options)
    assert not problems_of(**options, lr_scale=True)


def test_the_end_of_a_decay_that_is_not_used_is_no_problem() -> None:
    assert not problems_of(lr_scheduler="cosine", learning_rate=1e-4, lr_end=2e-4, optimizer="adamw_schedulefree")


@pytest.mark.parametrize(
    ("switch", "about"),
    [("use_schedulefree", ["max_grad_norm"]), ("use_stableadamw", ["use_ema"])],
)
def test_what_prodigy_is_told_not_to_do_is_not_said(switch: str, about: list[str]) -> None:
    options = {"optimizer": "prodigy", "max_grad_norm": 1.0, "use_ema": True}
    notes = optimization_notes(config_of(**options, optimizer_config={switch: "false"}))
    assert [note.about for note in notes] == about
    assert [note.about for note in optimization_notes(config_of(**options))] == ["max_grad_norm", "use_ema"]


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"optimizer": "optimi-stableadamw", "max_grad_norm": 1.0}, "fact", "limits its updates itself"),
        (RELEASED, "fact", "cannot be taken back"),
    ],
)
def test_what_the_optimizer_means_is_said(options: dict[str, Any], kind: str, words: str) -> None:
    notes = [note for note in optimization_notes(config_of(**options)) if words in note.text]
    assert [note.kind for note in notes] == [kind]


def test_switches_without_what_they_belong_to_are_inert() -> None:
    dataset = VideoDataset(id="a", instance_data_dir="c", cache_dir_vae="v")
    datasets = Datasets(trained=(dataset,), text=TextEmbeds(id="t", cache_dir="x"))
    config = config_of(lr_scale_sqrt=True, ema_device="cpu", ema_foreach_disable=True)
    named = {note.about for note in inert_settings(config, datasets)}
    assert {"lr_scale_sqrt", "ema_device", "ema_foreach_disable"} <= named
    config = config_of(lr_scale=True, lr_scale_sqrt=True, use_ema=True, ema_device="cpu", ema_foreach_disable=True)
    named = {note.about for note in inert_settings(config, datasets)}
    assert not {"lr_scale_sqrt", "ema_device", "ema_foreach_disable"} & named


def test_gradients_that_are_let_go_are_not_counted() -> None:
    assert TrainedWeights(1000, states=8).size_bytes == 1000 * (4 + 4 + 8)
    assert TrainedWeights(1000, states=8, gradients=10).size_bytes == 1000 * (4 + 8) + 10 * 4
