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
