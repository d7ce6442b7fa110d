"""Changing something encodes exactly what it touches, counted call by call; when clips are encoded changes nothing."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import av
import pytest
import torch

from helpers.light import CPU, Light, files_in, track, write_clips
from reeltune.cache.store import TensorStore
from reeltune.config.load import load_run
from reeltune.run.manifest import make_manifest
from reeltune.run.prepare import Prepared, fill_caches


class Setup:
    """A configuration with three clips in the current folder."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.config: dict[str, Any] = {
            "model_family": "wan",
            "model_type": "lora",
            "data_backend_config": "data.json",
            "output_dir": "output",
            "resolution": 64,
            "resolution_type": "pixel",
            "max_train_steps": 1,
            "optimizer": "torch-adamw",
            "validation_disable": True,
        }
        self.dataset: dict[str, Any] = {
            "id": "clips",
            "instance_data_dir": "clips",
            "cache_dir_vae": "vae",
            "video": {"num_frames": 5},
        }
        for sample in write_clips(place / "clips", 3):
            sample.file.path.with_suffix(".txt").write_text(f"a clip, {sample.file.path.stem}", encoding="utf-8")

    def fill(self, family: Light | None = None, **options: Any) -> tuple[Prepared, Light]:
        """Fill the caches as `train` does; return what came of it, and the family that counted."""
        texts = {"id": "texts", "dataset_type": "text_embeds", "cache_dir": "text"}
        (self.place / "config.json").write_text(json.dumps(self.config), encoding="utf-8")
        (self.place / "data.json").write_text(json.dumps([self.dataset, texts]), encoding="utf-8")
        loaded = load_run([Path("config.json")], options, find_datasets=lambda name: (Path(name), []))
        family = family or Light()
        manifest = make_manifest(loaded.config, loaded.datasets, family.facts, track)
        prepared = fill_caches(
            loaded.config,
            loaded.datasets,
            manifest,
            family=family,
            device=CPU,
            track=track,
            files=loaded.files,
        )
        return prepared, family

    def encoded(self, **options: Any) -> tuple[int, int]:
        """Fill the caches, and return how many clips and how many texts were encoded for it."""
        _, family = self.fill(**options)
        return sum(family.clip_sizes), sum(family.text_sizes)


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setup:
    monkeypatch.chdir(tmp_path)
    return Setup(tmp_path)


def test_what_changes_is_encoded_again_and_nothing_else(setup: Setup) -> None:
    assert setup.encoded() == (3, 4)
    assert setup.encoded() == (0, 0)
    Path("clips/clip1.txt").write_text("another caption", encoding="utf-8")
    assert setup.encoded() == (0, 1)
    setup.dataset["video"] = {"num_frames": 9}
    assert setup.encoded() == (3, 0)
    setup.dataset |= {"crop": True, "crop_aspect": "square"}
    assert setup.encoded() == (3, 0)
    setup.dataset["crop_style"] = "corner"
    assert setup.encoded() == (3, 0)
    setup.config["resolution"] = 96
    assert setup.encoded() == (3, 0)
    clip = Path("clips/clip2.mp4")
    clip.write_bytes(Path("clips/clip1.mp4").read_bytes())
    # It shows the frames of the first now, which are encoded already.
    assert setup.encoded() == (0, 0)
    # Back to what was: it is still there.
    setup.dataset |= {"crop": False, "crop_style": "center", "video": {"num_frames": 5}}
    setup.config["resolution"] = 64
    assert setup.encoded() == (0, 0)


def test_another_encoder_encodes_its_own(setup: Setup) -> None:
    class Other(Light):
        def video_fingerprint(self) -> str:
            return "another autoencoder"

    setup.fill()
    _, family = setup.fill(Other())
    assert (len(family.clip_sizes), family.text_sizes) == (3, [])


def test_a_renamed_or_moved_folder_and_a_copied_cache_encode_nothing(setup: Setup) -> None:
    setup.fill()
    Path("clips").rename("moved")
    setup.dataset["instance_data_dir"] = "moved"
    Path("vae").rename("vae-copied")
    setup.dataset["cache_dir_vae"] = "vae-copied"
    assert setup.encoded() == (0, 0)


