"""Each clip gets the mask of its name; one that does not fit leaves its clip out, and says what would admit it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.clips import HEIGHT, WIDTH, even_times, indexed_frames, whole_picture, write_clip
from reeltune.config.datasets import VideoDataset
from reeltune.config.masks import MaskDataset
from reeltune.contracts.clip import ManifestRow, Sample
from reeltune.data.masks import count_masks, with_masks
from reeltune.data.probe import probe
from reeltune.data.sources.local import file_ref
from reeltune.errors import DataError


def track(items: Iterable[Any], title: str, total: int, unit: str) -> Iterator[Any]:
    listed = list(items)
    assert (title, len(listed), unit) == ("reading m", total, "masks")
    yield from listed


def row_of(path: Path, folder: Path) -> ManifestRow:
    sample = Sample("a", file_ref(path, folder), probe(path), whole_picture((0, 1, 2, 3, 4)), ("words",))
    return ManifestRow(path, sample, dataset_id="a")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[ManifestRow]:
    """Four clips of nine frames, two of them in a folder below."""
    folder = tmp_path_factory.mktemp("clips")
    (folder / "below").mkdir()
    paths = [folder / name for name in ("a.mp4", "b.mp4", "below/a.mp4", "below/c.mp4")]
    for path in paths:
        write_clip(path, indexed_frames(9), even_times(9, 16))
    return [row_of(path, folder) for path in paths]


def picture(path: Path, *, width: int = WIDTH, height: int = HEIGHT) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width), 255, np.uint8)).save(path)


def masked(rows: list[ManifestRow], place: Path) -> tuple[ManifestRow, ...]:
    dataset = VideoDataset(id="a", instance_data_dir="clips", cache_dir_vae=str(place / "cache"))
    masks = MaskDataset(id="m", conditioning_type="mask", instance_data_dir=str(place / "masks"))
    return with_masks(rows, dataset, masks, track)


def test_masks_are_paired_by_name_below_the_folder(rows, tmp_path) -> None:
    picture(tmp_path / "masks/a.png")
    picture(tmp_path / "masks/below/a.PNG")
    picture(tmp_path / "masks/nobody.png")
    (tmp_path / "masks/b.txt").write_text("no mask")
    write_clip(tmp_path / "masks/below/c.mkv", indexed_frames(9), even_times(9, 25))
    found = masked(rows, tmp_path)
    masks = [row.sample and row.sample.mask and (row.sample.mask.file.name, row.sample.mask.still) for row in found]
    assert masks == [("a.png", True), None, ("below/a.PNG", True), ("below/c.mkv", False)]
    count = count_masks([row.sample for row in found if row.sample])
    assert (count.masked, count.clips, count.lacks_many) == (3, 4, True)


def test_a_mask_that_does_not_fit_leaves_its_clip_out_and_says_why(rows, tmp_path) -> None:
    masks = tmp_path / "masks"
    picture(masks / "a.png", width=WIDTH // 2)
    write_clip(masks / "b.mp4", indexed_frames(8), even_times(8, 16))
    picture(masks / "below/a.png")
    picture(masks / "below/a.jpg")
    (masks / "below/c.png").write_bytes(b"no picture at all")
    found = masked(rows, tmp_path)
    assert [row.sample for row in found] == [None] * 4
    assert [row.kind for row in found] == ["mask"] * 4
    small, short, double, broken = (row.why for row in found)
    whole = "take the mask away to train the clip whole"
    assert small == f"{masks}/a.png is 80x96, the clip is 160x96; make it that size, or {whole}"
    assert short.startswith(f"{masks}/b.mp4 has 8 frames, the clip has 9; give it as many, or one picture for all")
    assert double == f"{masks}/below/a.jpg, {masks}/below/a.png are all masks of this clip; keep one"
    assert broken.startswith(f"{masks}/below/c.png cannot be read: ")


def test_a_folder_without_any_mask_of_these_clips_is_refused(rows, tmp_path) -> None:
    picture(tmp_path / "masks/other.png")
    with pytest.raises(DataError, match=r"m: no mask in .*masks belongs to a clip of a; .* such as a.png"):
        masked(rows, tmp_path)
