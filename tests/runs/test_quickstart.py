"""The configuration that users of the quickstart arrive with: it is understood, explained, and it runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from helpers.cli import reeltune
from reeltune.media import write_mp4

QUICKSTART = Path(__file__).parents[1] / "data/quickstart"

ALONE = {"HF_HUB_OFFLINE": "1", "HF_TOKEN": "", "WANDB_API_KEY": "", "NETRC": "/nowhere", "CUDA_VISIBLE_DEVICES": ""}
"""A machine without network, logins and GPU."""


EXPECTED = (
    ("trap", "data_backend_config", "config/multidatabackend.json is used instead"),
    ("trap", "lycoris_config", "lora_type is standard"),
    ("trap", "lr_warmup_steps", "no warm-up, full rate at once, and decay over the whole run"),
    ("trap", "max_grad_norm", "for each element of the gradient"),
    ("trap", "push_to_hub", "are texts"),
    ("trap", "push_checkpoints_to_hub", "are texts"),
    ("trap", "delete_problematic_images", "are texts"),
    ("trap", "delete_problematic_images", "no file is ever deleted"),
    ("trap", "ema_validation", "early ones look like the base model"),
    ("trap", "disney-black-and-white.video.num_frames", "75 -> 73"),
    ("trap", "validation_resolution", "what is trained is 640x352"),
    ("trap", "validation_num_video_frames", "videos have 81 frames; what is trained has 73"),
    ("trap", "validation_steps", "of the time"),
    ("fallback", "attention_mechanism", "sageattention is not installed"),
    ("fallback", "report_to", "metrics.csv"),
    ("fallback", "webhook_config", "does not exist"),
    ("fallback", "push_to_hub", "hf auth login"),
    ("inert", "quantize_via", "nothing is quantized"),
    ("inert", "minimum_image_size", "every dataset sets its own"),
    ("inert", "disney-black-and-white.maximum_image_size", "crop is false"),
    ("fact", "resume_from_checkpoint", "step 0 is the start"),
    # In float32: 1.419 billion weights of the transformer, 5.681 of the text encoder, 0.127 of the autoencoder.
    ("fact", "pretrained_model_name_or_path", "up to 28.9 GB in its cache"),
)
"""What the plan must say of the quickstart's files: kind, option, words."""


def write_clip(folder: Path, name: str, *, width: int, height: int, frames: int, fps: float) -> None:
    """Write a clip of a grey level that changes, with its caption."""
    levels = np.linspace(40, 200, frames).astype(np.uint8)
    write_mp4(folder / f"{name}.mp4", np.broadcast_to(levels[:, None, None, None], (frames, height, width, 3)), fps=fps)
    (folder / f"{name}.txt").write_text("a black and white cartoon of a light that comes on slowly", encoding="utf-8")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with the quickstart's two files where its text says to put them, and three clips of 480p."""
    place = tmp_path_factory.mktemp("quickstart")
    (place / "config").mkdir()
    for name in ("config.json", "multidatabackend.json"):
        shutil.copy(QUICKSTART / name, place / "config")
    clips = place / "datasets/disney-black-and-white"
    clips.mkdir(parents=True)
    write_clip(clips, "mouse", width=832, height=480, frames=121, fps=24.0)
    write_clip(clips, "duck", width=848, height=480, frames=80, fps=16.0)
    write_clip(clips, "short", width=832, height=480, frames=60, fps=16.0)
    return place


def test_the_plan_names_every_trap(place: Path) -> None:
    outcome = reeltune("plan", "--json", cwd=place, environment=ALONE | {"HOME": str(place)})
    assert outcome.returncode == 0, outcome.stderr
    outlook = json.loads(outcome.stdout)
    said = [(note["kind"], note["about"], note["text"]) for note in outlook["notes"]]
    for kind, about, words in EXPECTED:
        assert any((kind == one and about in option.split(", ") and words in text) for one, option, text in said), (
            about,
            said,
        )
    (dataset,) = outlook["datasets"]
    assert (dataset["found"], dataset["used"]) == (3, 2)
    assert "60 frames at 16 fps, 73 needed" in dataset["left_out"][0]["example"]


def test_the_plan_writes_nothing_but_what_it_remembers(place: Path) -> None:
    assert sorted(path.name for path in place.iterdir()) == ["cache", "config", "datasets"]
    assert [path.name for path in (place / "cache").rglob("*") if path.is_file()] == ["clips.json"]


def test_strict_makes_an_error_of_what_is_missing(place: Path) -> None:
    outcome = reeltune("plan", "strict=true", cwd=place, environment=ALONE | {"HOME": str(place)})
    assert outcome.returncode == 2
    for name in ("attention_mechanism", "report_to", "webhook_config", "push_to_hub, push_checkpoints_to_hub"):
        assert name in outcome.stderr


@pytest.mark.slow
def test_training_runs_to_its_end(place: Path, tiny_model: Path) -> None:
    outcome = reeltune(
        "train",
        f"pretrained_model_name_or_path={tiny_model}",
        "max_train_steps=1",
        "validation_resolution=128x96",
        "validation_num_video_frames=9",
        "validation_num_inference_steps=4",
        cwd=place,
        environment=ALONE | {"HOME": str(place)},
        timeout_s=3000,
    )
    assert outcome.returncode == 0, outcome.stderr
    folder = place / "output/wan"
    for name in (
        "pytorch_lora_weights.safetensors",
        "raw/pytorch_lora_weights.safetensors",
        "comfyui/wan.safetensors",
        "checkpoint-1/state.json",
        "validation/step-000001-validation-ema.mp4",
        "benchmark/validation-base.mp4",
        "manifest.jsonl",
    ):
        assert (folder / name).exists(), name
    rows = (folder / "metrics.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 2, rows
