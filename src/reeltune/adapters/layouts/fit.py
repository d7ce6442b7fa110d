"""Whether an adapter file fits a base: by the names and sizes of its layers alone."""

from __future__ import annotations

from collections.abc import Sequence

from reeltune.adapters.layouts.reading import AdapterFile
from reeltune.adapters.layouts.sizes import size_of
from reeltune.contracts.layers import LinearLayer
from reeltune.errors import ModelError

_SHOWN = 3


def check_fit(file: AdapterFile, layers: Sequence[LinearLayer]) -> None:
    """Raise ModelError when a base lacks layers that the file changes, or has them in other sizes."""
    there = {layer.name: layer for layer in layers}
    missing = [name for name in file.changes if name not in there]
    if missing:
        raise ModelError(f"{file.path} changes {len(missing)} layers that this base lacks: {_some(missing)}")
    for name, change in file.changes.items():
        layer = there[name]
        made, has = size_of(change), (layer.outputs, layer.inputs)
        for made_size, size, what in zip(made, has, ("outputs", "inputs"), strict=True):
            if made_size not in (None, size):
                raise ModelError(
                    f"{file.path} was made for a base {made_size} wide; this one is {size} wide ({what} of {name})"
                )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
