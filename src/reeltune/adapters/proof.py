"""Proof that an adapter file holds what acts: its keys looked up in the layout's rules, and compared layer by layer.

A layer is asked with a few random inputs instead of building its matrix: a wrong scale, factor, sign or tensor, or a
flipped bit that matters to a picture, shows in any of them, at the cost of one small product.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from reeltune.adapters.agreement import TOLERANCE, exact_products, float32_noise
from reeltune.adapters.changes import Change, placed
from reeltune.adapters.layers import exact_base, linear_of
from reeltune.adapters.layouts import read_adapter, strange_keys
from reeltune.contracts.facts import Facts
from reeltune.contracts.trained import Publisher
from reeltune.errors import CheckpointError, ModelError

_PROBES = 3
_MOVED = 0.02


@runtime_checkable
class Live(Protocol):
    """An adapter that acts on a transformer."""

    @property
    def transformer(self) -> nn.Module: ...

    def trainable(self) -> dict[str, nn.Parameter]: ...

    def holding(self, tensors: Mapping[str, Tensor]) -> AbstractContextManager[None]: ...

    def changes(self) -> dict[str, Change]: ...

    def acting(self, name: str, x: Tensor) -> Tensor: ...


def prove(adapter: Live, path: Path, facts: Facts) -> None:
    """Compare what a file holds with what the adapter does to its transformer now, for every layer.

    Raises CheckpointError for a file that cannot be read, has a key that its layout does not know, lacks a layer, has
    one too many, or changes one differently.
    """
    try:
        file = read_adapter(path, facts)
    except ModelError as error:
        raise CheckpointError(f"a file that was just written cannot be read back: {error}") from error
    if strange := strange_keys(file.keys, file.layout):
        raise CheckpointError(f"{path}: no program that reads the {file.layout} layout knows a tensor {strange[0]}")
    changes = file.changes
    names = adapter.changes().keys()
    for name in sorted(names ^ changes.keys()):
        where = "lacks the change of" if name in names else "holds a change that nobody trained, of"
        raise CheckpointError(f"{path} {where} layer {name}")
    with exact_products():
        for name in names:
            _compare(adapter, path, name, changes[name])


def prove_before_training(publisher: Publisher, adapter: Live, *, scratch: Path | None = None) -> None:
    """Write and prove every file with the adapter moved a little at random, so that nothing is 0; then move it back.

    scratch: where the files lie meanwhile; None is the system's place for them. Raises CheckpointError.
    """
    with tempfile.TemporaryDirectory(dir=scratch) as folder, adapter.holding(_moved(adapter.trainable())):
        publisher.write(Path(folder), "proof", step=0)


@torch.no_grad()
def _compare(adapter: Live, path: Path, name: str, change: Change) -> None:
    layer = linear_of(adapter.transformer, name)
    generator = torch.Generator().manual_seed(len(name))
    x = torch.randn(_PROBES, layer.in_features, generator=generator).to(layer.weight.device)
    live, change = adapter.acting(name, x), placed(change, x.device)
    base = exact_base(layer, x, change=change)
    read = change.added(base)
    error = (read - live).norm().item()
    allowed = float32_noise(change, base, live)
    if not error <= allowed:
        raise CheckpointError(
            f"{path}: layer {name} is changed otherwise than by the adapter in training: the two differ by "
            f"{error / max(live.norm().item(), 1e-30):.1e} of the change; {TOLERANCE:.0e} would be rounding"
        )


def _moved(tensors: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    moved = {}
    for name, tensor in tensors.items():
        generator = torch.Generator(tensor.device).manual_seed(len(moved))
        noise = torch.randn(tensor.shape, generator=generator, device=tensor.device, dtype=tensor.dtype)
        moved[name] = tensor.detach() + _MOVED * noise
    return moved
