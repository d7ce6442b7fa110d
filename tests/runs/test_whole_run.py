"""The run that a newcomer makes, looked at from outside."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from safetensors.torch import load_file

from helpers.cli import reeltune
from helpers.tiny import TinyRun
from helpers.video import read_video
from reeltune.media import write_mp4


def test_it_leaves_an_adapter_checkpoints_and_videos(finished: TinyRun) -> None:
    folder = finished.folder
    for name in ("pytorch_lora_weights.safetensors", "comfyui/tiny-lora.safetensors"):
        for place in (folder, folder / "ema", folder / "checkpoint-60", folder / "checkpoint-60/ema"):
            assert load_file(place / name)
    assert sorted(path.name for path in folder.glob("checkpoint-*")) == ["checkpoint-30", "checkpoint-60"]
    assert {path.name for path in (folder / "validation").glob("*.mp4")} == {
        f"step-{step:06d}-validation-{weights}.mp4" for step in (30, 60) for weights in ("raw", "ema")
    }


def test_it_says_where_everything_is_and_what_to_do_next(finished: TinyRun) -> None:
    assert finished.outcome
    text = finished.outcome.stdout
    assert "bundled example 'tiny'" in text
    assert "Finished: 60 steps." in text
    assert "output/tiny/tiny-lora/pytorch_lora_weights.safetensors" in text
    assert "Warning" not in finished.outcome.stderr


def test_without_a_terminal_the_log_is_plain_lines(finished: TinyRun) -> None:
    assert finished.outcome
    log = finished.outcome.stderr
    assert "\x1b" not in log
    assert "\r" not in log
    assert "encoding clips 24/24" in log
    assert "training 60/60" in log


@pytest.mark.parametrize("name", ["step-000060-validation-raw.mp4", "step-000060-validation-ema.mp4"])
def test_the_videos_play_at_the_right_size_length_and_rate(finished: TinyRun, name: str) -> None:
    with av.open(str(finished.folder / "validation" / name)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate) == (128, 96, 16)
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert len(list(container.decode(stream))) == 17


def test_every_clip_is_accounted_for(finished: TinyRun) -> None:
    lines = (finished.folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 24
    assert all(row["used"] and row["captions"] and row["frames"]["count"] == 17 for row in rows)


def test_the_loss_falls(finished: TinyRun) -> None:
    losses = list(finished.losses().values())
    assert len(losses) == 60
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])


def test_a_second_run_has_nothing_to_do_and_changes_nothing(finished: TinyRun) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*")}
    outcome = reeltune("train", "--example", "tiny", cwd=finished.place)
    assert outcome.returncode == 0, outcome.stderr
    assert "Nothing to do: all 60 steps are done." in outcome.stdout
    assert {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*")} == before


UNTOUCHED = """
import sys, numpy, torch
from diffusers import WanPipeline
torch.set_num_threads(1)
model, adapter, prompt, frames = sys.argv[1:]
pipeline = WanPipeline.from_pretrained(model)
pipeline.load_lora_weights(adapter)
video = pipeline(prompt=prompt, negative_prompt="", width=128, height=96, num_frames=17, num_inference_steps=12,
    guidance_scale=5.0, generator=torch.Generator("cpu").manual_seed(42), output_type="np").frames[0]
assert "reeltune" not in sys.modules
numpy.save(frames, (video * 255).round().astype(numpy.uint8))
"""


@pytest.mark.parametrize(("adapter", "video"), [("", "raw"), ("ema", "ema")])
def test_an_untouched_pipeline_makes_the_same_frames_from_the_adapter(
    finished: TinyRun, tmp_path: Path, adapter: str, video: str
) -> None:
    config = json.loads((finished.folder / "config.json").read_text(encoding="utf-8"))
    words = [finished.place / "output/tiny/model", finished.folder / adapter, config["validation_prompt"]]
    frames_file = tmp_path / "frames.npy"
    subprocess.run([sys.executable, "-c", UNTOUCHED, *map(str, words), str(frames_file)], check=True, timeout=120)
    frames = np.load(frames_file)
    # Encoded by the same encoder, equal frames make equal files: the tolerance is nothing at all.
    write_mp4(tmp_path / "untouched.mp4", frames, fps=16.0)
    own = finished.folder / f"validation/step-000060-validation-{video}.mp4"
    assert np.array_equal(np.stack(list(read_video(tmp_path / "untouched.mp4"))), np.stack(list(read_video(own))))
    (picture,) = read_video(own.with_suffix(".png"))
    assert np.array_equal(picture, frames[0])


def test_the_adapter_does_something(finished: TinyRun) -> None:
    early, late = (
        np.stack(list(read_video(finished.folder / f"validation/step-0000{step}-validation-raw.mp4"))).astype(int)
        for step in (30, 60)
    )
    assert np.abs(early - late).mean() > 0.5
