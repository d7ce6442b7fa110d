"""What a published adapter's card says of its run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reeltune.config.load import load_config
from reeltune.families import family_facts
from reeltune.report.model_card import CardFacts, model_card
from reeltune.run.card import card_facts


def facts_of(**options: Any) -> CardFacts:
    needed = {"pretrained_model_name_or_path": "someone/model", "data_backend_config": "d.json", "output_dir": "o/x"}
    config = load_config([], needed | {"max_train_steps": 10} | options)
    return card_facts(config, family_facts(config.model))


def test_a_video_is_found_by_the_name_that_its_file_has() -> None:
    facts = facts_of(user_prompt_library={"red: fox!": "a red fox runs", "other": "a den"})
    card = model_card(facts, repo="me/x", videos=["validation/step-000009-red_fox-raw.mp4"])
    assert "- text: a red fox runs\n" in card


@pytest.mark.parametrize(("sampler", "shift"), [("unipc", None), ("unipc", 3.0), ("euler", 5.0)])
def test_the_sampler_is_the_one_of_the_options(sampler: str, shift: float | None) -> None:
    sampling = facts_of(validation_noise_scheduler=sampler, validation_flow_shift=shift).sampling
    assert (sampling.sampler, sampling.flow_shift) == (sampler, shift)


def test_a_folder_on_this_machine_is_not_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert facts_of().base_model == "someone/model"
    places = ("someone/model", str(tmp_path / "mine"))
    for place in places:
        Path(place).mkdir(parents=True)
        card = model_card(facts_of(pretrained_model_name_or_path=place), repo="me/x", videos=[])
        assert place not in card


LOHA = {"algo": "loha", "multiplier": 1.0, "linear_dim": 4, "linear_alpha": 2}


@pytest.mark.parametrize(
    ("options", "words", "relation", "shown", "hidden"),
    [
        ({}, "A LoRA adapter for", "adapter", "| lora_rank | 16 |", "| linear_dim"),
        ({"use_dora": True}, "A DoRA adapter for", "adapter", "| use_dora | true |", "| linear_dim"),
        (
            {"lora_type": "lycoris", "lycoris_config": LOHA},
            "A LyCORIS LoHa adapter for",
            "adapter",
            "| linear_dim | 4 |",
            "| lora_rank",
        ),
        ({"model_type": "full"}, "A fully trained transformer for", "finetune", "| model_type | full |", "| lora_rank"),
    ],
)
def test_a_card_says_what_was_trained_and_with_which_settings(
    options: dict[str, Any], words: str, relation: str, shown: str, hidden: str
) -> None:
    card = model_card(facts_of(**options), repo="me/x", videos=[])
    assert words in card
    assert f"base_model_relation: {relation}" in card
    assert shown in card
    assert hidden not in card
    assert "`comfyui/` has the same weights" in card


def test_a_card_says_where_comfyui_has_no_file() -> None:
    released = {"pretrained_model_name_or_path": "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"}
    ia3 = {"lora_type": "lycoris", "lycoris_config": LOHA | {"algo": "ia3"}}
    assert "There is no file for ComfyUI" in model_card(facts_of(**released, **ia3), repo="me/x", videos=[])
