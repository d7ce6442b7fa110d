"""An adapter file written anew in another layout, proven to change a model as before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from reeltune.adapters.about import About
from reeltune.adapters.changes import Change, Decomposed, Scaling, lengths
from reeltune.adapters.layers import layers_of, linear_of, plain_weight
from reeltune.adapters.layouts import (
    AdapterFile,
    Layout,
    Stretched,
    WeightOf,
    check_fit,
    kind_of,
    no_rule,
    read_adapter,
    write_adapter,
)
from reeltune.config.model import ModelOptions
from reeltune.contracts.adapter_report import Exported
from reeltune.errors import ConfigError
from reeltune.families import family_facts
from reeltune.families.opening import open_transformer
from reeltune.run.adapter_files.base_model import base_options
from reeltune.run.adapter_files.said import base_in, step_in, title_in
from reeltune.run.exporting.agreement import half_an_ulp, otherwise, require_same, share_lost
from reeltune.run.exporting.names import MERGED
from reeltune.tensor_files import save_tensors
from reeltune.whole_files import whole_file

LAYOUTS: tuple[Layout, ...] = ("diffusers", "comfyui", "lycoris")

_NEAR_ONE = ("dora_scale", "lora_magnitude_vector", "rescale")
"""Tensors that multiply the base's own weights by something near 1, by what stands last in their names."""


def convert(
    file: AdapterFile,
    layout: Layout,
    output: Path,
    *,
    base: str | None = None,
    strength: float = 1.0,
    number_type: torch.dtype = torch.float32,
) -> Exported:
    """Write an adapter in another layout, read it back, and make sure that it does the same.

    base: a model that the adapter must fit; needed for DoRA and ComfyUI. strength: multiplied into the file.
    Raises ConfigError where the layout has no rule for the adapter's kind, ModelError where it does not fit.
    """
    _require_rules(file, layout, has_base=base is not None)
    facts, transformer = family_facts(ModelOptions()), open_transformer(base_options(base)) if base else None
    if transformer:
        check_fit(file, layers_of(transformer))
    weight_of = _weights(transformer)
    wanted = {name: scaled(change, strength) for name, change in file.changes.items()}
    to_write = {name: _with_own_lengths(name, change, weight_of) for name, change in wanted.items()}
    with whole_file(output) as draft:
        write_adapter(draft, to_write, layout, about_of(file), facts, weight_of=weight_of)
        require_same(output, wanted, read_adapter(draft, facts).changes, weight_of)
        if number_type != torch.float32:
            write_rounded(draft, number_type, output)
        error = share_lost(wanted, read_adapter(draft, facts).changes, weight_of)
    return Exported(
        str(output),
        format=layout,
        base=base or base_in(file.about),
        changed=len(wanted),
        error=error,
        number_type=str(number_type).removeprefix("torch."),
        size_bytes=output.stat().st_size,
    )


def scaled(change: Change, strength: float) -> Change:
    """Return strength times a change. Raises ConfigError for kinds that have no such thing in a file."""
    if strength == 1:
        return change
    if isinstance(change, Scaling):
        return Scaling(change.factors * strength, change.on_input)
    scale: Any = getattr(change, "scale", None)
    if scale is None:
        raise ConfigError(
            f"--strength {strength:g}: {kind_of(change)} cannot be made stronger or weaker in a file; "
            f"give the strength where it is loaded, or type --format {MERGED}"
        )
    return replace(change, scale=scale * strength)  # pyright: ignore[reportArgumentType, reportCallIssue, reportReturnType]


def about_of(file: AdapterFile) -> About:
    """Return what a file says of itself, by our names: ours as it is, of others what is known."""
    said = file.about
    ours = (
        {name: said[name] for name in About.__dataclass_fields__ if name in said} if "base_fingerprint" in said else {}
    )
    if ours:
        return About(**{**ours, "targets": tuple(ours.get("targets", ()))})
    kinds = dict.fromkeys(kind_of(change) for change in file.changes.values())
    return About(
        base_model=base_in(said) or "",
        base_fingerprint="",
        kind=", ".join(kinds),
        step=step_in(said) or 0,
        title=title_in(said),
    )


