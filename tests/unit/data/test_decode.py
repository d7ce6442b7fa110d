from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.video.stream import VideoStream
from PIL import Image

from helpers.clips import even_times, frames_shown, indexed_frames, read_index, whole_picture, write_clip
from helpers.video import read_video
from reeltune.contracts.clip import Bucket, Placement
from reeltune.data.decode import decode, to_model_range
from reeltune.data.frames import frames_available, training_rate, window
from reeltune.data.probe import probe
from reeltune.errors import UnreadableFile
from reeltune.media import write_mp4


def trained_numbers(path: Path) -> list[int]:
    """Return the numbers on the frames that training at 16 fps would see."""
    info = probe(path)
    rate = training_rate(info, setting="model", model_fps=16.0)
    indices = window(info, rate, num_frames=frames_available(info, rate))
    return [read_index(frame) for frame in decode(path, whole_picture(indices))]


def expected_numbers(times: list[Fraction]) -> list[int]:
    """Return the numbers that the rule asks for up to the last of the times."""
    return frames_shown(times, count=sum(Fraction(step, 16) < times[-1] for step in range(1000)), fps=16)


@pytest.mark.parametrize("fps", [16.0, 24.0, 30.0, 29.97, 12.5, 60.0])
def test_frames_at_16_fps_are_exact(tmp_path: Path, fps: float):
    write_mp4(tmp_path / "a.mp4", indexed_frames(81), fps=fps)
    times = even_times(81, Fraction(fps).limit_denominator(1001))
    assert trained_numbers(tmp_path / "a.mp4") == expected_numbers(times)


@pytest.mark.parametrize("fps", [15.0, 17.0])
def test_near_rates_take_every_frame(tmp_path: Path, fps: float):
    write_mp4(tmp_path / "a.mp4", indexed_frames(49), fps=fps)
    assert trained_numbers(tmp_path / "a.mp4") == list(range(49))


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
def test_frames_of_a_clip_with_a_variable_rate_are_exact(tmp_path: Path, name: str):
    generator = np.random.default_rng(0)
    # Whole milliseconds, which Matroska can hold.
    gaps = generator.choice([7, 16, 33, 40, 150, 301], size=80)
    times = [Fraction(0), *(Fraction(int(total), 1000) for total in np.cumsum(gaps))]
    write_clip(tmp_path / name, indexed_frames(80), times)
    # MP4 keeps durations in decoding order, so among B-frames only the start of the last frame is certain.
    expected = expected_numbers(times[:-1])
    assert trained_numbers(tmp_path / name)[: len(expected)] == expected
    write_clip(tmp_path / name, indexed_frames(80), times, options={"bf": "0"})
    assert trained_numbers(tmp_path / name) == expected_numbers(times)


def test_frames_of_a_clip_with_b_frames_are_exact(tmp_path: Path):
    times = even_times(90, 24)
    write_clip(tmp_path / "a.mp4", indexed_frames(90), times, options={"bf": "3", "b_strategy": "0"})
    with av.open(str(tmp_path / "a.mp4")) as container:
        stamps = [packet.pts for packet in container.demux(video=0) if packet.pts is not None]
    assert stamps != sorted(stamps), "the clip has no B-frames"
    assert trained_numbers(tmp_path / "a.mp4") == expected_numbers(times)


@pytest.mark.parametrize(("codec", "name"), [("libx264", "a.avi"), ("libvpx-vp9", "a.webm"), ("libx265", "a.mkv")])
def test_positions_are_those_of_the_picture_order_in_any_container(tmp_path: Path, codec: str, name: str):
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    write_clip(tmp_path / name, indexed_frames(40), even_times(40, 24), codec=codec, options=options)
    assert probe(tmp_path / name).frames == 40
    indices = [0, 3, 3, 17, 39]
    assert [read_index(frame) for frame in decode(tmp_path / name, whole_picture(indices))] == indices


