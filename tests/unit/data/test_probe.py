from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.container import OutputContainer

from helpers.clips import even_times, indexed_frames, read_index, whole_picture, write_clip
from helpers.video import read_video
from reeltune.data.decode import decode
from reeltune.data.probe import probe
from reeltune.errors import UnreadableFile
from reeltune.media import write_mp4

TURN = 65_536


def audio_packets(container: OutputContainer) -> None:
    stream = container.add_stream("aac", rate=44_100)
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
    frame.sample_rate = 44_100
    container.mux([*stream.encode(frame), *stream.encode()])


@pytest.mark.parametrize(("codec", "name"), [("libx264", "a.mp4"), ("libx264", "a.mkv"), ("mpeg4", "a.avi")])
@pytest.mark.parametrize("b_frames", ["0", "3"])
def test_packets_are_counted_as_a_full_decode_counts_frames(tmp_path: Path, codec: str, name: str, b_frames: str):
    options, clock = {"bf": b_frames}, Fraction(1, 24)
    write_clip(tmp_path / name, indexed_frames(37), even_times(37, 24), codec=codec, options=options, clock=clock)
    info = probe(tmp_path / name)
    assert info.frames == sum(1 for _ in read_video(tmp_path / name)) == 37
    # Matroska rounds to milliseconds.
    assert info.fps == pytest.approx(24, rel=0.002)
    assert list(info.times_s) == sorted(info.times_s)
    assert info.times_s[0] == 0


@pytest.mark.parametrize("fps", [12.5, 16.0, 24.0, 29.97, 30.0, 60.0])
def test_time_stamps_are_exact(tmp_path: Path, fps: float):
    write_mp4(tmp_path / "a.mp4", indexed_frames(20), fps=fps)
    exact = Fraction(fps).limit_denominator(1001)
    info = probe(tmp_path / "a.mp4")
    assert (info.width, info.height) == (160, 96)
    assert info.times_s == pytest.approx([float(index / exact) for index in range(20)], abs=1e-12)
    assert info.end_s == pytest.approx(float(20 / exact), abs=1e-12)


def test_uneven_times_and_the_last_duration_are_kept(tmp_path: Path):
    times = [Fraction(t, 100) for t in (0, 3, 10, 11, 40, 90)]
    write_clip(tmp_path / "a.mp4", indexed_frames(5), times, options={"bf": "0"})
    info = probe(tmp_path / "a.mp4")
    assert info.times_s == pytest.approx([0, 0.03, 0.1, 0.11, 0.4], abs=1e-9)
    assert info.end_s == pytest.approx(0.9, abs=1e-9)


def test_a_single_frame_lasts_its_duration(tmp_path: Path):
    write_mp4(tmp_path / "a.mp4", indexed_frames(1), fps=25.0)
    info = probe(tmp_path / "a.mp4")
    assert (info.frames, info.end_s) == (1, pytest.approx(0.04))


def test_size_is_as_shown_after_turn_and_sample_aspect(tmp_path: Path):
    frames, times = indexed_frames(3), even_times(3, 24)
    quarter = [0, TURN, 0, -TURN, 0, 0, 0, 0, 1 << 30]
    write_clip(tmp_path / "turned.mp4", frames, times, display_matrix=quarter)
    write_clip(tmp_path / "wide.mp4", frames, times, sample_aspect=Fraction(4, 3))
    write_clip(tmp_path / "both.mp4", frames, times, display_matrix=quarter, sample_aspect=Fraction(4, 3))
    infos = [probe(tmp_path / name) for name in ("turned.mp4", "wide.mp4", "both.mp4")]
    assert [(info.width, info.height) for info in infos] == [(96, 160), (213, 96), (96, 213)]


