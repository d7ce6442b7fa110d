"""The plan says what was understood differently from what was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reeltune.config.datasets import Datasets, TextEmbeds, VideoDataset, VideoOptions
from reeltune.config.load import load_config
from reeltune.config.root import Config
from reeltune.contracts.clip import Bucket, ClipInfo, FileRef, ManifestRow, Placement, Sample
from reeltune.families.wan.variants import WAN_21
from reeltune.run.plan import Plan, make_plan


def planned(*, clips: int = 3, num_frames: int = 73, **options: Any) -> Plan:
    video = VideoOptions(num_frames=num_frames)
    dataset = VideoDataset(id="a", instance_data_dir="clips", cache_dir_vae="cache", video=video)
    datasets = Datasets(trained=(dataset,), text=TextEmbeds(id="t", cache_dir="text"))
    return make_plan(config_of(**options), datasets, [row(index) for index in range(clips)], WAN_21)


def config_of(**options: Any) -> Config:
    needed = {"pretrained_model_name_or_path": "m", "data_backend_config": "d.json", "output_dir": "o/x"}
    return load_config([], needed | {"max_train_steps": 100, "train_batch_size": 1} | options)


def row(index: int) -> ManifestRow:
    info = ClipInfo(640, 352, tuple(place / 24 for place in range(120)), 5.0)
    placement = Placement(Bucket(640, 352, 73), tuple(place * 3 // 2 for place in range(73)), 640, 352, 0, 0)
    file = FileRef(Path(f"{index}.mp4"), 1, 1)
    return ManifestRow(file.path, Sample("a", file, info, placement, ("a",)))


@pytest.mark.parametrize(
    ("options", "note"),
    [
        ({"num_frames": 75}, "a.video.num_frames: 75 -> 73 frames = 4.56 s at 16 frames per second"),
        ({"flow_schedule_shift": 3.0}, "flow_schedule_shift: noise levels are trained with shift 3"),
        ({}, "noise levels are trained with no shift"),
        ({"flow_schedule_shift": 0}, "noise levels are trained with no shift"),
        # 640x352: 22 x 40 = 880 tokens of a latent frame, mu = 0.5 + 0.65 * (880 - 256) / 3840 = 0.6056.
        ({"flow_schedule_auto_shift": True}, "noise levels are trained with shift 1.83 at 640x352"),
        (
            {"num_train_epochs": 2},
            "max_train_steps, num_train_epochs: both are set: the run ends at whichever comes first",
        ),
        ({"train_batch_size": 4}, "one step takes up to 4 clips and there are 3: a step goes on into the next pass"),
        ({}, "validation_prompt: no videos are rendered"),
        (
            {"validation_prompt": "x", "validation_resolution": "850x480", "validation_num_video_frames": 75},
            "validation_resolution: 850x480 -> 848x480",
        ),
        ({"validation_prompt": "x", "validation_num_video_frames": 75}, "validation_num_video_frames: 75 -> 73"),
        (
            {"lr_scheduler": "cosine", "lr_warmup_steps": 100, "learning_rate": 5e-5},
            "no warm-up, full rate at once, and decay over the whole run: 5e-05 at 0 %",
        ),
        ({"lr_scheduler": "linear", "lr_warmup_steps": 100}, "the rate only rises, and never decays: 1e-06 at 0 %"),
        ({"lr_scheduler": "constant", "lr_warmup_steps": 5}, "lr_warmup_steps: is not used with lr_scheduler constant"),
        ({"max_grad_norm": 0.01}, "max_grad_norm: 0.01 is a limit for each element of the gradient"),
        ({"delete_problematic_images": True}, "delete_problematic_images: no file is ever deleted"),
        ({"validation_prompt": "x"}, "validation_resolution: videos are 832x480; what is trained is 640x352"),
        ({"validation_prompt": "x"}, "validation_num_video_frames: videos have 81 frames; what is trained has 73"),
        ({"validation_prompt": "x", "use_ema": True, "ema_validation": "ema_only"}, "ema_validation: videos show the"),
        ({"num_train_epochs": 2, "ignore_final_epochs": True}, "num_train_epochs does not end the run"),
    ],
)
def test_the_plan_speaks(options: dict[str, Any], note: str) -> None:
    said = [str(one) for one in planned(**options).notes]
    assert any(note in line for line in said), said


def test_nothing_is_said_of_what_is_as_it_was_written() -> None:
    said = " ".join(map(str, planned(lr_scheduler="cosine", lr_warmup_steps=10).notes))
    assert "->" not in said
    assert "lr_warmup_steps" not in said


@pytest.mark.parametrize(
    ("options", "steps", "option"),
    [
        ({"max_train_steps": 10, "num_train_epochs": 5}, 10, "max_train_steps"),
        ({"max_train_steps": 100, "num_train_epochs": 5}, 15, "num_train_epochs"),
        ({"max_train_steps": 100, "num_train_epochs": 5, "ignore_final_epochs": True}, 100, "max_train_steps"),
        ({"max_train_steps": 100, "num_train_epochs": 5, "strict_epoch_limit": False}, 100, "max_train_steps"),
        ({"max_train_steps": 0, "num_train_epochs": 1, "gradient_accumulation_steps": 2}, 2, "num_train_epochs"),
    ],
)
def test_the_run_ends_at_whichever_comes_first(options: dict[str, Any], steps: int, option: str) -> None:
    plan = planned(**options)
    assert (plan.total_steps, plan.length_option) == (steps, option)
