"""What LyCORIS adapters hold for each weight of a layer while it is differentiated: most hold nothing of the kind.

The coefficients were found by following every allocation on a bfloat16 base, beside those of a LoRA; the tests do so
again. They are right to a third or so, which is a few percent of what a step needs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from reeltune.config.lycoris import Algo
from reeltune.config.lycoris_choice import LycorisLayer
from reeltune.config.lycoris_keys import DECOMPOSABLE

_BUILT: Mapping[Algo, int] = {"full": 3, "loha": 7, "boft": 4}
"""Bytes for each weight where the change, or a turned copy of the weight, is built whole."""

_DECOMPOSED: Mapping[Algo, int] = {"loha": 17}
_DECOMPOSED_BYTES = 6
"""The same with weight_decompose, in float32; the first by algorithm, the second for the rest."""


def rebuilt_bytes(layers: Iterable[LycorisLayer], *, recomputed: bool) -> int:
    """Return what is held of all layers together, or, where blocks are recomputed, of the largest block."""
    blocks: defaultdict[str, int] = defaultdict(int)
    for one in layers:
        block = ".".join(one.layer.name.split(".")[:2])
        blocks[block] += one.layer.weights * _bytes_of_weight(one)
    return max(blocks.values(), default=0) if recomputed else sum(blocks.values())


def _bytes_of_weight(one: LycorisLayer) -> int:
    settings, algo = one.settings, one.settings.algo
    assert algo
    assert settings.dim
    if settings.weight_decompose and algo in DECOMPOSABLE:
        return _DECOMPOSED.get(algo, _DECOMPOSED_BYTES)
    # Below that many ranks the product of two low-rank matrices is one of rank dim squared, and is not built.
    if algo == "loha" and settings.dim**2 * (one.layer.inputs + one.layer.outputs) < one.layer.weights:
        return 0
    return _BUILT.get(algo, 0)