def test_decoding_stops_after_the_last_wanted_frame(tmp_path: Path):
    noise = np.random.default_rng(0).integers(0, 255, (90, 96, 160, 3), dtype=np.uint8)
    write_mp4(tmp_path / "a.mp4", noise, fps=24.0)
    content = bytearray((tmp_path / "a.mp4").read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    (tmp_path / "a.mp4").write_bytes(content)
    assert decode(tmp_path / "a.mp4", whole_picture(range(9))).shape == (9, 96, 160, 3)
    with pytest.raises(UnreadableFile, match=r"a\.mp4: damaged after frame \d+"):
        decode(tmp_path / "a.mp4", whole_picture(range(90)))


def test_a_file_that_ends_too_early_names_the_frame(tmp_path: Path):
    write_mp4(tmp_path / "a.mp4", indexed_frames(10), fps=16.0)
    with pytest.raises(UnreadableFile, match=r"a\.mp4: ends after 10 frames, frame 13 is wanted"):
        decode(tmp_path / "a.mp4", whole_picture([0, 9, 12]))


def test_resize_is_one_lanczos_step_and_the_crop_is_where_it_was_placed(tmp_path: Path):
    noise = np.random.default_rng(0).integers(0, 255, (2, 24, 40, 1), dtype=np.uint8)
    write_mp4(tmp_path / "a.mp4", np.kron(noise, np.ones((1, 4, 4, 3), np.uint8)), fps=16.0)
    placement = Placement(Bucket(64, 32, 2), (0, 1), resize_width=70, resize_height=42, crop_left=3, crop_top=5)
    source = np.stack(list(read_video(tmp_path / "a.mp4")))
    resized = [np.asarray(Image.fromarray(frame).resize((70, 42), Image.Resampling.LANCZOS)) for frame in source]
    expected = np.stack(resized)[:, 5:37, 3:67].astype(int)
    # Grey, so that only rounding differs; a shift by one pixel would be 20 levels on average.
    assert np.abs(decode(tmp_path / "a.mp4", placement) - expected).max() <= 3


TURN = 65_536
TURNS: dict[str, tuple[list[int], Callable[[np.ndarray], np.ndarray]]] = {
    "clockwise, as a phone held upright": ([0, TURN, -TURN, 0], lambda frame: np.rot90(frame, -1)),
    "counterclockwise": ([0, -TURN, TURN, 0], lambda frame: np.rot90(frame, 1)),
    "upside down": ([-TURN, 0, 0, -TURN], lambda frame: np.rot90(frame, 2)),
    "mirrored, as a front camera": ([-TURN, 0, 0, TURN], np.fliplr),
    "mirrored and turned": ([0, TURN, TURN, 0], lambda frame: frame.swapaxes(0, 1)),
}


@pytest.mark.parametrize("turn", TURNS)
def test_clips_are_turned_as_they_are_shown(tmp_path: Path, turn: str):
    (a, b, c, d), as_shown = TURNS[turn]
    matrix = [a, b, 0, c, d, 0, 0, 0, 1 << 30]
    # Number 1: only the first block, top left, is white.
    frames = indexed_frames(2)[1:]
    write_clip(tmp_path / "a.mp4", frames, even_times(1, 16), display_matrix=matrix)
    info = probe(tmp_path / "a.mp4")
    shown = decode(tmp_path / "a.mp4", whole_picture([0], width=info.width, height=info.height))
    assert np.abs(shown[0].astype(int) - as_shown(frames[0])).mean() < 6


def test_pixels_that_are_not_square_are_stretched(tmp_path: Path):
    write_clip(tmp_path / "a.mp4", indexed_frames(20), even_times(20, 16), sample_aspect=Fraction(2))
    info = probe(tmp_path / "a.mp4")
    assert (info.width, info.height) == (320, 96)
    shown = decode(tmp_path / "a.mp4", whole_picture([19], width=320, height=96))
    assert read_index(shown[0]) == 19


# Kr and Kb of ITU-R BT.601 and BT.709, and their numbers in ITU-T H.273.
MATRICES = {"bt601": (0.299, 0.114, 6), "bt709": (0.2126, 0.0722, 1)}


def write_flat(path: Path, rgb: tuple[int, int, int], *, matrix: str, full: bool, tagged: bool, lines: int) -> None:
    """Write one flat colour, lossless, with the luma and chroma that the standard's formula gives."""
    kr, kb, tag = MATRICES[matrix]
    red, green, blue = (level / 255 for level in rgb)
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = ((blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr))
    scales = (255, 255, 0) if full else (219, 224, 16)
    planes = [round(scales[0] * luma + scales[2]), *(round(scales[1] * value + 128) for value in chroma)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=16)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt, stream.options = 64, lines, "yuv420p", {"crf": "0"}
        if tagged:
            stream.codec_context.colorspace, stream.codec_context.color_range = tag, 2 if full else 1
        frame = av.VideoFrame(64, lines, "yuv420p")
        for plane, level in zip(frame.planes, planes, strict=True):
            plane.update(bytes([level]) * plane.buffer_size)
        frame.colorspace, frame.color_range = (tag, 2 if full else 1) if tagged else (2, 0)
        container.mux([*stream.encode(frame), *stream.encode()])


@pytest.mark.parametrize(
    ("matrix", "full", "tagged", "lines"),
    [
        ("bt601", False, True, 720),
        ("bt709", False, True, 64),
        ("bt601", True, True, 64),
        ("bt709", True, True, 64),
        ("bt601", False, False, 576),
        ("bt709", False, False, 720),
    ],
)
@pytest.mark.parametrize("rgb", [(200, 40, 40), (30, 180, 60), (20, 60, 230), (255, 255, 255), (0, 0, 0)])
def test_colours_survive_whatever_the_matrix_and_range(
    tmp_path: Path, matrix: str, full: bool, tagged: bool, lines: int, rgb: tuple[int, int, int]
):
    write_flat(tmp_path / "a.mp4", rgb, matrix=matrix, full=full, tagged=tagged, lines=lines)
    shown = decode(tmp_path / "a.mp4", whole_picture([0], width=64, height=64))
    # 1 level from rounding luma and chroma, 1 from rounding back; another matrix is 10 to 30 levels off.
    assert np.abs(shown.astype(int) - rgb).max() <= 3


def test_rgb_and_ten_bit_sources_are_read(tmp_path: Path):
    frame = np.full((64, 64, 3), (200, 40, 40), np.uint8)
    for codec, pixels, lossless in [("png", "rgb24", True), ("libx264", "yuv420p10le", False)]:
        with av.open(str(tmp_path / "a.mov"), "w") as container:
            stream = container.add_stream(codec, rate=16)
            assert isinstance(stream, VideoStream)
            stream.width, stream.height, stream.pix_fmt = 64, 64, pixels
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=pixels)
            container.mux([*stream.encode(picture), *stream.encode()])
        shown = decode(tmp_path / "a.mov", whole_picture([0], width=64, height=64))
        assert np.abs(shown.astype(int) - frame).max() <= (0 if lossless else 3)


def test_model_range_is_minus_one_to_one_with_colour_first():
    frames = np.zeros((2, 4, 6, 3), np.uint8)
    frames[1, :, :, 2] = 255
    frames[0, 0, 0, 0] = 51
    tensor = to_model_range(frames)
    assert tensor.shape == (3, 2, 4, 6)
    assert tensor.dtype == torch.float32
    assert tensor.is_contiguous()
    assert (tensor[2, 1].unique().item(), tensor[1].unique().item()) == (1.0, -1.0)
    assert tensor[0, 0, 0, 0].item() == pytest.approx(-0.6)
    assert frames[1, 0, 0, 2] == 255, "the frames themselves are left alone"
