"""Runs that never happen: a manifest without files, and a basis for every number of the outlook."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reeltune.config.datasets import Datasets, EvalDataset, TextEmbeds, VideoDataset, VideoOptions
from reeltune.config.load import load_config
from reeltune.config.root import Config
from reeltune.contracts.clip import Bucket, ClipInfo, FileRef, Manifest, ManifestRow, Placement, Sample
from reeltune.contracts.dimensions import Dimensions
from reeltune.estimate.sizes import SIZES
from reeltune.families.wan.layers import linear_layers
from reeltune.families.wan.variants import WAN_21
from reeltune.run.outlook.basis import Basis
from reeltune.run.plan import make_plan
from reeltune.run.rendering_plan import plan_rendering

LARGE = Bucket(832, 480, 81)
"""32,760 tokens."""

SQUARE = Bucket(480, 480, 73)
"""17,100 tokens."""

CAPTION = "a dog runs along a beach"
"""24 characters."""


def config_of(**options: Any) -> Config:
    needed = {"pretrained_model_name_or_path": "m", "data_backend_config": "d.json", "output_dir": "o/x"}
    return load_config([], needed | {"max_train_steps": 100, "train_batch_size": 1} | options)


def row(name: str, dataset: str, bucket: Bucket, *, caption: str = CAPTION) -> ManifestRow:
    """Return the row of a clip of 24 frames a second that is trained or held out."""
    path = Path(dataset, f"{name}.mp4")
    info = ClipInfo(bucket.width, bucket.height, tuple(place / 24 for place in range(150)), 6.25)
    indices = tuple(place * 3 // 2 for place in range(bucket.frames))
    placement = Placement(bucket, indices, bucket.width, bucket.height, 0, 0)
    sample = Sample(dataset, FileRef(path, 1, 1), info, placement, (caption, "the same") if caption else ())
    return ManifestRow(path, sample, dataset_id=dataset)


def left_out(name: str, dataset: str, reason: str) -> ManifestRow:
    return ManifestRow(Path(dataset, f"{name}.mp4"), None, reason, dataset)


def datasets_in(folder: Path, *, repeats: int = 0) -> Datasets:
    """Return two datasets that are trained, `a` with repeats, and `h` held out."""

    def entry(name: str) -> dict[str, Any]:
        return {"id": name, "instance_data_dir": name, "cache_dir_vae": str(folder / "vae" / name)}

    return Datasets(
        trained=(
            VideoDataset(**entry("a"), repeats=repeats, video=VideoOptions(num_frames=81)),
            VideoDataset(**entry("b"), video=VideoOptions(num_frames=73)),
        ),
        text=TextEmbeds(id="t", cache_dir=str(folder / "text")),
        held_out=(EvalDataset(**entry("h"), video=VideoOptions(num_frames=81)),),
    )


def mixed_manifest() -> Manifest:
    """Return three large clips of `a`, five square ones of `b`, three that are left out, and two held out."""
    trained = [
        *(row(f"large-{index}", "a", LARGE) for index in range(3)),
        left_out("one", "a", "too short: 60 frames at 16 fps, 81 needed"),
        left_out("broken", "a", "unreadable: no video stream"),
        left_out("two", "a", "too short: 80 frames at 16 fps, 81 needed"),
        *(row(f"square-{index}", "b", SQUARE) for index in range(5)),
    ]
    return Manifest(tuple(trained), tuple(row(f"held-{index}", "h", LARGE) for index in range(2)))


def of_one(bucket: Bucket, *, clips: int = 1) -> Manifest:
    return Manifest(tuple(row(f"clip-{index}", "a", bucket) for index in range(clips)))


def basis_of(
    manifest: Manifest,
    folder: Path = Path("nowhere"),
    *,
    size: Dimensions | None = SIZES["1.3B"],
    repeats: int = 0,
    **options: Any,
) -> Basis:
    """Return what the outlook of a run is worked out from. options: over the usual ones."""
    config, datasets = config_of(**options), datasets_in(folder, repeats=repeats)
    plan = make_plan(config, datasets, manifest.trained, WAN_21)
    layers = linear_layers(size) if size else ()
    return Basis(config, datasets, manifest, plan, plan_rendering(config, WAN_21), WAN_21, size, layers)
