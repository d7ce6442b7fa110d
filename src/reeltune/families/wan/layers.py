"""The linear layers of a Wan transformer of any size, as they are in diffusers' module. No torch."""

from __future__ import annotations

from collections.abc import Iterator

from reeltune.contracts.dimensions import Dimensions
from reeltune.contracts.layers import LinearLayer
from reeltune.estimate.parameters import block_linears, outer_linears

IN_BLOCK = {
    "attn1": "WanAttention",
    "attn1.to_out": "ModuleList",
    "attn2": "WanAttention",
    "attn2.to_out": "ModuleList",
    "ffn": "FeedForward",
    "ffn.net": "ModuleList",
    "ffn.net.0": "GELU",
}
"""Classes of the modules inside a block that have linear layers in them."""

OUTSIDE = {
    "condition_embedder": "WanTimeTextImageEmbedding",
    "condition_embedder.time_embedder": "TimestepEmbedding",
    "condition_embedder.text_embedder": "PixArtAlphaTextProjection",
}
"""Classes of those outside the blocks."""


def linear_layers(dimensions: Dimensions) -> tuple[LinearLayer, ...]:
    """Return every linear layer, in the module's order; all have a bias."""
    outer = [
        LinearLayer(name, *sides, inside=tuple(_around(name, OUTSIDE)))
        for name, sides in outer_linears(dimensions).items()
    ]
    embedders = [layer for layer in outer if layer.inside]
    head = [layer for layer in outer if not layer.inside]
    blocks = [layer for index in range(dimensions.layers) for layer in _of_block(index, dimensions)]
    return (*embedders, *blocks, *head)


def _of_block(index: int, dimensions: Dimensions) -> Iterator[LinearLayer]:
    block = f"blocks.{index}"
    classes = {
        "blocks": "ModuleList",
        block: "WanTransformerBlock",
        **{f"{block}.{name}": kind for name, kind in IN_BLOCK.items()},
    }
    for name, sides in block_linears(dimensions).items():
        yield LinearLayer(f"{block}.{name}", *sides, inside=tuple(_around(f"{block}.{name}", classes)))


def _around(name: str, classes: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield (name, class name) of the modules around a layer, outermost first."""
    parts = name.split(".")
    for depth in range(1, len(parts)):
        module = ".".join(parts[:depth])
        yield module, classes[module]
