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


def rebuilt_bytes(layers: Iterable[LycorisLayer], *, recomputed: bool, every: int = 1) -> int:
    """Return what is held of the layers that are not recomputed together, and of the largest recomputed block.

    every: with `recomputed`, each so-many-th block is computed anew, the first among them; what is outside of the
    blocks counts as one of these.
    """
    blocks: defaultdict[tuple[str, ...], int] = defaultdict(int)
    for one in layers:
        blocks[tuple(one.layer.name.split(".")[:2])] += one.layer.weights * _bytes_of_weight(one)
    anew = {block: size for block, size in blocks.items() if recomputed and _number(block) % every == 0}
    return sum(blocks.values()) - sum(anew.values()) + max(anew.values(), default=0)


def _number(block: tuple[str, ...]) -> int:
    return int(block[1]) if block[1:] and block[1].isdigit() else 0


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
