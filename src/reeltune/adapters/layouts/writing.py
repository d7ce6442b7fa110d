"""Adapter files in each layout.

Files are byte-stable: no dates, tensors in order of their names, metadata in one JSON-valued key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reeltune.adapters.about import About, Layout, written_metadata
from reeltune.adapters.changes import (
    Butterfly,
    Change,
    Decomposed,
    Dense,
    Generalized,
    Hadamard,
    Kronecker,
    LowRank,
    Rotation,
    Scaling,
)
from reeltune.adapters.layouts.forms import DORA, FORMS
from reeltune.adapters.layouts.names import Names
from reeltune.adapters.layouts.reading import OVER_BASE
from reeltune.adapters.layouts.stretched import Stretched, stretched
from reeltune.contracts.facts import Facts
from reeltune.errors import ConfigError
from reeltune.tensor_files import save_tensors

WeightOf = Callable[[str], Tensor]
"""Gives the base weight (out, in) of a layer by its name, in plain numbers."""

_KINDS: dict[Layout, tuple[type, ...]] = {
    "diffusers": (LowRank,),
    "comfyui": (LowRank, Kronecker, Hadamard, Generalized, Dense, Rotation, Butterfly),
    "lycoris": (LowRank, Kronecker, Hadamard, Generalized, Dense, Rotation, Butterfly, Scaling),
}
_DECOMPOSED = (LowRank, Kronecker, Hadamard)
_PROGRAMS: dict[Layout, str] = {"diffusers": "diffusers", "comfyui": "ComfyUI", "lycoris": "lycoris-lora"}
_CALLED = {
    LowRank: "LoRA",
    Kronecker: "LoKr",
    Hadamard: "LoHa",
    Generalized: "GLoRA",
    Dense: "full differences",
    Rotation: "OFT",
    Butterfly: "BOFT",
    Scaling: "IA3",
    Decomposed: "DoRA",
    Stretched: "DoRA",
}
"""What people call the kinds."""
_LYCORIS_NAMES = {"lora_A.weight": "lora_down.weight", "lora_B.weight": "lora_up.weight"}


def kind_of(change: Change) -> str:
    """Return what people call a kind of change; a decomposed one by both names."""
    inner = f" of {kind_of(change.inner)}" if isinstance(change, Decomposed | Stretched) else ""
    return _CALLED[type(change)] + ("" if inner == " of LoRA" else inner)


def no_rule(change: Change, layout: Layout) -> str | None:
    """Return why a layout cannot hold a change; None where it can."""
    program, kind = _PROGRAMS[layout], kind_of(change)
    if isinstance(change, Decomposed):
        return _no_rule_for_lengths(change, layout) or no_rule(change.inner, layout)
    if type(change) not in _KINDS[layout]:
        return f"{program} has no rule for {kind}"
    if layout == "comfyui" and isinstance(change, Rotation) and change.rescale is not None:
        return f"{program} does not read the factors for outputs that OFT with rescaled trains"
    if layout == "comfyui" and isinstance(change, Generalized) and _is_taken_for_the_old_form(change):
        return f"{program} takes GLoRA of full rank for that of an old version"
    return None


def write_adapter(
    path: Path,
    changes: Mapping[str, Change],
    layout: Layout,
    about: About,
    facts: Facts,
    *,
    weight_of: WeightOf | None = None,
) -> None:
    """Write changes, by the layers' names, as a file that is right at strength 1 in the layout's programs.

    weight_of: needed for DoRA in ComfyUI's layout. Raises ConfigError where the layout has no rule for a change.
    """
    problems = {problem: name for name, change in changes.items() if (problem := no_rule(change, layout))}
    if problems:
        raise ConfigError("; ".join(f"{problem} (layer {name})" for problem, name in sorted(problems.items())))
    names, tensors = Names(facts), {}
    for name, change in changes.items():
        for ending, tensor in _parts(_fitting(name, change, layout, weight_of), layout).items():
            tensors[f"{names.written(name, layout)}.{ending}"] = tensor
    metadata = written_metadata(about, layout, _for_readers(changes, layout, about))
    save_tensors(path, {key: _on_host(tensor) for key, tensor in tensors.items()}, metadata)


def _fitting(name: str, change: Change, layout: Layout, weight_of: WeightOf | None) -> Change:
    """Return the same change in the form that the layout's programs understand."""
    if layout == "comfyui":
        if isinstance(change, Decomposed) and change.by_rows:
            assert weight_of is not None, "DoRA in ComfyUI's layout needs the base's weights"
            return stretched(change, lambda: weight_of(name))
        if isinstance(change, Rotation | Butterfly):
            return replace(change, blocks=_within_limit(change), constraint=0.0)
    if layout == "lycoris":
        if isinstance(change, Decomposed):
            return replace(change, inner=_fitting(name, change.inner, layout, weight_of))
        # The library's loader knows a whole right factor beside a whole left one only.
        if isinstance(change, Kronecker) and isinstance(change.left, tuple) and isinstance(change.right, Tensor):
            return replace(change, left=change.left[0] @ change.left[1])
    return change


