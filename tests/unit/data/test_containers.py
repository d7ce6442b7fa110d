"""What a container may hold besides plain frames: alpha, more bits, other brightness, covers, locks, gaps, traps."""

from __future__ import annotations

import threading
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from av.video.stream import VideoStream

from helpers.clips import even_times, indexed_frames, read_index, whole_picture, write_clip
from helpers.damage import textured
from helpers.formats import Make
from reeltune.data import containers as containers_module
from reeltune.data import decode as decode_module
from reeltune.data import probe as probe_module
from reeltune.data.decode import decode
from reeltune.data.probe import probe
from reeltune.errors import UnreadableFile
from reeltune.media import write_mp4

WIDTH, HEIGHT = 64, 48
LOSSLESS: dict[str, dict[str, str]] = {
    "libx264": {"qp": "0"},
    "libvpx-vp9": {"lossless": "1", "auto-alt-ref": "0"},
}


def write_planes(path: Path, planes: list[np.ndarray], form: str, *, codec: str, **context: object) -> None:
    """Write one frame of the planes given, as they are, lossless where the codec can be."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=16)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, form
        stream.options = dict(LOSSLESS.get(codec, {}))
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        frame = av.VideoFrame(WIDTH, HEIGHT, form)
        for plane, content in zip(frame.planes, planes, strict=True):
            rows = np.zeros((plane.height, plane.line_size), np.uint8)
            raw = content.view(np.uint8).reshape(plane.height, -1)
            rows[:, : raw.shape[1]] = raw
            plane.update(rows.tobytes())
        for name in ("color_trc", "colorspace", "color_range", "color_primaries"):
            if name in context:
                setattr(frame, name, context[name])
        container.mux([*stream.encode(frame), *stream.encode()])


def flat(levels: tuple[int, ...], dtype: type, *, halved: tuple[bool, bool]) -> list[np.ndarray]:
    """Return planes of one level each; the second and third are halved as told, in width and height."""
    small = (HEIGHT // 2 if halved[1] else HEIGHT, WIDTH // 2 if halved[0] else WIDTH)
    sizes = [(HEIGHT, WIDTH), small, small, (HEIGHT, WIDTH)]
    return [np.full(size, level, dtype) for size, level in zip(sizes, levels, strict=False)]


def seen(path: Path) -> np.ndarray:
    return decode(path, whole_picture([0], width=WIDTH, height=HEIGHT))[0]


@pytest.mark.parametrize("luma", [64, 250, 500, 501, 502, 503, 940])
def test_ten_bits_are_rounded_and_not_cut(tmp_path: Path, luma: int):
    levels = flat((luma, 512, 512), np.uint16, halved=(True, True))
    write_planes(tmp_path / "a.mkv", levels, "yuv420p10le", codec="libx264")
    exact = (luma - 64) * 255 / 876
    assert np.abs(seen(tmp_path / "a.mkv") - exact).max() <= 0.75


def test_the_matrix_of_bt2020_is_honoured(tmp_path: Path):
    y, cb, cr = 400, 600, 420
    levels = flat((y, cb, cr), np.uint16, halved=(True, True))
    write_planes(tmp_path / "a.mkv", levels, "yuv420p10le", codec="libx264", colorspace=9, color_range=1)
    kr, kb = 0.2627, 0.0593
    luma, blue, red = (y - 64) / 876, (cb - 512) / 896, (cr - 512) / 896
    r, b = luma + 2 * (1 - kr) * red, luma + 2 * (1 - kb) * blue
    exact = 255 * np.array([r, (luma - kr * r - kb * b) / (1 - kr - kb), b])
    assert np.abs(seen(tmp_path / "a.mkv") - exact).max() <= 1.5


@pytest.mark.parametrize(("tag", "name"), [(16, "PQ"), (18, "HLG")])
def test_high_dynamic_range_is_left_out_with_the_reason(tmp_path: Path, tag: int, name: str):
    levels = flat((400, 512, 512), np.uint16, halved=(True, True))
    write_planes(tmp_path / "a.mkv", levels, "yuv420p10le", codec="libx264", color_trc=tag, colorspace=9)
    with pytest.raises(UnreadableFile, match=rf"HDR: its brightness is coded as {name}; convert it to SDR"):
        probe(tmp_path / "a.mkv")


def test_what_is_transparent_in_a_vp9_shows_white(tmp_path: Path):
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    alpha[:, WIDTH // 2 :] = 255
    planes = [*flat((81, 90, 240), np.uint8, halved=(True, True)), alpha]
    write_planes(tmp_path / "a.webm", planes, "yuva420p", codec="libvpx-vp9")
    assert probe(tmp_path / "a.webm").frames == 1
    shown = seen(tmp_path / "a.webm").astype(int)
    assert (shown[:, : WIDTH // 2 - 4] == 255).all()
    # Red as BT.601 has it.
    assert np.abs(shown[:, WIDTH // 2 + 4 :] - (255, 0, 0)).max() <= 2


def test_what_is_half_transparent_in_a_prores_is_laid_on_white(tmp_path: Path):
    planes = flat((64, 512, 512, 512), np.uint16, halved=(False, False))
    write_planes(tmp_path / "a.mov", planes, "yuva444p10le", codec="prores_ks")
    assert np.abs(seen(tmp_path / "a.mov").astype(int) - 127.5).max() <= 2


def test_an_opaque_alpha_changes_nothing(tmp_path: Path):
    write_planes(
        tmp_path / "a.mov",
        flat((400, 600, 420, 1023), np.uint16, halved=(False, False)),
        "yuva444p10le",
        codec="prores_ks",
    )
    with av.open(str(tmp_path / "a.mov")) as container:
        expected = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    assert np.abs(seen(tmp_path / "a.mov") - expected).max() <= 1


def test_a_cover_is_no_clip(tmp_path: Path):
    write_mp4(tmp_path / "clip.mp4", indexed_frames(9), fps=16.0)
    with av.open(str(tmp_path / "clip.mp4")) as source, av.open(str(tmp_path / "a.mp4"), "w") as target:
        cover = target.add_stream("mjpeg")
        assert isinstance(cover, VideoStream)
        cover.width, cover.height, cover.pix_fmt = 640, 480, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        stream = target.add_stream_from_template(source.streams.video[0])
        target.mux(cover.encode(av.VideoFrame(640, 480, "yuvj420p")))
        target.mux(cover.encode())
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    info = probe(tmp_path / "a.mp4")
    assert (info.frames, info.width) == (9, 160)


def test_an_encrypted_clip_is_named_as_such(tmp_path: Path):
    key = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "0" * 32, "encryption_kid": "1" * 32}
    write_mp4(tmp_path / "clip.mp4", indexed_frames(9), fps=16.0)
    with (
        av.open(str(tmp_path / "clip.mp4")) as source,
        av.open(str(tmp_path / "a.mp4"), "w", options=key) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    with pytest.raises(UnreadableFile, match="encrypted; export it without copy protection"):
        probe(tmp_path / "a.mp4")


def test_a_renamed_clip_is_what_it_holds(tmp_path: Path):
    write_clip(tmp_path / "a.avi", indexed_frames(9), even_times(9, 16), codec="mpeg4", clock=Fraction(1, 16))
    renamed = (tmp_path / "a.avi").rename(tmp_path / "a.mp4")
    assert [read_index(frame) for frame in decode(renamed, whole_picture([0, 8]))] == [0, 8]


def test_a_playlist_in_a_clips_clothes_reaches_nothing(tmp_path: Path):
    asked: list[str] = []

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    write_mp4(tmp_path / "secret.mp4", indexed_frames(9), fps=16.0)
    with HTTPServer(("127.0.0.1", 0), Listener) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            address = f"http://127.0.0.1:{server.server_port}/a.ts"
            for index, content in enumerate(
                (
                    f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{address}\n#EXT-X-ENDLIST\n",
                    f"ffconcat version 1.0\nfile '{tmp_path / 'secret.mp4'}'\n",
                )
            ):
                path = tmp_path / f"{index}.mp4"
                path.write_text(content)
                with pytest.raises(UnreadableFile, match="not a video"):
                    probe(path)
        finally:
            server.shutdown()
    assert asked == []


def test_a_file_that_changes_while_being_read_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "a.mp4"
    write_mp4(path, indexed_frames(9), fps=16.0)
    real = probe_module.opened

    def opened_while_written(path: Path):
        path.write_bytes(path.read_bytes() + b"more")
        return real(path)

    for module in (probe_module, decode_module):
        monkeypatch.setattr(module, "opened", opened_while_written)
    with pytest.raises(UnreadableFile, match="changed while being read; wait until"):
        probe(path)
    with pytest.raises(UnreadableFile, match="changed while being read; wait until"):
        decode(path, whole_picture([0]))


def test_a_frame_that_takes_too_long_ends_the_decoding(tmp_path: Path):
    write_mp4(tmp_path / "a.mp4", indexed_frames(9), fps=16.0)
    with pytest.raises(UnreadableFile, match="frame 1 took longer than 0 s; convert it"):
        decode(tmp_path / "a.mp4", whole_picture([0, 8]), limit_s=0.0)


def test_a_video_of_too_many_pixels_is_never_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_mp4(tmp_path / "a.mp4", indexed_frames(2), fps=16.0)
    monkeypatch.setattr(containers_module, "MAX_PIXELS", 160 * 96)
    assert probe(tmp_path / "a.mp4").frames == 2
    monkeypatch.setattr(containers_module, "MAX_PIXELS", 160 * 96 - 1)
    with pytest.raises(UnreadableFile, match=r"too large: 160x96 pixels, 0 megapixels are the most; scale it down"):
        probe(tmp_path / "a.mp4")


def remux(source_path: Path, path: Path, keep: range) -> None:
    """Copy a clip, and of its packets only those in a range."""
    with av.open(str(source_path)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in [packet for packet in source.demux(video=0) if packet.size][keep.start : keep.stop]:
            packet.stream = stream
            target.mux(packet)


def test_pictures_that_need_what_was_cut_off_before_them_are_not_counted(tmp_path: Path):
    options = {"bf": "2", "x264-params": "open-gop=1:keyint=6:min-keyint=1:scenecut=0:b-adapt=0"}
    write_clip(tmp_path / "a.mkv", textured(0), even_times(17, 25), options=options)
    with av.open(str(tmp_path / "a.mkv")) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    start = [index for index, packet in enumerate(packets) if packet.is_keyframe][2]
    key = packets[start].pts
    assert key is not None
    assert any(packet.pts < key for packet in packets[start:] if packet.pts is not None), "no open group"
    remux(tmp_path / "a.mkv", tmp_path / "b.mkv", range(start, len(packets)))
    info = probe(tmp_path / "b.mkv")
    first = round(key / 40)
    assert info.frames == 17 - first
    indices = range(info.frames)
    assert [read_index(frame) for frame in decode(tmp_path / "b.mkv", whole_picture(indices))] == list(range(first, 17))


def test_a_cluster_that_cannot_be_made_out_is_no_gap(tmp_path: Path):
    path = Make("webm", "libvpx-vp9", frames=17).write(tmp_path, textured(0))
    with av.open(str(path)) as container:
        block = [packet.pos for packet in container.demux(video=0) if packet.size][8]
    assert block is not None
    content = path.read_bytes()
    path.write_bytes(content[: block - 4] + bytes(16) + content[block + 12 :])
    with av.open(str(path)) as container:
        assert sum(1 for packet in container.demux(video=0) if packet.size) < 17, "the reader says nothing of the gap"
    with pytest.raises(UnreadableFile, match=r"damaged at byte \d+: its parts do not fit together; "):
        probe(path)


@pytest.mark.parametrize("container", ["mp4", "mkv", "avi", "mov"])
def test_bytes_missing_at_the_end_are_counted(tmp_path: Path, container: str):
    path = Make(container, "libx264", frames=17).write(tmp_path, textured(0))
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    with pytest.raises(UnreadableFile, match=r"cut off or damaged: 100 bytes are missing at its end; "):
        probe(path)
