"""Which layers may be quantized: the linear layers of the blocks, where nearly all weights are, and nothing else.

Embedders, norms, time projections and the output head are small, and errors there reach every block.
"""

from __future__ import annotations

from torch import nn


def quantized_names(module: nn.Module, blocks: str) -> list[str]:
    """Return the names of the linear layers inside a transformer's list of blocks: attention and feed-forward.

    blocks: the list's name in the transformer.
    """
    inside = module.get_submodule(blocks)
    assert isinstance(inside, nn.ModuleList), f"{blocks} is no list of blocks"
    return [f"{blocks}.{name}" for name, layer in inside.named_modules() if isinstance(layer, nn.Linear)]


def encoder_names(module: nn.Module) -> list[str]:
    """Return the names of the linear layers inside a T5 encoder's blocks, which transformers calls `encoder.block`.

    The table of the vocabulary, a fifth of UMT5-XXL, is no linear layer and stays as it is.
    """
    return quantized_names(module, "encoder.block")
