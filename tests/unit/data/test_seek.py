"""A late window is decoded from the key frame before it, and is to the bit what decoding from the start shows."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from helpers.clips import even_times, indexed_frames, whole_picture, write_clip
from helpers.formats import DEPTHS, Make, quiet
from reeltune.data import decode as decode_module
from reeltune.data.decode import decode
from reeltune.data.seeking import Start
from reeltune.errors import UnreadableFile

WIDTH, HEIGHT, FRAMES, EVERY = 80, 64, 130, 20
FIRSTS = (99, 119, 120)
"""Too early to be worth it; around a key frame."""

X264 = f"keyint={EVERY}:min-keyint=1:scenecut=0:b-adapt=0"
X265 = f"log-level=none:pools=1:info=0:keyint={EVERY}:min-keyint={EVERY}:scenecut=0:bframes=4"
AV1 = {"preset": "12", "g": str(EVERY), "svtav1-params": "film-grain=20"}
VP9 = {"deadline": "good", "cpu-used": "8", "g": str(EVERY), "lag-in-frames": "10", "auto-alt-ref": "1"}

SOUGHT: dict[str, tuple[str, str, dict[str, str]]] = {
    "B-frames": ("a.mp4", "libx264", {"bf": "3", "x264-params": X264}),
    "slices and headers again": ("a.mov", "libx264", {"x264-params": X264 + ":slices=4:repeat-headers=1"}),
    "open groups of HEVC": ("a.mp4", "libx265", {"preset": "ultrafast", "x265-params": X265 + ":open-gop=1"}),
    "closed groups of HEVC": ("a.mkv", "libx265", {"preset": "ultrafast", "x265-params": X265 + ":open-gop=0"}),
    "hidden frames of VP9": ("a.webm", "libvpx-vp9", VP9),
    "film grain of AV1": ("a.mp4", "libsvtav1", AV1),
}
FROM_THE_START: dict[str, tuple[str, str, dict[str, str]]] = {
    "open groups of H.264": ("a.mkv", "libx264", {"bf": "3", "x264-params": X264 + ":open-gop=1"}),
    "recovery by and by": ("a.mkv", "libx264", {"x264-params": X264 + ":intra-refresh=1"}),
    "lossless 4:4:4 profile": ("a.mp4", "libx264", {"x264-params": X264 + ":qp=0"}),
    "no times": ("a.avi", "libx264", {"x264-params": X264}),
}
UNEVEN = [Fraction(int(total), 1000) for total in np.cumsum(np.tile([7, 16, 33, 40, 150, 301, 12], 30))]


@functools.cache
def drifting() -> np.ndarray:
    """Return numbered frames with moving texture, so that each is predicted from others and shows it."""
    texture = np.random.default_rng(0).integers(-60, 60, (HEIGHT, WIDTH, 3))
    numbers = indexed_frames(FRAMES, width=WIDTH, height=HEIGHT)
    moved = np.stack([np.roll(texture, (index, 2 * index), (0, 1)) for index in range(FRAMES)])
    return np.clip(numbers + moved, 0, 255).astype(np.uint8)


def write(path: Path, codec: str, options: dict[str, str], *, times: list[Fraction] | None = None) -> Path:
    times = times or even_times(FRAMES, 25)
    # An AVI counts whole frames.
    clock = Fraction(1, 25) if path.suffix == ".avi" else Fraction(1, 60_000)
    with quiet():
        write_clip(path, drifting(), times, codec=codec, options=options, clock=clock)
    return path


def taken(path: Path, indices: Sequence[int]) -> np.ndarray:
    return decode(path, whole_picture(indices, width=WIDTH, height=HEIGHT))


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The time stamps of the frames that were decoded."""
    stamps: list[int] = []
    real = decode_module.shown

    def counted(*place: object, **since: object):
        for frame in real(*place, **since):  # pyright: ignore[reportArgumentType]
            stamps.append(frame.pts or 0)
            yield frame

    monkeypatch.setattr(decode_module, "shown", counted)
    return stamps


def check(path: Path, decoded: list[int], *, key_before: Callable[[int], int]) -> None:
    """Compare windows with the same frames of a decoding from the start, and count what was decoded for them."""
    whole = taken(path, range(FRAMES))
    for first in FIRSTS:
        indices = [first, first + 1, first + 1, first + 4]
        decoded.clear()
        window = taken(path, indices)
        assert np.array_equal(window, whole[indices]), first
        assert len(decoded) == first + 5 - (key_before(first) if first >= 100 else 0), first


