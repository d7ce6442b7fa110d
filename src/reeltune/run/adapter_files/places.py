"""Which weights a person means by a file or a folder: an adapter's main file, or a whole transformer."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from reeltune.adapters.publish import MAIN_FILE
from reeltune.contracts.facts import Facts
from reeltune.errors import ModelError
from reeltune.run.adapter_files.header import Stored

_STATE = frozenset({"trainable.safetensors", "ema.safetensors", "fixed.safetensors", "optimizer.safetensors"})
"""Files of a checkpoint for going on with the run."""
CHECKPOINT_MARK = "state.json"
"""A file that every checkpoint has, and nothing else."""
_TRANSFORMER = "transformer"


def weights_in(place: Path) -> Path:
    """Return the file or the transformer's folder that is meant.

    place: a file; a run folder or a checkpoint, whose main file it is; a model or a transformer.
    Raises ModelError where there is nothing, several files without one that stands out, or a run's own state.
    """
    if place.is_file():
        _require_no_state(place)
        return place
    if not place.is_dir():
        raise ModelError(f"{place} is neither a file nor a folder here.")
    if (place / MAIN_FILE).is_file():
        return place / MAIN_FILE
    if (place / _TRANSFORMER).is_dir() and list((place / _TRANSFORMER).glob("*.safetensors*")):
        return place / _TRANSFORMER
    if _is_component(place) and list(place.glob("*.safetensors*")):
        return place
    files = sorted(file for file in place.glob("*.safetensors") if file.name not in _STATE)
    if len(files) == 1:
        return files[0]
    names = ", ".join(file.name for file in files[:3])
    found = f"several weight files, such as {names}; name one of them" if files else "no file of weights"
    raise ModelError(f"{place} holds {found}.")


def _require_no_state(file: Path) -> None:
    # Its tensors are named as an adapter's, and lack alpha: what it does would be told wrongly.
    if file.name in _STATE and (file.parent / CHECKPOINT_MARK).is_file():
        raise ModelError(
            f"{file} is what a run goes on from, without its scale and its base; what it trains lies beside it. "
            f"Type: {file.parent}"
        )


def _is_component(folder: Path) -> bool:
    """Tell a component in the diffusers layout from a run, which has a config.json of its own."""
    try:
        return "_class_name" in json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def width_of_block(stored: Mapping[str, Stored], facts: Facts) -> int:
    """Return how wide a transformer is: the outputs of the first layer in its first block."""
    first = f"{facts.blocks}.0.{facts.block_layers[0]}.weight"
    return next(one.shape[0] for name, one in stored.items() if name.endswith((first, _renamed(first, facts))))


def layout_of_transformer(names: Collection[str], facts: Facts) -> str | None:
    """Say in words how a whole transformer's tensors are called; None for what is no transformer of this family.

    Only where every linear layer of the first block has a weight is it a transformer.
    """
    ours = [f"{facts.blocks}.0.{layer}.weight" for layer in facts.block_layers]
    theirs = [_renamed(name, facts) for name in ours]
    for wanted, words in ((ours, "diffusers' names"), (theirs, "the release's own names")):
        ends = [name for name in names if name.endswith(wanted[0])]
        for prefix in (name.removesuffix(wanted[0]) for name in ends):
            if all(prefix + name in names for name in wanted):
                return f"{words} behind {prefix}" if prefix else words
    return None


def _renamed(name: str, facts: Facts) -> str:
    for ours, theirs in facts.comfyui_names:
        name = name.replace(ours, theirs)
    return name
