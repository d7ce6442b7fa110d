"""Whole runs of the kinds of training beside plain LoRA: they end, leave their files, and go on the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from safetensors.torch import load_file

from helpers.cli import reeltune_here
from helpers.tiny import TinyRun, copy_prepared
from reeltune.adapters.about import About
from reeltune.adapters.changes import Kronecker
from reeltune.adapters.layouts import write_adapter
from reeltune.families.wan.description import FACTS

pytest.importorskip("lycoris")

WORDS = (
    *("train", "--example", "tiny", "validation_prompt=", "max_train_steps=4", "checkpointing_steps=2"),
    *("checkpoints_total_limit=9", "learning_rate=1e-2"),
)
LOKR = {
    "algo": "lokr",
    "multiplier": 1.0,
    "full_matrix": True,
    "linear_alpha": 1,
    "factor": 16,
    "apply_preset": {
        "target_module": ["Attention", "FeedForward"],
        "module_algo_map": {"Attention": {"factor": 16}, "FeedForward": {"factor": 8}},
    },
}
KINDS = {
    "lokr": ("lora_type=lycoris", "lycoris_config=lokr.json"),
    "pissa": ("lora_init_type=pissa", "lora_rank=4"),
    "full": ("model_type=full", "full_output=pipeline"),
}
FILES = {
    "lokr": ("pytorch_lora_weights.safetensors", "lycoris_config.json", "comfyui/tiny-lora.safetensors"),
    "pissa": ("pytorch_lora_weights.safetensors", "comfyui/tiny-lora.safetensors"),
    "full": ("transformer/config.json", "comfyui/tiny-lora.safetensors", "pipeline/model_index.json"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_of_each_kind_leaves_its_files_and_goes_on_bit_for_bit(
    kind: str, finished: TinyRun, tmp_path: Path
) -> None:
    run = copy_prepared(finished.place, tmp_path)
    (run.place / "lokr.json").write_text(json.dumps(LOKR), encoding="utf-8")
    ending = reeltune_here(*WORDS, *KINDS[kind], cwd=run.place)
    assert ending.returncode == 0, ending.stderr
    for name in FILES[kind]:
        for place in (run.folder, run.folder / "ema", run.folder / "checkpoint-2"):
            if place == run.folder or not name.startswith("pipeline"):
                assert (place / name).is_file(), (place, name)
    losses, trained = run.losses(), load_file(run.folder / "checkpoint-4/trainable.safetensors")
    assert len(losses) == 4
    again = reeltune_here(*WORDS, *KINDS[kind], "resume_from_checkpoint=checkpoint-2", cwd=run.place)
    assert again.returncode == 0, again.stderr
    assert [event["step"] for event in run.events("RunStarted")] == [0, 2]
    assert run.losses() == losses
    resumed = load_file(run.folder / "checkpoint-4/trainable.safetensors")
    assert all(torch.equal(resumed[name], tensor) for name, tensor in trained.items())
    if kind == "full":
        shown = WanPipeline.from_pretrained(run.folder / "pipeline").transformer
        alone = WanTransformer3DModel.from_pretrained(run.folder / "transformer")
        for name, tensor in alone.state_dict().items():
            assert torch.equal(shown.state_dict()[name], tensor), name


def test_a_run_starts_from_an_earlier_file_and_refuses_one_that_does_not_fit(finished: TinyRun, tmp_path: Path) -> None:
    run = copy_prepared(finished.place, tmp_path)
    earlier = tmp_path / "earlier.safetensors"
    shutil.copy(finished.folder / "comfyui/tiny-lora.safetensors", earlier)
    lokr = tmp_path / "lokr.safetensors"
    change = Kronecker(torch.ones(4, 4), torch.ones(16, 16), 1.0)
    write_adapter(lokr, {"blocks.0.attn1.to_q": change}, "lycoris", About("a base", "", "lokr"), FACTS)
    words = (*WORDS, "max_train_steps=1", "learning_rate=1e-12", "lr_end=0", "lora_rank=8", "use_ema=false")
    refused = reeltune_here(*words, f"init_lora={earlier}", "lora_rank=3", cwd=run.place)
    assert refused.returncode == 2
    assert "set lora_rank=8" in refused.stderr
    assert "loading" not in refused.stderr
    ending = reeltune_here(*words, f"init_lora={earlier}", cwd=run.place)
    assert ending.returncode == 0, ending.stderr
    one, two = (load_file(place / "comfyui/tiny-lora.safetensors") for place in (finished.folder, run.folder))
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-6, atol=1e-7)
    # What a run has started from is in its checkpoints: the file may go.
    earlier.unlink()
    further = reeltune_here(*words, f"init_lora={earlier}", "max_train_steps=2", cwd=run.place)
    assert further.returncode == 0, further.stderr
    another = reeltune_here(*words, f"init_lora={lokr}", "output_dir=output/another", cwd=run.place)
    assert another.returncode == 2
    assert "is no LoRA but of the kind Kronecker" in another.stderr
    assert "loading" not in another.stderr
    missing = reeltune_here(*words, f"init_lora={earlier}", "output_dir=output/another", cwd=run.place)
    assert missing.returncode == 2
    assert "does not exist" in missing.stderr
