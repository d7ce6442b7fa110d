"""What is left out of changes at random while they are trained.

All three leave out parts of what is added to a layer's output, whatever the algorithm:
dropout single values, the rest being raised to make up for it; rank_dropout whole outputs (rows of D) for all tokens of
a pass, as lycoris does beyond plain LoRA, the rest staying as it is; module_dropout everything that a layer's change
adds. Whole outputs and layers are drawn on the host, so that devices agree; recomputation restores all the draws.
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
            added = added * (torch.rand(added.shape[-1]) >= self.rows).to(added)
        if self.layers:
            # Multiplied and not skipped: with every layer left out the loss would have no gradient at all.
            added = added * float(torch.rand(()) >= self.layers)
        return added