def _require_rules(file: AdapterFile, layout: Layout, *, has_base: bool) -> None:
    """Raise ConfigError, naming the layouts that have a rule, where this one has none."""
    plain = {name: _as_decomposed(change) for name, change in file.changes.items()}
    if problem := _problem(plain, layout):
        others = [other for other in LAYOUTS if other != layout and not _problem(plain, other)]
        raise ConfigError(
            f"{file.path} cannot be written for {layout}: {problem}. Type: --format {' or '.join([*others, MERGED])}"
        )
    decomposed = any(isinstance(change, Decomposed) and change.by_rows for change in plain.values())
    stored_otherwise = any(isinstance(change, Stretched) for change in file.changes.values())
    if not has_base and ((layout == "comfyui" and decomposed) or stored_otherwise):
        raise ConfigError(
            f"{file.path} holds DoRA, whose lengths ComfyUI divides by those of the base's own weights: the base is "
            "needed. Type: --base with its folder, file or repository"
        )


def _problem(changes: Mapping[str, Change], layout: Layout) -> str | None:
    return next((problem for change in changes.values() if (problem := no_rule(change, layout))), None)


def _as_decomposed(change: Change) -> Change:
    return Decomposed(change.inner, change.magnitude) if isinstance(change, Stretched) else change


def _with_own_lengths(name: str, change: Change, weight_of: WeightOf | None) -> Change:
    """Return DoRA as everyone but ComfyUI has it: with the lengths that the changed rows have in the end."""
    if not isinstance(change, Stretched):
        return change
    assert weight_of is not None
    weight = weight_of(name).float()
    after = lengths(weight + change.inner.matrix(weight), by_rows=True)
    return Decomposed(change.inner, change.magnitude * after / lengths(weight, by_rows=True))


def _weights(transformer: nn.Module | None) -> WeightOf | None:
    return (lambda name: plain_weight(linear_of(transformer, name))) if transformer else None


def write_rounded(path: Path, number_type: torch.dtype, output: Path) -> None:
    """Write a float32 file's tensors anew in another number type, and make sure that each number was rounded, no more.

    Single numbers, as alpha is, stay as they are, and so do lengths and factors near 1: rounding those would change the
    base's own weights. output: what the file will be called. Raises ConfigError for numbers that the type cannot hold.
    """
    tensors, metadata = _read(path)
    rounded = {name: _rounded(name, tensor, number_type) for name, tensor in tensors.items()}
    save_tensors(path, rounded, metadata)
    read, _ = _read(path)
    for name, tensor in tensors.items():
        kept = read.get(name, tensor.new_empty(0)).to(tensor.dtype)
        allowed = half_an_ulp(tensor, number_type) if _is_rounded(name, tensor) else torch.zeros_like(tensor)
        if kept.shape != tensor.shape or not bool(((kept - tensor).abs() <= allowed).all()):
            raise otherwise(output, name, f"it is not what rounding to {number_type} leaves of it")


def _rounded(name: str, tensor: Tensor, number_type: torch.dtype) -> Tensor:
    if not _is_rounded(name, tensor):
        return tensor
    rounded = tensor.to(number_type)
    if not rounded.isfinite().all():
        raise ConfigError(f"{name} holds numbers that are too large for {number_type}. Type: --dtype bf16")
    return rounded


def _is_rounded(name: str, tensor: Tensor) -> bool:
    return bool(tensor.ndim) and tensor.is_floating_point() and name.rpartition(".")[2] not in _NEAR_ONE


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str] | None]:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name).clone() for name in file.keys()}, file.metadata()  # noqa: SIM118
