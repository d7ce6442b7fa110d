"""A whole run on two datasets, one drawn half as often for its size, whose clips stand for what the base knows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from helpers.cli import reeltune_here
from helpers.tiny import TinyRun, copy_prepared
from reeltune.contracts.batch import Batch, Noised
from reeltune.train.loop import Loop

WORDS = (
    *("train", "--example", "tiny", "data_backend_config=data.json", "validation_prompt=", "checkpointing_steps=2"),
    *("max_train_steps=4", "lora_dropout=0.1", "gradient_accumulation_steps=2", "learning_rate=1e-2"),
)


def dataset(name: str, folder: str, cache: str, **keys: Any) -> dict[str, Any]:
    return {
        "id": name,
        "dataset_type": "video",
        "instance_data_dir": folder,
        "cache_dir_vae": cache,
        "video": {"num_frames": 17},
        **keys,
    }


def weights(run: TinyRun) -> dict[str, torch.Tensor]:
    return load_file(run.folder / "checkpoint-4/trainable.safetensors")


def test_weights_and_regularisation_data_are_told_and_a_run_with_them_goes_on_the_same(
    finished: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copy_prepared(finished.place, tmp_path)
    (run.place / "known").mkdir()
    for clip in sorted((run.place / "output/tiny/clips").glob("*.mp4"))[:3]:
        for file in (clip, clip.with_suffix(".txt")):
            shutil.copy(file, run.place / "known")
    known = dataset("known", "known", "cache/known", probability=0.5, is_regularisation_data=True)
    entries = [
        dataset("cartoons", "output/tiny/clips", "output/tiny/cache/vae"),
        known,
        {"id": "text-embeds", "dataset_type": "text_embeds", "cache_dir": "output/tiny/cache/text"},
    ]
    (run.place / "data.json").write_text(json.dumps(entries), encoding="utf-8")

    asked: list[str] = []
    answer = Loop.answer_of_base

    def listening(self: Loop, noised: Noised, batch: Batch) -> torch.Tensor:
        asked.extend(batch.ids)
        return answer(self, noised, batch)

    monkeypatch.setattr(Loop, "answer_of_base", listening)
    ending = reeltune_here(*WORDS, cwd=run.place)
    assert ending.returncode == 0, ending.stderr
    assert "probability: an epoch shows 100% of cartoons, 50% of known" in ending.stderr
    assert "known.is_regularisation_data: the base model's own answers are trained" in ending.stderr
    losses, trained = run.losses(), weights(run)
    assert len(losses) == 4
    assert asked
    assert {Path(name).parent.name for name in asked} == {"known"}
    again = reeltune_here(*WORDS, "resume_from_checkpoint=checkpoint-2", cwd=run.place)
    assert again.returncode == 0, again.stderr
    assert [event["step"] for event in run.events("RunStarted")] == [0, 2]
    assert run.losses() == losses
    assert all(torch.equal(weights(run)[name], tensor) for name, tensor in trained.items())
