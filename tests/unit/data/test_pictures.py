"""Pictures and animations are read as a browser shows them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from zlib import crc32

import av
import numpy as np
import pytest
from PIL import Image, ImageCms

from helpers.clips import indexed_frames, read_index, whole_picture
from reeltune.data.decode import decode
from reeltune.data.probe import probe
from reeltune.errors import UnreadableFile

SIZE = (48, 32)
RED = (200, 40, 20)


def read(path: Path) -> np.ndarray:
    """Return a picture as training sees it at its own size."""
    info = probe(path)
    assert info.frames == 1
    return decode(path, whole_picture([0], width=info.width, height=info.height))[0]


@pytest.mark.parametrize(
    ("name", "options", "tolerance"),
    [
        ("a.png", {}, 0),
        ("a.bmp", {}, 0),
        ("a.tiff", {"compression": "tiff_lzw"}, 0),
        ("a.webp", {"lossless": True}, 0),
        ("a.jpg", {"quality": 95}, 3),
        ("a.avif", {"quality": 95}, 4),
        ("picture.mp4", {"format": "png"}, 0),
    ],
)
def test_a_picture_is_a_clip_of_one_frame(tmp_path: Path, name: str, options: dict[str, Any], tolerance: int):
    picture = Image.new("RGB", SIZE, RED)
    picture.save(tmp_path / name, **options)
    info = probe(tmp_path / name)
    assert (info.width, info.height, info.times_s) == (*SIZE, (0.0,))
    assert np.abs(read(tmp_path / name).astype(int) - RED).max() <= tolerance


MODES: dict[str, tuple[Callable[[], Image.Image], tuple[int, int, int], str]] = {
    "palette": (lambda: Image.new("RGB", SIZE, RED).quantize(4), RED, "png"),
    "grey": (lambda: Image.new("L", SIZE, 77), (77, 77, 77), "png"),
    "16-bit grey": (lambda: Image.fromarray(np.full(SIZE[::-1], 128 * 257, np.uint16)), (128, 128, 128), "png"),
    "16-bit grey tiff": (lambda: Image.fromarray(np.full(SIZE[::-1], 65535, np.uint16)), (255, 255, 255), "tiff"),
    "black and white": (lambda: Image.new("1", SIZE, 1), (255, 255, 255), "png"),
    "print colours": (lambda: Image.new("CMYK", SIZE, (0, 255, 255, 0)), (255, 0, 0), "tiff"),
    "clear": (lambda: Image.new("RGBA", SIZE, (0, 0, 0, 0)), (255, 255, 255), "png"),
    "half clear": (lambda: Image.new("RGBA", SIZE, (200, 40, 20, 51)), (244, 212, 208), "png"),
    "half clear grey": (lambda: Image.new("LA", SIZE, (100, 51)), (224, 224, 224), "png"),
}


@pytest.mark.parametrize("kind", MODES)
def test_pixels_of_every_kind_become_rgb_on_white(tmp_path: Path, kind: str):
    make, expected, form = MODES[kind]
    make().save(tmp_path / f"a.{form}")
    assert np.abs(read(tmp_path / f"a.{form}").astype(int) - expected).max() <= 1


def test_a_colour_that_stands_for_transparent_is_white(tmp_path: Path):
    picture = Image.new("RGB", SIZE, RED).quantize(4)
    picture.save(tmp_path / "a.png", transparency=picture.getpixel((0, 0)))
    assert (read(tmp_path / "a.png") == 255).all()


def test_pixels_of_unknown_range_are_refused(tmp_path: Path):
    Image.new("F", SIZE, 3.5).save(tmp_path / "a.tiff")
    with pytest.raises(UnreadableFile, match=r"32-bit numbers \(F\); "):
        decode(tmp_path / "a.tiff", whole_picture([0], width=SIZE[0], height=SIZE[1]))


@pytest.mark.parametrize("number", range(1, 9))
def test_pictures_are_turned_as_exif_says(tmp_path: Path, number: int):
    # Number 1: only the first block, top left, is white.
    stored = indexed_frames(2)[1]
    exif = Image.Exif()
    exif[0x0112] = number
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    turned = {
        1: stored,
        2: np.fliplr(stored),
        3: np.rot90(stored, 2),
        4: np.flipud(stored),
        5: stored.swapaxes(0, 1),
        6: np.rot90(stored, -1),
        7: np.rot90(stored.swapaxes(0, 1), 2),
        8: np.rot90(stored, 1),
    }[number]
    assert np.array_equal(read(tmp_path / "a.png"), turned)


def swapped_profile() -> bytes:
    """Return a profile of a screen whose red and blue are the other way round."""
    content = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {
        bytes(content[at : at + 4]): at for at in range(132, 132 + 12 * struct.unpack(">I", content[128:132])[0], 12)
    }
    content[tags[b"rXYZ"] : tags[b"rXYZ"] + 4], content[tags[b"bXYZ"] : tags[b"bXYZ"] + 4] = b"bXYZ", b"rXYZ"
    return bytes(content).replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))


def test_colours_of_another_profile_become_srgb(tmp_path: Path):
    profile = swapped_profile()
    assert "sRGB" not in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(profile)))
    for mode in ("RGB", "RGBA"):
        Image.new(mode, SIZE, RED).save(tmp_path / "a.png", icc_profile=profile)
        assert np.abs(read(tmp_path / "a.png").astype(int) - RED[::-1]).max() <= 2, mode
    Image.new("RGB", SIZE, RED).save(tmp_path / "b.png", icc_profile=b"no profile")
    assert np.abs(read(tmp_path / "b.png").astype(int) - RED).max() == 0


def animation(path: Path, frames: np.ndarray, **options: Any) -> Path:
    pictures = [Image.fromarray(frame) for frame in frames]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], **options)
    return path


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_an_animation_keeps_its_times(tmp_path: Path, name: str):
    durations = [40, 90, 20, 500, 40, 70]
    path = animation(tmp_path / name, indexed_frames(6), duration=durations)
    info = probe(path)
    assert info.times_s == pytest.approx([0, 0.04, 0.13, 0.15, 0.65, 0.69], abs=1e-12)
    assert info.end_s == pytest.approx(0.76)
    indices = [0, 3, 3, 5]
    assert [read_index(frame) for frame in decode(path, whole_picture(indices))] == indices


def test_a_gif_shows_what_another_reader_shows(tmp_path: Path):
    generator = np.random.default_rng(0)
    frames = [Image.new("RGBA", SIZE, (0, 0, 0, 0)) for _ in range(6)]
    for index, frame in enumerate(frames):
        color = tuple(int(level) for level in generator.integers(0, 255, 3))
        frame.paste((*color, 255), (4 * index, 2 * index, 4 * index + 12, 2 * index + 12))
    for disposal in (1, 2):
        path = tmp_path / f"{disposal}.gif"
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=50, disposal=disposal)
        with av.open(str(path)) as container:
            expected = [frame.to_ndarray(format="rgba") for frame in container.decode(video=0)]
        shown = decode(path, whole_picture(range(6), width=SIZE[0], height=SIZE[1]))
        for mine, other in zip(shown, expected, strict=True):
            alpha = other[..., 3:] / 255
            assert np.abs(mine - (other[..., :3] * alpha + 255 * (1 - alpha))).max() <= 1, disposal


def test_times_of_nothing_are_a_tenth_of_a_second_as_in_browsers(tmp_path: Path):
    path = animation(tmp_path / "a.gif", indexed_frames(3), duration=[0, 10, 20])
    assert probe(path).times_s == pytest.approx([0, 0.1, 0.2])
    assert probe(path).end_s == pytest.approx(0.22)


def test_the_picture_for_those_who_cannot_animate_is_no_frame(tmp_path: Path):
    frames = indexed_frames(4)
    path = animation(tmp_path / "a.png", frames, duration=50, default_image=True)
    assert probe(path).frames == 3
    assert [read_index(frame) for frame in decode(path, whole_picture([0, 1, 2]))] == [1, 2, 3]


def test_pages_and_previews_are_no_moments(tmp_path: Path):
    path = animation(tmp_path / "a.tiff", indexed_frames(3))
    assert probe(path).frames == 1


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.gif", "a.tiff", "a.avif", "a.bmp"])
def test_a_picture_that_is_cut_off_is_named(tmp_path: Path, name: str):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(UnreadableFile, match=r"(damaged picture|cut off).*; "):
        probe(tmp_path / name)


@pytest.mark.parametrize("side", [9000, 16_384])
def test_a_picture_of_too_many_pixels_is_never_decoded(tmp_path: Path, side: int):
    # A header, and no pixels: nothing but the size can be read.
    header = b"IHDR" + struct.pack(">II5B", side, side, 8, 2, 0, 0, 0)
    chunks = [
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", crc32(chunk)) for chunk in (header, b"IDAT")
    ]
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    with pytest.raises(UnreadableFile, match=r"too large: .*67 megapixels are the most; scale it down"):
        probe(tmp_path / "a.png")