def test_vp8_pictures_that_are_never_shown_are_not_counted(tmp_path: Path):
    write_clip(tmp_path / "a.webm", indexed_frames(12), even_times(12, 24), codec="libvpx")
    with av.open(str(tmp_path / "a.webm")) as source, av.open(str(tmp_path / "b.webm"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for index, packet in enumerate(packet for packet in source.demux() if packet.size):
            # Bit 4 of a VP8 packet says whether its picture is shown.
            content = bytearray(bytes(packet))
            content[0] &= ~0x10 if index in (3, 7) else 0xFF
            copy = av.Packet(bytes(content))
            copy.pts, copy.dts, copy.time_base, copy.stream = packet.pts, packet.dts, packet.time_base, stream
            copy.is_keyframe = packet.is_keyframe
            target.mux(copy)
    assert probe(tmp_path / "b.webm").frames == sum(1 for _ in read_video(tmp_path / "b.webm")) == 10


def test_a_clip_cut_before_its_first_key_frame_counts_what_can_be_decoded(tmp_path: Path):
    options = {"g": "10", "bf": "0", "sc_threshold": "0"}
    write_clip(tmp_path / "a.mkv", indexed_frames(30), even_times(30, 24), options=options)
    with av.open(str(tmp_path / "a.mkv")) as source, av.open(str(tmp_path / "b.mkv"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in [packet for packet in source.demux() if packet.size][4:]:
            packet.stream = stream
            target.mux(packet)
    assert probe(tmp_path / "b.mkv").frames == 20
    shown = decode(tmp_path / "b.mkv", whole_picture([0, 5, 19]))
    assert [read_index(frame) for frame in shown] == [10, 15, 29]


def test_frames_before_an_edit_list_starts_are_not_counted(tmp_path: Path):
    options = {"g": "10", "bf": "2", "sc_threshold": "0"}
    write_clip(tmp_path / "a.mp4", indexed_frames(30), even_times(30, 24), options=options)
    keep_negative = {"avoid_negative_ts": "disabled"}
    with (
        av.open(str(tmp_path / "a.mp4")) as source,
        av.open(str(tmp_path / "b.mp4"), "w", options=keep_negative) as cut,
    ):
        stream = cut.add_stream_from_template(source.streams.video[0])
        for packet in [packet for packet in source.demux() if packet.size]:
            assert packet.pts is not None
            assert packet.dts is not None
            shift = int(Fraction(5, 24) / packet.time_base)
            packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, stream
            cut.mux(packet)
    info = probe(tmp_path / "b.mp4")
    assert (info.frames, info.end_s) == (25, pytest.approx(25 / 24))
    shown = decode(tmp_path / "b.mp4", whole_picture([0, 7, 24]))
    assert [read_index(frame) for frame in shown] == [5, 12, 29]


def bad_file(path: Path, kind: str) -> None:
    if kind == "text":
        path.write_text("this is not a video\n" * 50)
    elif kind == "empty":
        path.touch()
    elif kind == "audio":
        with av.open(str(path), "w") as container:
            audio_packets(container)
    elif kind == "cut":
        # Noise, so that the index at the front is far from the cut.
        noise = np.random.default_rng(0).integers(0, 255, (24, 96, 160, 3), dtype=np.uint8)
        write_mp4(path, noise, fps=24.0)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "folder":
        path.mkdir()


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("text", "not a video"),
        ("empty", "empty file"),
        ("audio", "no video stream, only audio"),
        ("cut", r"cut off or damaged: \d+ bytes are missing at its end"),
        ("gone", "No such file"),
        ("folder", "not a regular file but a folder"),
    ],
)
def test_unreadable_files_say_why_in_words(tmp_path: Path, kind: str, reason: str):
    path = tmp_path / "a.mp4"
    bad_file(path, kind)
    with pytest.raises(UnreadableFile, match=reason) as caught:
        probe(path)
    assert str(caught.value) == f"{path}: {caught.value.reason}"
    assert ";" in caught.value.reason, "says what would help"


def test_names_are_paths_and_never_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write_mp4(tmp_path / "a.mp4", indexed_frames(2), fps=24.0)
    (tmp_path / "a.mp4").rename(tmp_path / "http:a.mp4")
    assert probe(Path("http:a.mp4")).frames == 2
