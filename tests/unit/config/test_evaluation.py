"""Options for measuring held-out clips, beside the datasets that there are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reeltune.config.load import Loaded, load_run
from reeltune.errors import ConfigError

NEEDED = {
    "pretrained_model_name_or_path": "model",
    "data_backend_config": "data.json",
    "output_dir": "output/x",
    "max_train_steps": 10,
}


def clips(name: str, kind: str = "eval", **more: Any) -> dict[str, Any]:
    return {"id": name, "dataset_type": kind, "instance_data_dir": "in", "cache_dir_vae": f"cache/{name}", **more}


def load(folder: Path, entries: list[dict[str, Any]], **options: Any) -> Loaded:
    text = {"id": "text", "dataset_type": "text_embeds", "cache_dir": "cache/text"}
    (folder / "c.json").write_text(json.dumps(NEEDED | options), encoding="utf-8")
    (folder / "data.json").write_text(json.dumps([clips("films", "video"), *entries, text]), encoding="utf-8")
    return load_run([folder / "c.json"], {}, find_datasets=lambda name: (folder / name, []))


@pytest.mark.parametrize("entries", [[], [clips("held", disabled=True)]])
def test_measuring_nothing_is_refused(tmp_path: Path, entries: list[dict[str, Any]]) -> None:
    with pytest.raises(ConfigError, match='eval_steps_interval is 5 and no dataset.*"dataset_type": "eval"'):
        load(tmp_path, entries, eval_steps_interval=5)


def test_a_split_that_is_never_measured_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"eval_split is 0\.05 and eval_steps_interval is 0.*set eval_steps_interval="
    ):
        load(tmp_path, [], eval_split=0.05)


def test_a_split_needs_no_other_dataset(tmp_path: Path) -> None:
    assert load(tmp_path, [], eval_split=0.05, eval_steps_interval=5).notes == ()
    assert load(tmp_path, [], eval_split=0.05, eval_steps_interval=5, eval_dataset_id="films").notes == ()


@pytest.mark.parametrize("share", [-0.1, 1, 1.5, "half"])
def test_a_share_is_at_least_0_and_below_1(tmp_path: Path, share: Any) -> None:
    with pytest.raises(ConfigError, match="eval_split"):
        load(tmp_path, [], eval_split=share, eval_steps_interval=5)


def test_a_split_that_another_dataset_rules_out_is_said(tmp_path: Path) -> None:
    options = {"eval_split": 0.05, "eval_steps_interval": 5, "eval_dataset_id": "held"}
    (note,) = load(tmp_path, [clips("held")], **options).notes
    assert (note.kind, note.about) == ("inert", "eval_split")


@pytest.mark.parametrize("options", [{}, {"eval_steps_interval": 5, "eval_dataset_id": "held"}])
def test_pooling_one_dataset_or_none_changes_nothing(tmp_path: Path, options: dict[str, Any]) -> None:
    notes = load(tmp_path, [clips("held")], eval_dataset_pooling=True, **options).notes
    assert ("inert", "eval_dataset_pooling") in [(note.kind, note.about) for note in notes]


@pytest.mark.parametrize(
    ("wanted", "hint"), [("hold", "; nearest is held$"), ("zzz", "; there are held$"), ("films", "; there are held$")]
)
def test_a_dataset_that_is_none_of_type_eval_is_refused(tmp_path: Path, wanted: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=rf"c\.json: 1 problem\n +eval_dataset_id is '{wanted}', which is no.*{hint}"):
        load(tmp_path, [clips("held")], eval_steps_interval=5, eval_dataset_id=wanted)


def test_a_dataset_of_type_eval_can_be_chosen(tmp_path: Path) -> None:
    loaded = load(tmp_path, [clips("held"), clips("more")], eval_steps_interval=5, eval_dataset_id="more")
    assert [dataset.id for dataset in loaded.datasets.held_out] == ["held", "more"]
    assert loaded.notes == ()


def test_clips_that_are_held_out_for_nothing_are_said(tmp_path: Path) -> None:
    (note,) = load(tmp_path, [clips("held")]).notes
    assert note.kind == "inert"
    assert str(note) == "held: its clips are held out of training, and not measured either: eval_steps_interval is 0"


def test_what_measuring_would_need_changes_nothing_without_it(tmp_path: Path) -> None:
    (note,) = load(tmp_path, [], eval_dataset_id="held").notes
    assert (note.kind, note.about) == ("inert", "eval_dataset_id")
