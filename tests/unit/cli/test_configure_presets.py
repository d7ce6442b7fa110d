"""The values that the wizard knows fit the GPUs and the clips that it says they are for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from helpers.clips import clip_info
from reeltune.cli.configure import GOALS as FLAG_GOALS
from reeltune.cli.configure.cards import CARDS, LARGE, MODELS, SMALL, Card, card_for, recommended_model
from reeltune.cli.configure.folder import Clip, Folder, lengths, suggested_length
from reeltune.cli.configure.goals import GOALS
from reeltune.cli.configure.settings import Answers, options_for, suggested_steps
from reeltune.config.adapter import AdapterOptions
from reeltune.config.model import ModelOptions
from reeltune.config.targets import chosen_layers
from reeltune.data.buckets import Sizing, bucket_size
from reeltune.estimate import memory
from reeltune.estimate.parameters import lora_parameters
from reeltune.families import family_dimensions, family_facts, family_layers

GIB = 2**30
FACTS = family_facts(ModelOptions())
ROWS = [(model, card) for model, cards in CARDS.items() for card in cards]


def folder_of(*sizes: tuple[int, int], frames: int = 81) -> Folder:
    clips = [Clip(Path("a.mp4"), clip_info(frames, 16, width=w, height=h), frames, "words") for w, h in sizes]
    return Folder(Path("clips"), tuple(clips), (), 0, 16.0)


def answers(size: str, gb: float | int, goal: str = "concept", folder: Folder | None = None) -> Answers:
    card, _ = card_for(size, float(gb))
    clips = folder or folder_of((1920, 1080))
    return Answers(clips, None, goal, size, MODELS[size], card, 49, 1000, "a prompt", "output/x")


def values(given: Answers, **options: object) -> dict[str, object]:
    return {setting.name: setting.value for setting in options_for(given, options, datasets_file="d.json")}


def needs(model: str, card: Card, width: int, height: int) -> list[memory.Amount]:
    """Return what every stage takes with the longest samples of a shape of clips."""
    options = ModelOptions(pretrained_model_name_or_path=MODELS[model])
    size = family_dimensions(options)
    assert size
    width, height = bucket_size(width, height, Sizing(float(card.resolution), "pixel_area"))
    frames = card.num_frames
    tokens = FACTS.geometry.tokens(frames=frames, height=height, width=width)
    storage = memory.Storage(precision=card.base_model_precision)
    rank = max(goal.lora_rank for goal in GOALS.values())
    layers = chosen_layers(family_layers(options), AdapterOptions(), FACTS)
    weights = memory.TrainedWeights(lora_parameters(layers, rank=rank))
    shape: dict[str, Any] = {"frames": frames, "height": height, "width": width}
    return [
        memory.text_encoding(memory.Storage(precision=card.text_encoder_1_precision)),
        memory.video_encoding(**shape),
        memory.training(size, (tokens,) * size.layers, samples=card.train_batch_size, weights=weights, storage=storage),
        memory.rendering(size, tokens, weights=weights, storage=storage, **shape),
    ]


@pytest.mark.parametrize(("model", "card"), ROWS, ids=lambda row: str(getattr(row, "gb", row)))
@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1080, 1920), (1000, 1000)])
def test_every_stage_fits_the_card_with_room_to_spare(model: str, card: Card, width: int, height: int) -> None:
    for need in needs(model, card, width, height):
        assert need.size_bytes < 0.87 * card.gb * GIB, need


@pytest.mark.parametrize(("model", "card"), ROWS, ids=lambda row: str(getattr(row, "gb", row)))
def test_every_value_of_a_card_has_its_reason(model: str, card: Card) -> None:
    reasons = {setting.name: setting.why for setting in options_for(answers(model, card.gb), {}, datasets_file="d")}
    assert all(len(reasons[name]) > 8 for name in card.whys)


@pytest.mark.parametrize(
    ("mebibytes", "small", "large"),
    [
        (8188, (12, False), (24, False)),  # RTX 4060
        (12282, (12, True), (24, False)),  # RTX 4070
        (15360, (16, True), (24, False)),  # T4, which has less than it is sold as
        (16376, (16, True), (24, False)),  # RTX 4080
        (23034, (24, True), (24, True)),  # L4
        (24564, (24, True), (24, True)),  # RTX 4090
        (46068, (48, True), (48, True)),  # L40S
        (81559, (80, True), (80, True)),  # H100
        (143771, (80, True), (80, True)),  # H200
    ],
)
def test_a_card_gets_the_row_of_its_size(mebibytes: int, small: tuple[int, bool], large: tuple[int, bool]) -> None:
    for model, (gb, fits) in ((SMALL, small), (LARGE, large)):
        card, found = card_for(model, mebibytes / 1024)
        assert (card.gb, found) == (gb, fits), model


def test_the_large_model_is_recommended_where_it_is_trained_without_rounding() -> None:
    assert [recommended_model(gb) for gb in (12.0, 24.0, 44.9, 79.6)] == [SMALL, SMALL, LARGE, LARGE]


def test_the_flag_offers_the_goals_that_there_are() -> None:
    assert tuple(GOALS) == FLAG_GOALS


def test_steps_follow_clips_goal_and_batch() -> None:
    assert suggested_steps("style", 24, batch_size=1) == 24 * 60 + 10  # rounded up to 50
    assert suggested_steps("motion", 24, batch_size=1) == 2900
    assert suggested_steps("motion", 24, batch_size=4) == 750
    assert suggested_steps("character", 3, batch_size=1) == 600
    assert suggested_steps("character", 5000, batch_size=2) == 4000


def test_the_large_model_and_lion_take_lower_rates() -> None:
    assert values(answers(SMALL, 24))["learning_rate"] == 1e-4
    assert values(answers(LARGE, 24))["learning_rate"] == 5e-5
    lion = values(answers(SMALL, 24), optimizer="optimi-lion")
    assert (lion["optimizer"], lion["learning_rate"]) == ("optimi-lion", 2e-5)


def test_small_clips_are_not_enlarged() -> None:
    assert values(answers(SMALL, 80))["resolution"] == 640
    assert values(answers(SMALL, 80, folder=folder_of((640, 360))))["resolution"] == 480
    assert values(answers(SMALL, 80, folder=folder_of((400, 300))))["resolution"] == 320  # isqrt(120000) = 346
    assert values(answers(SMALL, 80, folder=folder_of((64, 64))))["resolution"] == 256


def test_motion_is_trained_at_fewer_pixels() -> None:
    assert values(answers(SMALL, 80, "motion"))["resolution"] == 480
    assert values(answers(SMALL, 80, "style"))["resolution"] == 640


def test_videos_are_rendered_at_the_size_of_most_clips_unless_that_is_too_small() -> None:
    mixed = folder_of((1920, 1080), (1080, 1920), (1080, 1920))
    assert values(answers(SMALL, 16, folder=mixed))["validation_resolution"] == "352x640"
    assert values(answers(SMALL, 16, folder=folder_of((240, 320))))["validation_resolution"] == "480x832"
    assert values(answers(SMALL, 16), resolution=640)["validation_resolution"] == "864x480"


def clips_of(*frames: int) -> list[Clip]:
    return [Clip(Path("a.mp4"), clip_info(count, 16), count, None) for count in frames]


def test_the_suggested_length_keeps_almost_all_clips() -> None:
    usable = FACTS.geometry.usable_frames
    few = lengths(clips_of(100, 60, 36, 200), most=81, usable_frames=usable)
    assert [(length.frames, length.lost) for length in few] == [(81, 2), (65, 2), (49, 1), (33, 0), (17, 0)]
    assert suggested_length(few, 4).frames == 33
    many = lengths(clips_of(20, *[90] * 19), most=81, usable_frames=usable)
    assert suggested_length(many, 20).frames == 81
    assert suggested_length(lengths(clips_of(20, *[90] * 18), most=81, usable_frames=usable), 19).frames == 17


def test_no_length_is_longer_than_the_card_or_any_clip_allows() -> None:
    usable = FACTS.geometry.usable_frames
    assert lengths(clips_of(90, 90), most=17, usable_frames=usable)[0].frames == 17
    assert [length.frames for length in lengths(clips_of(3, 7), most=81, usable_frames=usable)] == [5, 1]
