"""The demo clips are real videos with captions, varied, grey, and the same every time."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from helpers.video import read_video
from reeltune.demo import clips as clips_module
from reeltune.demo.clips import Clip, make_clips, plan_clips
from reeltune.demo.drawing import GROUNDS, MOTIONS, SHAPES, Scene, draw
from reeltune.whole_files import whole_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "clips"
    make_clips(folder)
    return folder


def videos(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.mp4"))


def planned(video: Path) -> Clip:
    """Return the plan of a file, which carries its number as the last part of its name."""
    return plan_clips(24, seed=0)[int(video.stem.rsplit("-", 1)[1])]


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    for name, seed in (("first", 3), ("again", 3), ("other", 4)):
        make_clips(tmp_path / name, count=5, seed=seed)
    first, again, other = (digests(tmp_path / name) for name in ("first", "again", "other"))
    assert len(first) == 10
    assert first == again
    assert not set(first.values()) & {digest for name, digest in other.items() if name.endswith(".mp4")}


def test_every_clip_is_h264_of_the_planned_size_rate_and_length(folder: Path) -> None:
    assert len(videos(folder)) == 24
    for video in videos(folder):
        plan = planned(video)
        with av.open(str(video)) as container:
            stream = container.streams.video[0]
            found = (stream.codec_context.name, stream.codec_context.pix_fmt, stream.average_rate)
            frames = list(container.decode(video=0))
        assert found == ("h264", "yuv420p", plan.fps)
        assert {(frame.width, frame.height) for frame in frames} == {plan.size}
        assert len(frames) == round(plan.length_s * plan.fps)
        # 17 frames at 16 per second: the last one is shown at 1.0 s and must still lie within the clip.
        assert len(frames) / plan.fps >= 17 / 16


def test_every_clip_has_its_caption_and_the_captions_come_back_in_order(folder: Path) -> None:
    texts = [video.with_suffix(".txt").read_text(encoding="utf-8") for video in videos(folder)]
    assert [text.removesuffix("\n") for text in texts] == make_clips(folder)
    for video, text in zip(videos(folder), texts, strict=True):
        scene = planned(video).scene
        assert text.startswith("a black and white cartoon of a ")
        assert {scene.shape, scene.motion, scene.ground} <= set(text.split())
        assert video.name.startswith(f"{scene.motion}-{scene.shape}-")


def test_sizes_lengths_and_rates_vary(folder: Path) -> None:
    plans = [planned(video) for video in videos(folder)]
    assert len({plan.size for plan in plans}) == 5
    assert len({plan.length_s for plan in plans}) == 5
    assert {plan.fps for plan in plans} == {12, 16, 24, 25, 30}
    assert len({(plan.scene.shape, plan.scene.motion) for plan in plans}) == 24


def test_every_frame_is_grey_and_the_picture_moves(folder: Path) -> None:
    for video in videos(folder):
        frames = np.stack(list(read_video(video))).astype(int)
        # H.264 stores brightness apart from colour; grey comes back to within rounding of the conversion.
        assert np.ptp(frames, axis=3).max() <= 3
        assert frames.std() > 20
        assert np.abs(frames[-1] - frames[0]).max() > 100


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("motion", MOTIONS)
def test_a_shape_stays_in_the_frame(shape: str, motion: str) -> None:
    drawn = draw(Scene(shape, motion, "plain", True, beat_s=1.0), width=64, height=64, num_frames=12, fps=4.0)
    border = np.concatenate([drawn[:, 0], drawn[:, -1], drawn[:, :, 0], drawn[:, :, -1]], axis=1)
    # White ink is 0.93 of 255; no ground is brighter than 0.4 of it.
    assert drawn.max() > 230
    assert border.max() < 120


def test_drawing_has_equal_channels_and_soft_edges() -> None:
    for ground in GROUNDS:
        drawn = draw(Scene("star", "rolling", ground, False, beat_s=1.0), width=48, height=32, num_frames=2, fps=8.0)
        assert drawn.shape == (2, 32, 48, 3)
        assert (drawn == drawn[..., :1]).all()
        assert len(np.unique(drawn)) > 30


def test_a_folder_that_exists_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("my own clip\n", encoding="utf-8")
    assert make_clips(tmp_path) == ["my own clip"]
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_failure_on_the_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []

    def die_at_the_third(path: Path, clip: Clip) -> None:
        made.append(path)
        path.touch()
        if len(made) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(clips_module, "_write", die_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        make_clips(tmp_path / "clips")
    assert len(made) == 3
    assert not list(tmp_path.iterdir())


def test_the_first_of_two_makers_wins(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "clips") as draft:
        (draft / "second").touch()
        (tmp_path / "clips").mkdir()
        (tmp_path / "clips" / "first").touch()
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["clips", "clips/first"]


def test_clips_do_not_import_torch() -> None:
    code = "import sys, reeltune.demo.clips, reeltune.demo.example; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
