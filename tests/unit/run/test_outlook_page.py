"""The whole outlook, put together from options, a made-up manifest, a model's folder and a GPU that is not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from helpers.model_folder import LARGE as LARGE_MODEL
from helpers.model_folder import write_model
from reeltune.config.load import Loaded
from reeltune.contracts.notes import Kind, Note
from reeltune.contracts.outlook import Card, Outlook
from reeltune.errors import ModelError
from reeltune.machine.gpu import Gpu
from reeltune.report.outlook import outlook_page
from reeltune.run.means import Means
from reeltune.run.outlook import page
from unit.run.made_up import config_of, datasets_in, mixed_manifest

MEANS = Means((), (), None, (Note("fallback", "report_to", "wandb is not installed"),))


def look(monkeypatch: pytest.MonkeyPatch, place: Path, *, gpus: list[Gpu], **options: Any) -> Outlook:
    """Return the outlook of the mixed manifest on a machine with these GPUs."""
    monkeypatch.setattr(page, "make_manifest", lambda *_: mixed_manifest())
    monkeypatch.setattr(page, "find_gpus", lambda: gpus)
    model = str(place / "model")
    config = config_of(pretrained_model_name_or_path=model, output_dir=str(place / "run"), **options)
    loaded = Loaded(config, datasets_in(place), (Note("inert", "quantize_via", "nothing is quantized"),))
    return page.look_ahead(loaded, MEANS, track=lambda items, title, total, unit: iter(items))


def test_the_page_gathers_what_everyone_has_to_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_model(tmp_path / "model")
    outlook = look(monkeypatch, tmp_path, gpus=[], flow_schedule_shift=3.0, validation_prompt="x")
    assert {part.state for part in outlook.components} == {"here"}
    assert outlook.card is None
    assert [(bucket.samples, bucket.tokens) for bucket in outlook.buckets] == [(5, 17_100), (3, 32_760)]
    kinds = [get_args(Kind).index(note.kind) for note in outlook.notes]
    assert kinds == sorted(kinds)
    about = [note.about for note in outlook.notes]
    assert "quantize_via" in about
    assert "report_to" in about
    # The page itself shows the shifts.
    assert "flow_schedule_shift" not in about
    assert outlook.noise.shift == "shift 3"


def test_the_gpu_that_is_here_comes_first_and_what_it_cannot_hold_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_model(tmp_path / "model", **LARGE_MODEL)
    cards = [Gpu(f"NVIDIA GeForce RTX {name}", 24 * 2**30, 20 * 2**30, "550.1", 0) for name in (3090, 4090)]
    outlook = look(monkeypatch, tmp_path, gpus=cards)
    assert outlook.card == Card("NVIDIA GeForce RTX 3090", 24 * 2**30, 20 * 2**30)
    assert outlook.cost
    assert [bound.gpu for bound in outlook.cost.bounds] == ["RTX 3090", "H100 80GB HBM3", "RTX 4090"]
    # Said once: by the page, not by a note too.
    text = outlook_page(outlook, width=120, command=None)
    (line,) = [line for line in text.splitlines() if line.startswith("    training: ")]
    assert "GiB of GPU memory, more than the card has; less with resolution, video.num_frames" in line
    assert not [note for note in outlook.notes if "memory" in note.about]


def test_a_model_that_is_not_there_ends_the_plan(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="model is neither a folder nor a hub repository"):
        look(monkeypatch, tmp_path, gpus=[])