def _parts(change: Change, layout: Layout) -> dict[str, Tensor]:
    if isinstance(change, Decomposed | Stretched):
        lengths = {DORA[1]: change.magnitude.flatten()} if layout == "diffusers" else {DORA[0]: change.magnitude}
        return {**_parts(change.inner, layout), **lengths}
    parts = next(form for form in FORMS if form.kind is type(change)).write(change)
    if layout == "diffusers":
        del parts["alpha"]
    return {_LYCORIS_NAMES.get(name, name) if layout == "lycoris" else name: part for name, part in parts.items()}


def _for_readers(changes: Mapping[str, Change], layout: Layout, about: About) -> dict[str, Any]:
    """Return what programs look for in a file's metadata."""
    if layout == "diffusers":
        return {f"transformer.{name}": value for name, value in _peft_settings(changes).items()}
    if layout == "lycoris":
        return dict(about.settings)
    over_base = any(isinstance(change, Decomposed) and change.by_rows for change in changes.values())
    return {OVER_BASE: True} if over_base else {}


def _peft_settings(changes: Mapping[str, Change]) -> dict[str, Any]:
    """Return the settings with which PEFT takes the tensors as they are: alpha is the rank everywhere."""
    decomposed = any(isinstance(change, Decomposed) for change in changes.values())
    pairs = {name: change.inner if isinstance(change, Decomposed) else change for name, change in changes.items()}
    ranks = {name: pair.down.shape[0] for name, pair in pairs.items() if isinstance(pair, LowRank)}
    ((most, _),) = Counter(ranks.values()).most_common(1)
    others = {name: rank for name, rank in sorted(ranks.items()) if rank != most}
    patterns = {"rank_pattern": others, "alpha_pattern": others} if others else {}
    dora = {"use_dora": True} if decomposed else {}
    return {"r": most, "lora_alpha": most, "target_modules": sorted(changes), **patterns, **dora}


def _no_rule_for_lengths(change: Decomposed, layout: Layout) -> str | None:
    if type(change.inner) not in _DECOMPOSED:
        return f"{_PROGRAMS[layout]} has no rule for {kind_of(change)}"
    if layout == "diffusers" and not change.by_rows:
        return "diffusers has no rule for DoRA with lengths of columns"
    return None


def _within_limit(change: Rotation | Butterfly) -> Tensor:
    """Return blocks that no longer need the limit."""
    blocks = change.blocks
    longest = change.constraint * blocks.shape[-3] * blocks.shape[-2]
    length = (blocks - blocks.transpose(-1, -2)).norm() + 1e-8
    return blocks * (longest / length) if longest and length > longest else blocks


def _is_taken_for_the_old_form(change: Generalized) -> bool:
    return change.a1.shape[0] == change.a1.shape[1] == change.b1.shape[0]


def _on_host(tensor: Tensor) -> Tensor:
    number = torch.float32 if tensor.is_floating_point() else tensor.dtype
    return tensor.detach().to("cpu", number).contiguous()
