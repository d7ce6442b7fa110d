"""Token routing in a whole run: training steps see fewer tokens, measurements and videos all of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.transformers.transformer_wan import WanTransformerBlock
from torch import Tensor

from helpers.cli import reeltune_here
from helpers.tiny import TinyRun, copy_prepared
from reeltune.routing.plan import kept_tokens
from reeltune.train.evaluate import Evaluation
from reeltune.train.loop import Loop
from reeltune.train.render import Renders

BLOCKS = 12
ROUTE = {"selection_ratio": 0.5, "start_layer_idx": 2, "end_layer_idx": -2}


def test_training_and_the_bases_answer_are_routed_and_nothing_else(
    finished: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copy_prepared(finished.place, tmp_path)
    clips = sorted((run.place / "output/tiny/clips").glob("*.mp4"))
    for name, clip in {"held": clips[0], "prior": clips[1], "new": clips[2]}.items():
        (run.place / name).mkdir()
        for file in (clip, clip.with_suffix(".txt")):
            shutil.copy(file, run.place / name)
    entries = [
        dataset("held", dataset_type="eval"),
        dataset("prior", is_regularisation_data=True),
        dataset("new"),
        {"id": "text-embeds", "dataset_type": "text_embeds", "cache_dir": "output/tiny/cache/text"},
    ]
    (run.place / "data.json").write_text(json.dumps(entries), encoding="utf-8")
    seen = watch(monkeypatch)
    ending = reeltune_here(
        *("train", "--example", "tiny", "data_backend_config=data.json", "max_train_steps=2", "eval_timesteps=2"),
        *("train_batch_size=1", "gradient_accumulation_steps=2"),
        *("eval_steps_interval=2", "validation_steps=2", "validation_num_inference_steps=1", "disable_benchmark=true"),
        *("validation_num_video_frames=5", f"tread_config={json.dumps({'routes': [ROUTE]})}", "use_ema=false"),
        cwd=run.place,
    )
    assert ending.returncode == 0, ending.stderr
    assert set(seen) == {"train_step", "answer_of_base", "measure", "render"}
    for place in ("measure", "render"):
        for lengths in seen[place]:
            assert len(set(lengths)) == 1, place
    for place in ("train_step", "answer_of_base"):
        for lengths in seen[place]:
            whole = lengths[0]
            assert lengths == [whole] * 2 + [kept_tokens(whole, 0.5)] * (BLOCKS - 3) + [whole], place


def dataset(name: str, **more: Any) -> dict[str, Any]:
    place = {"instance_data_dir": name, "cache_dir_vae": f"cache/{name}"}
    return {"id": name, "dataset_type": "video", "video": {"num_frames": 17}, **place, **more}


def watch(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[int]]]:
    """Return a record that fills with the tokens of each block, for each pass, by what the run was about."""
    about: list[str] = []
    seen: dict[str, list[list[int]]] = {}
    block_forward = WanTransformerBlock.forward

    def forward(block: WanTransformerBlock, tokens: Tensor, *others: Any) -> Tensor:
        # Recomputed blocks come in the backward pass, last first; each pass is looked at once.
        if about and torch._C._current_graph_task_id() < 0:
            passes = seen.setdefault(about[-1], [[]])
            if len(passes[-1]) == BLOCKS:
                passes.append([])
            passes[-1].append(tokens.shape[1])
        return block_forward(block, tokens, *others)

    monkeypatch.setattr(WanTransformerBlock, "forward", forward)
    for owner, name in ((Loop, "train_step"), (Loop, "answer_of_base"), (Evaluation, "measure"), (Renders, "render")):
        monkeypatch.setattr(owner, name, noting(getattr(owner, name), name, about))
    return seen


def noting(method: Any, name: str, about: list[str]) -> Any:
    """Return the method, which says what the run is about while it, or what it yields, is going on."""

    def noted(self: Any, *args: Any, **kwargs: Any) -> Any:
        about.append(name)
        try:
            result = method(self, *args, **kwargs)
            return list(result) if hasattr(result, "__next__") else result
        finally:
            about.pop()

    return noted
