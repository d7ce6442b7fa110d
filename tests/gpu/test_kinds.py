"""On a GPU: every kind of training takes steps, and its files hold what acts there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from helpers.cli import reeltune_here
from helpers.tiny import TinyRun, copy_prepared

pytest.importorskip("lycoris")
pytest.importorskip("torchao")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU, and torch sees none"),
]

WORDS = (
    *("train", "--example", "tiny", "max_train_steps=3", "disable_benchmark=true", "validation_num_inference_steps=2"),
    "validation_resolution=64x64",
)
KINDS = {
    "dora": ("use_dora=true",),
    "pissa": ("lora_init_type=pissa",),
    "full": ("model_type=full",),
    "int8": ("base_model_precision=int8-torchao",),
    **{
        algo: ("lora_type=lycoris", f"lycoris_config={algo}.json")
        for algo in ("lora", "loha", "lokr", "full-difference", "ia3", "dylora", "diag-oft", "boft", "glora")
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_of_each_kind_ends_with_proven_files_and_videos(kind: str, tiny_example: Path, tmp_path: Path) -> None:
    run: TinyRun = copy_prepared(tiny_example, tmp_path)
    algo = "full" if kind == "full-difference" else kind
    description = {"algo": algo, "multiplier": 1.0, "linear_dim": 4, "linear_alpha": 4}
    preset = {"target_module": ["Attention", "FeedForward"]}
    (run.place / f"{kind}.json").write_text(json.dumps({**description, "apply_preset": preset}), encoding="utf-8")
    ending = reeltune_here(*WORDS, *KINDS[kind], cwd=run.place)
    assert ending.returncode == 0, ending.stderr
    # Each save reads its files back and compares them with what acts; a failure would have ended the run.
    assert len(run.losses()) == 3
    assert len(list((run.folder / "validation").glob("*.mp4"))) == 2
