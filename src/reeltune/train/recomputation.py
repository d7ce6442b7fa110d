"""Blocks that are computed anew in the backward pass: their inputs are kept, and nothing of what they work out."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

from reeltune.estimate.flops import recomputed_blocks


def recompute_blocks(transformer: nn.Module, blocks: str, *, every: int) -> None:
    """Let the transformer recompute each so-many-th block, the first among them; the others keep what they work out.

    blocks: name of the list of blocks. Gradients are the same to the bit whatever is recomputed.
    """
    chosen = frozenset(recomputed_blocks(list(transformer.get_submodule(blocks).children()), every))

    def run(block: nn.Module, *inputs: Any) -> Any:
        if block in chosen:
            return checkpoint(block, *inputs, use_reentrant=False)
        return block(*inputs)

    transformer.enable_gradient_checkpointing(run)  # pyright: ignore[reportCallIssue]
