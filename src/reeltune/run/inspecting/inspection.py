"""An adapter in any layout, or a whole transformer: told what it is, and what it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from reeltune.adapters.changes import Change, Decomposed, Generalized, Hadamard, Kronecker, LowRank
from reeltune.adapters.layers import layers_of, linear_of, plain_weight
from reeltune.adapters.layouts import AdapterFile, Stretched, check_fit, kind_of, read_adapter, size_of
from reeltune.config.model import ModelOptions
from reeltune.contracts.adapter_report import (
    AdapterReport,
    BlockChange,
    LayerChange,
    Strength,
    TransformerReport,
)
from reeltune.contracts.facts import Facts
from reeltune.contracts.layers import LinearLayer
from reeltune.contracts.progress import Track
from reeltune.errors import ModelError
from reeltune.families import family_facts
from reeltune.families.opening import open_transformer
from reeltune.run.adapter_files.base_model import base_near, base_options
from reeltune.run.adapter_files.header import contents_of, read_stored
from reeltune.run.adapter_files.places import layout_of_transformer, weights_in
from reeltune.run.adapter_files.said import base_in, settings_in, step_in, trained_alpha, written_alphas
from reeltune.run.inspecting.fit import Candidate, all_layers, block_of, candidates, fitting, in_words, parts_of
from reeltune.run.inspecting.remarks import warnings_of
from reeltune.run.inspecting.sizes import Measured, explained, measured_alone, measured_on, together
from reeltune.run.inspecting.transformer import transformer_report

LARGEST = 5
"""Layers that are named as the most changed."""

LAYOUTS = {
    "diffusers": "diffusers (PEFT's names)",
    "comfyui": "ComfyUI (the names of the model's own release)",
    "lycoris": "LyCORIS",
}


@dataclass(frozen=True)
class Base:
    """A base that an adapter is held against. place: as it was named. weight: gives a layer's own."""

    place: str
    layers: tuple[LinearLayer, ...]
    weight: Callable[[str], Tensor]


def look_at(place: Path, *, base: str | None = None, track: Track) -> AdapterReport | TransformerReport:
    """Tell what is at a place: a file, a run folder, a checkpoint, a model.

    base: a model that an adapter must fit, and whose weights its changes are compared with; it is loaded. track: shows
    how far the measuring is.
    Raises ModelError for what cannot be read, and for an adapter that does not fit the base.
    """
    facts, path = family_facts(ModelOptions()), weights_in(place)
    if path.is_dir() or layout_of_transformer(read_stored([path]).keys(), facts):
        return transformer_report(path, facts)
    file = read_adapter(path, facts)
    return adapter_report(file, facts, _opened(base) if base else None, track=track)


def adapter_report(file: AdapterFile, facts: Facts, base: Base | None, *, track: Track) -> AdapterReport:
    """Return what an adapter file is and does. Raises ModelError where it does not fit the base."""
    if base:
        check_fit(file, base.layers)
    tracked = track(file.changes.items(), "measuring", len(file.changes), "layers")
    measured = {name: _measured(name, change, base) for name, change in tracked}
    models = [Candidate(base.place, base.layers)] if base else _fitting(file)
    blocks = _blocks(measured, facts)
    model = [layer.name for layer in models[0].layers] if models else _guessed(blocks, facts)
    kinds = {type(change) for change in file.changes.values()}
    scales = tuple(sorted({scale for change in file.changes.values() if (scale := _scale(change)) is not None}))
    unchanged = [name for name, one in measured.items() if 0.0 in (one.strength.size, one.strength.share)]
    return AdapterReport(
        contents=contents_of(file.path, [file.path]),
        layout=LAYOUTS[file.layout],
        kinds=tuple(dict.fromkeys(kind_of(change) for change in file.changes.values())),
        base=base_in(file.about),
        base_fingerprint=file.about.get("base_fingerprint") or None,
        fits=_fits_in_words(models, file, blocks, facts),
        ranks=tuple(sorted({rank for change in file.changes.values() if (rank := rank_of(change))})),
        alphas=written_alphas(file.path, file.about),
        scales=scales,
        trained_alpha=trained_alpha(file.about),
        step=step_in(file.about),
        settings=settings_in(file.about),
        layers=len(measured),
        of_layers=max(len(model), len(measured)),
        parts=parts_of(file.changes, model, facts),
        blocks=blocks,
        largest=_largest(measured, file.changes),
        measured="" if base else explained(kinds),
        warnings=tuple(warnings_of(blocks, unchanged, len(measured), scales)),
    )


