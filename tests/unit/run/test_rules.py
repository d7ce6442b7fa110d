from __future__ import annotations

from typing import Any

import pytest

from reeltune.config.datasets import ONE_FRAME, CropAspect, EvalDataset, ImageDataset, MediaDataset, VideoDataset
from reeltune.config.load import load_config
from reeltune.data.buckets import Sizing
from reeltune.data.crops import Cropping
from reeltune.data.placement import Rules
from reeltune.families.wan.variants import WAN_21
from reeltune.run.rules import rules_of

NEEDED = {
    "pretrained_model_name_or_path": "m",
    "data_backend_config": "d.json",
    "output_dir": "o",
    "max_train_steps": 1,
}


def rules(kind: type[MediaDataset] = VideoDataset, *, everywhere: dict[str, Any] | None = None, **own: Any) -> Rules:
    dataset = kind(id="a", instance_data_dir="clips", cache_dir_vae="vae", **own)
    assert isinstance(dataset, VideoDataset | ImageDataset | EvalDataset)
    return rules_of(dataset, load_config([], NEEDED | (everywhere or {})), WAN_21)


def test_a_dataset_that_says_nothing_follows_the_global_options():
    everywhere = {
        "resolution": 480,
        "resolution_type": "pixel",
        "minimum_image_size": 300,
        "maximum_image_size": 900,
        "target_downsample_size": 600,
        "aspect_bucket_rounding": 1,
        "aspect_bucket_alignment": 64,
    }
    found = rules(everywhere=everywhere)
    assert found.sizing == Sizing(480.0, "pixel", rounding=1, alignment=64)
    assert found.minimum_image_size == 300
    assert found.cropping == Cropping(maximum=900.0, target=600.0)
    assert (found.minimum_aspect, found.maximum_aspect) == (None, None)
    assert (found.geometry, found.model_fps) == (WAN_21.geometry, WAN_21.fps)


@pytest.mark.parametrize("everywhere", [{}, {"resolution": 480, "minimum_image_size": 300, "maximum_image_size": 900}])
def test_a_datasets_own_values_win(everywhere: dict[str, Any]):
    found = rules(
        everywhere=everywhere,
        resolution=0.5,
        resolution_type="area",
        minimum_image_size=0,
        maximum_image_size=2,
        target_downsample_size=1,
        minimum_aspect_ratio=0.5,
        maximum_aspect_ratio=2,
        crop=True,
        crop_style="corner",
        crop_aspect="random",
        crop_aspect_buckets=[1.0, {"aspect": 1.78, "weight": 3}],
    )
    assert found.sizing == Sizing(0.5, "area")
    assert (found.minimum_image_size, found.minimum_aspect, found.maximum_aspect) == (0, 0.5, 2)
    shapes = (CropAspect(aspect=1.0, weight=1.0), CropAspect(aspect=1.78, weight=3.0))
    assert found.cropping == Cropping(
        crop=True, style="corner", aspect="random", shapes=shapes, maximum=2.0, target=1.0
    )


def test_pictures_are_clips_of_one_frame_and_stand_among_held_out_clips_too():
    assert (rules().video.num_frames, rules().pictures) == (81, False)
    assert rules(ImageDataset).video == ONE_FRAME
    assert rules(EvalDataset).pictures