@pytest.mark.parametrize("name", SOUGHT)
def test_a_late_window_is_exact_and_decoded_from_its_key_frame(tmp_path: Path, decoded: list[int], name: str):
    file, codec, options = SOUGHT[name]
    check(write(tmp_path / file, codec, options), decoded, key_before=lambda first: first // EVERY * EVERY)


@pytest.mark.parametrize("name", FROM_THE_START)
def test_what_may_not_be_exact_is_decoded_from_the_start(tmp_path: Path, decoded: list[int], name: str):
    file, codec, options = FROM_THE_START[name]
    check(write(tmp_path / file, codec, options), decoded, key_before=lambda first: 0)


@pytest.mark.parametrize(("container", "codec"), [("mp4", "mjpeg"), ("mov", "prores_ks")])
def test_where_every_frame_is_a_key_frame_only_the_wanted_ones_are_decoded(
    tmp_path: Path, decoded: list[int], container: str, codec: str
):
    make = Make(container, codec, depth=min(DEPTHS[codec]), width=WIDTH, height=HEIGHT, frames=FRAMES)
    check(make.write(tmp_path, drifting()), decoded, key_before=lambda first: first)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_windows_of_a_variable_rate_are_exact(tmp_path: Path, decoded: list[int], name: str):
    path = write(tmp_path / name, "libx264", {"bf": "3", "x264-params": X264}, times=UNEVEN[: FRAMES + 1])
    check(path, decoded, key_before=lambda first: first // EVERY * EVERY)


def rewrite(source_path: Path, path: Path, change: Callable[[int, av.Packet], av.Packet | None]) -> Path:
    """Copy a clip packet by packet; None leaves one out."""
    with (
        av.open(str(source_path)) as source,
        av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for index, packet in enumerate([packet for packet in source.demux(video=0) if packet.size]):
            changed = change(index, packet)
            if changed is not None:
                changed.stream = stream
                target.mux(changed)
    return path


def test_windows_behind_an_edit_list_are_exact(tmp_path: Path, decoded: list[int]):
    shift = 24

    def earlier(_: int, packet: av.Packet) -> av.Packet:
        ticks = int(Fraction(shift, 25) / packet.time_base)
        packet.pts, packet.dts = (packet.pts or 0) - ticks, (packet.dts or 0) - ticks
        return packet

    path = write(tmp_path / "a.mp4", "libx264", {"bf": "3", "x264-params": X264})
    cut = rewrite(path, tmp_path / "b.mp4", earlier)
    whole = taken(cut, range(FRAMES - shift))
    assert np.array_equal(whole, taken(path, range(shift, FRAMES)))
    for first in (100, 101):
        decoded.clear()
        assert np.array_equal(taken(cut, [first, first + 2]), whole[[first, first + 2]])
        assert len(decoded) == 3 + (first + shift) % EVERY


def test_windows_of_a_clip_cut_out_of_an_open_group_are_exact(tmp_path: Path, decoded: list[int]):
    path = write(tmp_path / "a.mkv", "libx265", {"preset": "ultrafast", "x265-params": X265 + ":open-gop=0"})
    cut = rewrite(path, tmp_path / "b.mkv", lambda index, packet: packet if index >= EVERY - 8 else None)
    whole = taken(cut, range(FRAMES - EVERY))
    assert np.array_equal(whole, taken(path, range(FRAMES))[EVERY:])
    for first in (100, 107):
        decoded.clear()
        assert np.array_equal(taken(cut, [first, first + 2]), whole[[first, first + 2]])
        assert len(decoded) == 3 + first % EVERY


def prefixed(packet: av.Packet, unit: bytes) -> av.Packet:
    copy = av.Packet(len(unit).to_bytes(4, "big") + unit + bytes(packet))
    copy.pts, copy.dts, copy.time_base, copy.is_keyframe = packet.pts, packet.dts, packet.time_base, packet.is_keyframe
    return copy


@pytest.mark.parametrize(
    ("unit", "key"),
    [
        # ITU-T H.264, 7.3.1 and annex D: supplementary parameters; filler, then a turn that is taken back; filler.
        (b"\x0d\x80", 0),
        (b"\x06\x03\x02\xff\xff\x2f\x01\x80\x80", 0),
        (b"\x06\x03\x02\xff\xff\x80", 120),
    ],
)
def test_what_reaches_beyond_a_key_frame_is_not_jumped_over(tmp_path: Path, decoded: list[int], unit: bytes, key: int):
    path = write(tmp_path / "a.mkv", "libx264", {"x264-params": X264})
    changed = rewrite(path, tmp_path / "b.mkv", lambda i, packet: prefixed(packet, unit) if i == 10 else packet)
    assert np.array_equal(taken(changed, [125]), taken(path, [125]))
    decoded.clear()
    taken(changed, [125])
    assert len(decoded) == 126 - key


def test_damage_counts_only_where_it_is_decoded(tmp_path: Path):
    path = write(tmp_path / "a.mp4", "libx264", {"bf": "0", "x264-params": X264})
    sound = taken(path, [122, 126])
    with av.open(str(path)) as container:
        places = [(packet.pos or 0, packet.size) for packet in container.demux(video=0) if packet.size]

    def damage(number: int) -> None:
        at, size = places[number]
        content = bytearray(path.read_bytes())
        content[at + size // 4 : at + size] = bytes(255 - value for value in content[at + size // 4 : at + size])
        path.write_bytes(content)

    damage(100)
    assert np.array_equal(taken(path, [122, 126]), sound)
    with pytest.raises(UnreadableFile, match=r"a\.mp4: damaged (after|at) frame \d+; copy or export it again"):
        taken(path, [101, 110])
    path = write(tmp_path / "a.mp4", "libx264", {"bf": "0", "x264-params": X264})
    damage(120)
    with pytest.raises(UnreadableFile, match=r"a\.mp4: damaged (after|at) frame \d+; copy or export it again"):
        taken(path, [120, 126])


@pytest.mark.parametrize("due", [(72_000, 74_401), (71_999,)])
def test_time_stamps_that_are_not_those_expected_lead_back_to_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoded: list[int], due: tuple[int, ...]
):
    path = write(tmp_path / "a.mp4", "libx264", {"x264-params": X264})
    expected = taken(path, [122, 126])
    monkeypatch.setattr(decode_module, "start_before", lambda path, frame: Start(120, due))
    decoded.clear()
    assert np.array_equal(taken(path, [122, 126]), expected)
    assert len(decoded) >= 127


def test_a_file_that_ends_before_a_late_frame_names_the_frame(tmp_path: Path):
    path = write(tmp_path / "a.mp4", "libx264", {"x264-params": X264})
    with pytest.raises(UnreadableFile, match=r"a\.mp4: ends after 130 frames, frame 171 is wanted"):
        taken(path, [122, 170])
