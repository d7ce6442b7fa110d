"""What is left out of changes at random while they are trained.

All three leave out parts of what is added to a layer's output, whatever the algorithm:
dropout single values, the rest being raised to make up for it; rank_dropout whole outputs (rows of D) for all tokens of
a pass, as lycoris does beyond plain LoRA, the rest staying as it is; module_dropout everything that a layer's change
adds. All is drawn on the device, so that nothing waits for it; recomputation restores the draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import dropout


@dataclass(frozen=True)
class Dropouts:
    """Shares in [0, 1) of single values, of outputs, and of layers that are left out."""

    values: float = 0.0
    rows: float = 0.0
    layers: float = 0.0

    def thinned(self, added: Tensor) -> Tensor:
        """Return what is left of what a change adds (..., out)."""
        if self.values:
            added = dropout(added, self.values)
        if self.rows:
            added = added * _kept(added, self.rows, outputs=added.shape[-1])
        if self.layers:
            # Multiplied and not skipped: with every layer left out the loss would have no gradient at all.
            added = added * _kept(added, self.layers, outputs=1)
        return added


def _kept(added: Tensor, share: float, *, outputs: int) -> Tensor:
    """Return a 0 for each of some outputs that is left out, and a 1 for the others, on the device of what is added."""
    return (torch.rand(outputs, device=added.device) >= share).to(added.dtype)
