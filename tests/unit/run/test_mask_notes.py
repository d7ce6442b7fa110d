"""What is said of masks is true at every share of samples that are judged by them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reeltune.config.datasets import Datasets, TextEmbeds, VideoDataset
from reeltune.config.load import load_config
from reeltune.config.masks import MaskDataset
from reeltune.contracts.clip import Bucket, ClipInfo, FileRef, ManifestRow, Mask, Placement, Sample
from reeltune.contracts.notes import Note
from reeltune.run.mask_notes import mask_notes

FILMS = VideoDataset(id="films", instance_data_dir="in", cache_dir_vae="cache", conditioning_data="m")
MASKS = MaskDataset(id="m", conditioning_type="mask", instance_data_dir="masks")
DATASETS = Datasets(trained=(FILMS,), text=TextEmbeds(id="t", cache_dir="text"), masks=(MASKS,))


def notes_of(**options: Any) -> list[Note]:
    """Return what is said of one clip with a mask."""
    config = load_config([], {"data_backend_config": "d.json", "output_dir": "o/x", "max_train_steps": 1} | options)
    clip, mask = (FileRef(Path(name), 10, 0, name=name) for name in ("a.mp4", "a.png"))
    placement = Placement(Bucket(32, 32, 1), (0,), 32, 32, 0, 0)
    sample = Sample("films", clip, ClipInfo(32, 32, (0.0,), 1.0), placement, ("words",), mask=Mask(mask, still=True))
    return list(mask_notes(config, DATASETS, [ManifestRow(clip.path, sample, "", "films", "")]))


def test_masks_that_always_count_are_advised_against() -> None:
    (note,) = notes_of()
    assert note.kind == "trap"
    assert "1 of 1 clips have a mask in m, and only what is white in it is learned: the quickstart advises" in note.text


def test_the_share_of_the_samples_is_said() -> None:
    (note,) = notes_of(masked_loss_probability=0.25)
    assert note.kind == "trap"
    assert "and in 25 % of their samples only what is white in it is learned (masked_loss_probability)" in note.text


def test_masks_that_never_count_need_no_advice_but_keep_their_tokens() -> None:
    route = {"selection_ratio": 0.5, "start_layer_idx": 2, "end_layer_idx": -2}
    whole, kept = notes_of(masked_loss_probability=0, tread_config={"routes": [route]})
    assert (whole.kind, whole.text) == (
        "fact",
        "1 of 1 clips have a mask in m, and masked_loss_probability is 0: all are trained whole",
    )
    assert kept.about == "tread_config"
    assert "tokens that count in a mask of films are never dropped" in kept.text