def rank_of(change: Change) -> int | None:
    """Return the rank of a change; None for a kind without one."""
    match change:
        case Decomposed() | Stretched():
            return rank_of(change.inner)
        case LowRank():
            return change.down.shape[0]
        case Hadamard():
            return change.b1.shape[0]
        case Generalized():
            return change.b1.shape[1]
        case Kronecker():
            pairs = [factor for factor in (change.left, change.right) if isinstance(factor, tuple)]
            return max((first.shape[1] for first, _ in pairs), default=None)
    return None


def _scale(change: Change) -> float | None:
    """Return by what the product of a change's factors is multiplied; rounded, for it was divided."""
    inner = change.inner if isinstance(change, Decomposed | Stretched) else change
    scale: Any = getattr(inner, "scale", None)
    return None if scale is None else float(f"{scale:.6g}")


def _measured(name: str, change: Change, base: Base | None) -> Measured:
    return measured_on(change, base.weight(name)) if base else measured_alone(change)


def _opened(place: str) -> Base:
    transformer = open_transformer(base_options(place))
    return Base(place, layers_of(transformer), lambda name: plain_weight(linear_of(transformer, name)))


def _fitting(file: AdapterFile) -> list[Candidate]:
    """Return the models that a file fits: of the released ones, and the one that it names."""
    named = base_in(file.about)
    return fitting(lambda layers: _fits(file, layers), candidates(named and base_near(file.path, named)))


def _fits(file: AdapterFile, layers: Sequence[LinearLayer]) -> bool:
    try:
        check_fit(file, layers)
    except ModelError:
        return False
    return True


def _fits_in_words(models: Sequence[Candidate], file: AdapterFile, blocks: Sequence[BlockChange], facts: Facts) -> str:
    if models:
        return in_words(models, facts)
    numbers = [block.number for block in blocks if block.number is not None]
    width = _width(file.changes, facts)
    wide = f" {width} wide" if width else ""
    deep = f" with {1 + max(numbers)} blocks or more" if numbers else ""
    return f"no released model, but a transformer{wide}{deep}"


def _width(changes: Mapping[str, Change], facts: Facts) -> int | None:
    """Return how wide a block is: its layers have no fewer inputs or outputs."""
    inside = [change for name, change in changes.items() if block_of(name, facts) is not None]
    return min((size for change in inside for size in size_of(change) if size), default=None)


def _guessed(blocks: Sequence[BlockChange], facts: Facts) -> list[str]:
    """Return the layers of a model that is no deeper than an adapter tells."""
    return all_layers(1 + max((block.number or 0 for block in blocks), default=0), facts)


def _blocks(measured: Mapping[str, Measured], facts: Facts) -> tuple[BlockChange, ...]:
    """Return each block's change, in the order of the blocks, then what is outside them."""
    members: dict[int | None, list[Measured]] = {}
    for name, one in measured.items():
        members.setdefault(block_of(name, facts), []).append(one)
    numbers = sorted(members, key=lambda number: (number is None, number))
    return tuple(BlockChange(number, len(members[number]), together(members[number])) for number in numbers)


def _largest(measured: Mapping[str, Measured], changes: Mapping[str, Change]) -> tuple[LayerChange, ...]:
    def value(strength: Strength) -> float:
        return (strength.size if strength.share is None else strength.share) or 0.0

    names = sorted(measured, key=lambda name: value(measured[name].strength), reverse=True)[:LARGEST]
    return tuple(LayerChange(name, kind_of(changes[name]), measured[name].strength) for name in names)
