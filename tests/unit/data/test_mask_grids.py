"""A mask is cut exactly as its clip is, and averaged over what each place of the latents stands for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from helpers.clips import even_times, indexed_frames, read_index, write_clip
from reeltune.contracts.clip import Bucket, Mask, Placement
from reeltune.contracts.geometry import LatentGeometry
from reeltune.data.decode import decode
from reeltune.data.mask_grids import on_grid, read_mask, stacked, tokens_that_count
from reeltune.data.sources.local import file_ref

GEOMETRY = LatentGeometry(channels=16, spatial=8, temporal=4, patch=(1, 2, 2))


def still(path: Path, pixels: np.ndarray) -> Mask:
    Image.fromarray(pixels).save(path)
    return Mask(file_ref(path, path.parent), still=True)


def triangle(pixels: np.ndarray, size: int, axis: int) -> np.ndarray:
    """Resize along an axis with the triangle filter, as wide as the reduction, float64: a loop over places."""
    moved = np.moveaxis(pixels.astype(np.float64), axis, 0)
    scale = moved.shape[0] / size
    out = []
    for place in range(size):
        weights = 1 - np.abs(np.arange(moved.shape[0]) + 0.5 - (place + 0.5) * scale) / max(scale, 1)
        weights = np.clip(weights, 0, None)
        out.append(np.tensordot(weights / weights.sum(), moved, axes=1))
    return np.moveaxis(np.stack(out), 0, axis)


def test_means_over_pixels_channels_and_frames_equal_a_loop() -> None:
    frames = np.random.default_rng(3).integers(0, 256, (9, 16, 24, 3), dtype=np.uint8)
    grid = on_grid(frames, GEOMETRY)
    assert (grid.shape, grid.dtype) == ((3, 2, 3), torch.float32)
    for place, group in enumerate([[0], [1, 2, 3, 4], [5, 6, 7, 8]]):
        for row in range(2):
            for column in range(3):
                block = frames[group, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8].astype(np.float64)
                # One rounding to float32.
                assert abs(float(grid[place, row, column]) - block.mean() / 255) < 1e-7


def test_white_is_one_and_black_nothing_to_the_bit(tmp_path) -> None:
    placement = Placement(Bucket(64, 32, 9), tuple(range(9)), 70, 40, 3, 5)
    for value in (0, 255):
        grid = read_mask(still(tmp_path / f"{value}.png", np.full((96, 160), value, np.uint8)), placement, GEOMETRY)
        assert torch.equal(grid, torch.full((3, 4, 8), value / 255))


def test_a_picture_is_resized_and_cropped_as_the_clip_and_counts_for_all_frames(tmp_path) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (96, 160), dtype=np.uint8)
    placement = Placement(Bucket(64, 32, 5), (2, 4, 6, 8, 10), 70, 40, 3, 5)
    grid = read_mask(still(tmp_path / "a.png", pixels), placement, GEOMETRY)
    resized = triangle(triangle(pixels, 70, axis=1), 40, axis=0)[5:37, 3:67] / 255
    wanted = resized.reshape(4, 8, 8, 8).mean(axis=(1, 3))
    assert grid.shape == (2, 4, 8)
    assert torch.equal(grid[0], grid[1])
    # Pixels are rounded to whole numbers after each of two passes: half of 1/255 each, at most.
    np.testing.assert_allclose(grid[0].numpy(), wanted, atol=1 / 255)


def test_a_video_shows_the_frames_that_the_clip_shows(tmp_path) -> None:
    # The number of each frame survives in the mask, so that its frames say themselves which they are.
    write_clip(tmp_path / "mask.mp4", indexed_frames(40), even_times(40, 25))
    mask = Mask(file_ref(tmp_path / "mask.mp4", tmp_path), still=False)
    indices = (3, 4, 6, 7, 9, 10, 12, 13, 30)
    placement = Placement(Bucket(160, 96, 9), indices, 160, 96, 0, 0)
    assert [read_index(frame) for frame in decode(mask.file.path, placement)] == list(indices)
    wanted = [indexed_frames(40)[index].mean() / 255 for index in indices]
    grid = read_mask(mask, placement, GEOMETRY)
    # H.264 changes a block of 32x48 by a few of 255.
    means = grid.mean((1, 2)).numpy()
    np.testing.assert_allclose(means, [wanted[0], np.mean(wanted[1:5]), np.mean(wanted[5:])], atol=0.015)
    # A check of the check: the next frame's share of white differs by a block in ten.
    assert abs(means[0] - indexed_frames(40)[4].mean() / 255) > 0.05


def test_a_token_counts_where_anything_in_its_patch_does() -> None:
    mask = torch.zeros(2, 4, 6)
    mask[0, 1, 2], mask[1, 3, 5], mask[1, 0, 0] = 0.51, 1.0, 0.5
    counted = tokens_that_count(mask, (1, 2, 2))
    # Two frames of 2x3 tokens each, row by row; half is not more than half.
    assert counted.nonzero().flatten().tolist() == [1, 6 + 5]


def test_what_a_sample_lacks_is_filled_in_and_what_all_lack_is_nothing() -> None:
    assert stacked([None, None], 1.0) is None
    both = stacked([None, torch.zeros(1, 2, 2)], 1.0)
    assert both is not None
    assert both.tolist() == [[[[1, 1], [1, 1]]], [[[0, 0], [0, 0]]]]
