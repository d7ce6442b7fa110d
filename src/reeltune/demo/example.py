"""The tiny example as files: clips to train on, and a model to train."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from reeltune.demo.clips import make_clips


def make_example(folder: Path, *, say: Callable[[str], None] | None = None) -> None:
    """Make folder/clips and folder/model; what is there already is kept.

    say: told what is about to be made, one line each.
    """
    tell = say or (lambda line: None)
    clips, model = folder / "clips", folder / "model"
    if not clips.exists():
        tell(f"drawing 24 captioned clips in {clips}")
    captions = make_clips(clips)
    if not model.exists():
        tell(f"making a tiny Wan 2.1 with random weights in {model}")
        # Here, because torch takes seconds to import and a second run does not need it.
        from reeltune.demo.model import make_model

        make_model(model, captions)
