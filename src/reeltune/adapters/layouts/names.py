"""A layer's name in each layout: diffusers' dotted one, the one in the model's release, and both with underscores.

Underscored names cannot be taken apart again (`to_out_0` is `to_out.0`), so they are looked up among the layers that
the model is known to have.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from reeltune.adapters.about import Layout
from reeltune.contracts.facts import Facts

PREFIXES: dict[str, Layout] = {
    "transformer.": "diffusers",
    "base_model.model.": "diffusers",
    "diffusion_model.": "comfyui",
    "lora_unet_": "comfyui",
    "lycoris_": "lycoris",
}
"""How a tensor's key begins, by layout; the first of a layout is what is written. Those that end in an underscore have
underscores for dots in the rest of the layer's name as well."""


@dataclass(frozen=True)
class Names:
    """The names of one model's layers."""

    facts: Facts

    def released(self, name: str) -> str:
        """Return what the release calls a layer of ours."""
        for ours, theirs in self.facts.comfyui_names:
            name = f"{name}.".replace(ours, theirs).removesuffix(".")
        return name

    def written(self, name: str, layout: Layout) -> str:
        """Return what stands before a layer's tensors in the files of a layout."""
        prefix = next(prefix for prefix, where in PREFIXES.items() if where == layout)
        name = self.released(name) if layout == "comfyui" else name
        return prefix + (name.replace(".", "_") if prefix.endswith("_") else name)

    def ours(self, written: str, *, underscored: bool) -> str | None:
        """Return the layer of a name that stands in a file behind its prefix; None where underscores hide it.

        A dotted name that is not known comes back as it is, with the release's parts replaced.
        """
        inside = re.fullmatch(rf"{re.escape(self.facts.blocks)}[._](\d+)[._](.+)", written)
        if inside and inside[2] in self._inside:
            return f"{self.facts.blocks}.{inside[1]}.{self._inside[inside[2]]}"
        if written in self._outside:
            return self._outside[written]
        return None if underscored else self._renamed(written)

    def _renamed(self, name: str) -> str:
        for ours, theirs in self.facts.comfyui_names:
            name = f"{name}.".replace(theirs, ours).removesuffix(".")
        return name

    @cached_property
    def _inside(self) -> dict[str, str]:
        before = f"{self.facts.blocks}.0."
        return {
            spelling.removeprefix(before).removeprefix(before.replace(".", "_")): layer
            for layer in self.facts.block_layers
            for spelling in self._spellings(before + layer)
        }

    @cached_property
    def _outside(self) -> dict[str, str]:
        return {spelling: layer for layer in self.facts.outer_layers for spelling in self._spellings(layer)}

    def _spellings(self, name: str) -> Iterator[str]:
        for dotted in (name, self.released(name)):
            yield from (dotted, dotted.replace(".", "_"))
