from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from reeltune.config.datasets import CropAspect
from reeltune.data.buckets import Sizing
from reeltune.data.crops import Cropping, Size, crop_corner, crop_size, resized

AREA = Sizing(480.0, "pixel_area")
WIDE, SQUARE, TALL = (CropAspect(aspect=aspect) for aspect in (1.78, 1.0, 0.56))


def size_of(source: Size, sizing: Sizing = AREA, *, seed: int = 0, **cropping: Any) -> Size:
    return crop_size(*source, Cropping(crop=True, **cropping), sizing, generator=np.random.default_rng(seed))


def resize_of(source: Size, size: Size, sizing: Sizing = AREA, **cropping: Any) -> Size:
    return resized(*source, size, Cropping(crop=True, **cropping), sizing)


def corner_of(frame: Size, size: Size, style: Any, *, seed: int = 0) -> tuple[int, int]:
    return crop_corner(frame, size, Cropping(style=style), generator=np.random.default_rng(seed))


def test_square_crops_have_the_size_of_square_clips():
    assert size_of((1920, 1080)) == size_of((1080, 1920)) == (480, 480)
    assert size_of((1920, 1080), Sizing(512.0, "pixel")) == (512, 512)
    assert size_of((300, 200), Sizing(0.2304, "area")) == (480, 480)


def test_preserve_and_no_crop_keep_the_clips_own_shape():
    assert size_of((1920, 1080), aspect="preserve") == (640, 352)
    assert crop_size(1920, 1080, Cropping(), AREA, generator=np.random.default_rng(0)) == (640, 352)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ((1920, 1080), (640, 352)),
        ((1080, 1920), (352, 640)),
        ((640, 480), (480, 480)),
        ((3000, 100), (640, 352)),
        ((100, 3000), (352, 640)),
    ],
)
def test_closest_takes_the_shape_that_changes_least(source: Size, expected: Size):
    assert size_of(source, aspect="closest", shapes=(WIDE, SQUARE, TALL)) == expected


def test_nearness_of_shapes_is_a_factor_and_not_a_difference():
    # 1.5 lies 0.5 from both 1 and 2, and a factor of 1.5 from 1 but of 1.33 from 2.
    one, two, half = (CropAspect(aspect=aspect) for aspect in (1.0, 2.0, 0.5))
    assert size_of((1500, 1000), aspect="closest", shapes=(one, two)) == size_of((2, 1), aspect="preserve")
    # A square is a factor of 2 from both: the first one is taken.
    assert size_of((900, 900), aspect="closest", shapes=(two, half)) == size_of((2, 1), aspect="preserve")
    assert size_of((900, 900), aspect="closest", shapes=(half, two)) == size_of((1, 2), aspect="preserve")


def test_random_shapes_are_drawn_by_weight():
    shapes = (CropAspect(aspect=1.78, weight=3), CropAspect(aspect=1.0, weight=1))
    drawn = Counter(size_of((1920, 1080), aspect="random", shapes=shapes, seed=seed) for seed in range(400))
    assert set(drawn) == {(640, 352), (480, 480)}
    # 100 expected; five standard deviations are 43.
    assert abs(drawn[480, 480] - 100) < 43


def test_random_shapes_enlarge_a_clip_by_a_fifth_at_most():
    shapes = (WIDE, TALL)
    # 640 / 1.2 = 533.3; the tall one needs 640 rows of 400.
    assert {size_of((534, 400), aspect="random", shapes=shapes, seed=seed) for seed in range(30)} == {(640, 352)}
    # Neither fits: a square, whatever is in the list.
    assert {size_of((533, 400), aspect="random", shapes=shapes, seed=seed) for seed in range(30)} == {(480, 480)}


def test_without_limits_a_clip_is_resized_to_just_cover_the_crop():
    assert resize_of((1920, 1080), (480, 480)) == (853, 480)
    assert resize_of((1920, 1080), (480, 480), maximum=600.0) == (853, 480)
    assert resize_of((1920, 1080), (480, 480), target=600.0) == (853, 480)


@pytest.mark.parametrize(
    ("sizing", "maximum", "target", "expected"),
    [
        (Sizing(480.0, "pixel"), 1000.0, 720.0, (1280, 720)),
        (Sizing(480.0, "pixel_area"), 1000.0, 960.0, (1280, 720)),
        (Sizing(0.2304, "area"), 1.0, 0.9216, (1280, 720)),
        # Smaller than what covers the crop.
        (Sizing(480.0, "pixel"), 1000.0, 100.0, (853, 480)),
        # Not larger than the maximum: its own size.
        (Sizing(480.0, "pixel"), 1080.0, 720.0, (1920, 1080)),
        (Sizing(480.0, "pixel"), 1079.0, 720.0, (1280, 720)),
        (Sizing(480.0, "pixel_area"), 1440.0, 960.0, (1920, 1080)),
        (Sizing(480.0, "pixel_area"), 1439.0, 960.0, (1280, 720)),
        # Nothing is enlarged to a target.
        (Sizing(480.0, "pixel"), 500.0, 2000.0, (1920, 1080)),
        # 0 sets no limit.
        (Sizing(480.0, "pixel"), 0.0, 720.0, (853, 480)),
    ],
)
def test_clips_above_the_maximum_are_resized_to_the_target_and_others_keep_their_size(
    sizing: Sizing, maximum: float, target: float, expected: Size
):
    assert resize_of((1920, 1080), (480, 480), sizing, maximum=maximum, target=target) == expected


def test_a_small_clip_is_enlarged_to_cover_the_crop():
    assert resize_of((400, 300), (480, 480), maximum=1000.0, target=600.0) == (640, 480)


def test_limits_are_about_crops():
    limits = Cropping(crop=False, maximum=1000.0, target=960.0)
    assert resized(1920, 1080, (640, 352), limits, AREA) == (640, 360)


def test_center_leaves_as_much_on_each_side_and_corner_nothing_at_the_top_left():
    assert corner_of((853, 480), (480, 480), "center") == (186, 0)
    assert corner_of((640, 361), (640, 352), "center") == (0, 4)
    assert corner_of((853, 500), (480, 480), "corner") == (0, 0)


def test_random_crops_reach_every_place_and_only_those_inside():
    drawn = {corner_of((484, 482), (480, 480), "random", seed=seed) for seed in range(400)}
    assert drawn == {(left, top) for left in range(5) for top in range(3)}


def test_a_random_part_is_the_same_at_another_resolution():
    small, large = (corner_of((800 * n, 480 * n), (480 * n, 480 * n), "random", seed=3) for n in (1, 4))
    assert small[0] > 0
    assert abs(large[0] / 4 - small[0]) <= 1