def test_the_start_says_what_is_used_again_and_what_nobody_needs(setup: Setup, caplog) -> None:
    caplog.set_level(logging.INFO)
    prepared, _ = setup.fill()
    (entry,) = Path("vae").glob(f"??/{prepared.items[0].latent_key}*")
    entry.write_bytes(entry.read_bytes()[:-1])
    setup.dataset["max_num_samples"] = 2
    Path("clips/clip0.txt").write_text("another caption", encoding="utf-8")
    caplog.clear()
    setup.fill()
    said = [line for line in caplog.messages if line.startswith("encoded clips")]
    assert len(said) == 1
    assert said[0].startswith("encoded clips: reuse ")
    assert "captions: reuse " in said[0]
    assert said[0].endswith("nobody needs: `reeltune cache gc` with the same options removes them")


@pytest.mark.parametrize("on_demand", [False, True])
def test_batches_read_the_same_whenever_clips_are_encoded(setup: Setup, on_demand: bool) -> None:
    wanted, _ = setup.fill(vae_batch_size=2)
    setup.dataset["cache_dir_vae"] = "later"
    prepared, family = setup.fill(vae_cache_ondemand=on_demand)
    assert family.clip_sizes == ([] if on_demand else [1, 1, 1])
    assert prepared.fingerprint == wanted.fingerprint
    for ours, theirs in zip(prepared.items, wanted.items, strict=True):
        assert ours.id == theirs.id
        assert torch.equal(ours.latents.read(0), theirs.latents.read(0))
    prepared.close()
    assert family.clip_sizes == [1, 1, 1]
    assert files_in(TensorStore(Path("later"))) == files_in(TensorStore(Path("vae")))


def test_clips_that_are_drawn_anew_are_encoded_anew_and_kept_once(setup: Setup) -> None:
    setup.dataset |= {
        "vae_cache_clear_each_epoch": True,
        "video": {"num_frames": 1, "frame_selection": "random", "fps": "native"},
    }
    prepared, family = setup.fill()
    assert family.clip_sizes == []
    seen = {}
    for epoch in range(4):
        for item in prepared.items:
            seen[item.id, epoch] = item.latents.read(epoch)
            assert torch.equal(item.latents.read(epoch), seen[item.id, epoch])
        assert len(files_in(TensorStore(Path("vae")))) == 3
    # Of nine frames, four draws of the same one are rare.
    assert all(
        any(not torch.equal(seen[item.id, 0], seen[item.id, epoch]) for epoch in (1, 2, 3)) for item in prepared.items
    )
    again, _ = setup.fill()
    assert again.fingerprint == prepared.fingerprint
    assert all(torch.equal(item.latents.read(3), seen[item.id, 3]) for item in again.items)


def test_a_clip_that_breaks_while_it_is_decoded_is_left_out_now_and_at_the_next_start(setup: Setup) -> None:
    whole, _ = setup.fill()
    clip = Path("clips/clip0.mp4")
    before, data = clip.stat(), bytearray(clip.read_bytes())
    with av.open(str(clip)) as container:
        places = [(packet.pos or 0, packet.size) for packet in container.demux(video=0) if packet.size]
    # A disk that rots: size and time are what they were, so only decoding finds it.
    for start, size in places:
        data[start : start + size] = b"\xff" * size
    clip.write_bytes(data)
    os.utime(clip, ns=(before.st_atime_ns, before.st_mtime_ns))
    TensorStore(Path("vae")).remove(whole.items[0].latent_key)
    prepared, _ = setup.fill()
    assert [Path(item.id).name for item in prepared.items] == ["clip1.mp4", "clip2.mp4"]
    (row,) = [row for row in prepared.manifest.trained if row.sample is None]
    assert row.path.name == "clip0.mp4"
    assert row.reason.startswith("unreadable: ")
    again, family = setup.fill()
    assert family.opened == []
    assert [item.id for item in again.items] == [item.id for item in prepared.items]
    (row,) = [row for row in again.manifest.trained if row.sample is None]
    assert "reeltune data quarantine --clear" in row.reason
