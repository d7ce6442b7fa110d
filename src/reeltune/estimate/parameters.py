"""How many weights a transformer has, and how many a LoRA adds to it, without making either."""

from __future__ import annotations

import math
from collections.abc import Iterable

from reeltune.contracts.dimensions import Dimensions
from reeltune.contracts.layers import LinearLayer

Sides = tuple[int, int]
"""Input and output features of a linear layer."""


def block_linears(dimensions: Dimensions) -> dict[str, Sides]:
    """Return the linear layers of one block by their names in it.

    Text reaches cross-attention after its projection to the width of the model.
    """
    d, f = dimensions.width, dimensions.ffn
    attention = {
        f"{block}.{part}": (d, d) for block in ("attn1", "attn2") for part in ("to_q", "to_k", "to_v", "to_out.0")
    }
    return attention | {"ffn.net.0.proj": (d, f), "ffn.net.2": (f, d)}


def outer_linears(dimensions: Dimensions) -> dict[str, Sides]:
    """Return the linear layers outside the blocks by name."""
    d = dimensions.width
    return {
        "condition_embedder.time_embedder.linear_1": (dimensions.time_width, d),
        "condition_embedder.time_embedder.linear_2": (d, d),
        "condition_embedder.time_proj": (d, 6 * d),
        "condition_embedder.text_embedder.linear_1": (dimensions.text_width, d),
        "condition_embedder.text_embedder.linear_2": (d, d),
        "proj_out": (d, _patch_values(dimensions)),
    }


def parameters(dimensions: Dimensions) -> int:
    """Return the number of weights of the whole transformer."""
    d = dimensions.width
    patches = d * _patch_values(dimensions) + d
    # Norms of queries and keys, two each; the norm before cross-attention; the table of modulation.
    block = 4 * d + 2 * d + 6 * d + sum(map(_weights, block_linears(dimensions).values()))
    return dimensions.layers * block + patches + sum(map(_weights, outer_linears(dimensions).values())) + 2 * d


def largest_tensor(dimensions: Dimensions) -> int:
    """Return the number of weights of the transformer's largest tensor."""
    linears = (*block_linears(dimensions).values(), *outer_linears(dimensions).values())
    return max(inputs * outputs for inputs, outputs in linears)


def quantizable_parameters(dimensions: Dimensions) -> int:
    """Return the weights of the blocks' linear layers, without biases: what 8-bit storage touches."""
    return dimensions.layers * sum(i * o for i, o in block_linears(dimensions).values())


def lora_parameters(layers: Iterable[LinearLayer], *, rank: int, lengths: bool = False) -> int:
    """Return the weights of a LoRA: rank * (in + out) for each layer. lengths: and one per output more, as in DoRA."""
    return sum(rank * (layer.inputs + layer.outputs) + lengths * layer.outputs for layer in layers)


def _weights(sides: Sides) -> int:
    return sides[0] * sides[1] + sides[1]


def _patch_values(dimensions: Dimensions) -> int:
    return dimensions.channels * math.prod(dimensions.patch)
