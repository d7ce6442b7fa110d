from __future__ import annotations

import itertools

import numpy as np
import pytest

from reeltune.data.buckets import Sizing, bucket_size, cover, is_large_enough, is_larger, reduced, shape_size, size_in

# Worked by hand for alignment 32 and aspect ratios of two decimals; squares by the same rounding as the rest.
SIZINGS = [
    Sizing(480.0, "pixel_area"),
    Sizing(632.0, "pixel_area"),
    Sizing(512.0, "pixel_area"),
    Sizing(480.0, "pixel"),
]
TARGETS = {
    (1920, 1080): [(640, 352), (864, 480), (672, 384), (864, 480)],
    (1280, 720): [(640, 352), (864, 480), (672, 384), (864, 480)],
    (832, 480): [(640, 352), (832, 480), (672, 384), (832, 480)],
    (720, 480): [(576, 384), (768, 512), (640, 416), (704, 480)],
    (640, 480): [(544, 416), (736, 544), (576, 448), (640, 480)],
    (1080, 1920): [(352, 640), (480, 864), (384, 672), (480, 864)],
    (1000, 1000): [(480, 480), (640, 640), (512, 512), (480, 480)],
    (640, 360): [(640, 352), (864, 480), (672, 384), (864, 480)],
    # Section 2.3, pixel_area 480 only.
    (854, 480): [(640, 352)],
    (768, 512): [(576, 384)],
    (1440, 1080): [(544, 416)],
    (480, 360): [(544, 416)],
}


@pytest.mark.parametrize(
    ("source", "sizing", "target"),
    [(source, sizing, target) for source, row in TARGETS.items() for sizing, target in zip(SIZINGS, row, strict=False)],
)
def test_bucket_sizes_are_those_of_the_table(source: tuple[int, int], sizing: Sizing, target: tuple[int, int]):
    assert bucket_size(*source, sizing) == target


def test_area_in_megapixels_is_the_same_as_the_side_of_its_square():
    sizes = [(1920, 1080), (832, 480), (640, 480), (333, 1000)]
    assert all(bucket_size(*s, Sizing(0.2304, "area")) == bucket_size(*s, Sizing(480.0, "pixel_area")) for s in sizes)


def test_halves_go_to_the_even_multiple():
    # 720 / 32 = 22.5 -> 22; 752 / 32 = 23.5 -> 24
    assert (Sizing(1.0, "pixel").aligned(720), Sizing(1.0, "pixel").aligned(752)) == (704, 768)


def test_every_bucket_is_aligned_and_the_resize_covers_it_at_the_true_aspect():
    generator = np.random.default_rng(0)
    sides = [16, 17, 99, 360, 480, 719, 1080, 1081, 3840, *generator.integers(16, 5000, 8).tolist()]
    sizings = [
        *SIZINGS,
        Sizing(1.0, "area"),
        Sizing(720.0, "pixel", rounding=1, alignment=16),
        Sizing(20.0, "pixel_area"),
    ]
    for (width, height), sizing in itertools.product(itertools.product(sides, sides), sizings):
        target = bucket_size(width, height, sizing)
        assert min(target) >= sizing.alignment
        assert all(side % sizing.alignment == 0 for side in target), (width, height, sizing)
        assert bucket_size(height, width, sizing)[0] >= sizing.alignment
        resized = cover(width, height, target_width=target[0], target_height=target[1])
        assert resized[0] >= target[0]
        assert resized[1] >= target[1]
        assert target[0] == resized[0] or target[1] == resized[1]
        scale = max(target[0] / width, target[1] / height)
        assert abs(resized[0] - width * scale) <= 0.5 + 1e-9
        assert abs(resized[1] - height * scale) <= 0.5 + 1e-9


def test_resize_covers_without_distortion():
    assert cover(1920, 1080, target_width=640, target_height=352) == (640, 360)
    assert cover(832, 480, target_width=640, target_height=352) == (640, 369)
    assert cover(1080, 1920, target_width=352, target_height=640) == (360, 640)
    assert cover(480, 480, target_width=480, target_height=480) == (480, 480)


def test_minimum_size_is_compared_with_the_clips_own_size():
    assert is_large_enough(640, 360, minimum=480.0, resolution_type="pixel_area")
    assert is_large_enough(640, 360, minimum=0.2304, resolution_type="area")
    assert not is_large_enough(480, 360, minimum=480.0, resolution_type="pixel_area")
    assert not is_large_enough(640, 360, minimum=480.0, resolution_type="pixel")
    assert is_large_enough(1, 1, minimum=0.0, resolution_type="pixel")


@pytest.mark.parametrize("kind", ["pixel", "area", "pixel_area"])
@pytest.mark.parametrize("size", [(640, 360), (641, 359), (479, 1), (4096, 2160), (16383, 16381)])
def test_the_suggested_minimum_admits_the_clip(kind: str, size: tuple[int, int]):
    assert is_large_enough(*size, minimum=size_in(*size, kind), resolution_type=kind)


@pytest.mark.parametrize(("kind", "maximum"), [("pixel", 480.0), ("area", 0.2304), ("pixel_area", 480.0)])
def test_a_clip_is_larger_than_a_maximum_when_it_exceeds_it(kind: str, maximum: float):
    assert not is_larger(480, 480, maximum=maximum, resolution_type=kind)
    assert is_larger(481, 481, maximum=maximum, resolution_type=kind)
    # One side more is a larger area, and no longer shorter side.
    assert is_larger(481, 480, maximum=maximum, resolution_type=kind) == (kind != "pixel")


def test_a_shape_has_the_size_of_a_clip_of_that_shape():
    assert all(shape_size(w / h, s) == bucket_size(w, h, s) for w, h in TARGETS for s in SIZINGS)


def test_a_reduced_clip_has_the_wanted_size_and_its_own_shape():
    assert reduced(1920, 1080, size=720.0, resolution_type="pixel") == (1280, 720)
    assert reduced(1080, 1920, size=0.9216, resolution_type="area") == (720, 1280)
    assert reduced(1920, 1080, size=960.0, resolution_type="pixel_area") == (1280, 720)
    assert reduced(3000, 10, size=1.2, resolution_type="pixel") == (300, 1)


def test_a_reduced_clip_is_never_larger_than_the_clip():
    assert reduced(640, 360, size=720.0, resolution_type="pixel") == (640, 360)
    assert reduced(640, 360, size=9.0, resolution_type="area") == (640, 360)
