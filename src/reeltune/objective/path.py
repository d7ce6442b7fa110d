"""The straight path from a clean latent to noise, and the velocity along it.

Source: Liu et al. 2022, arXiv:2209.03003 (rectified flow); Lipman et al. 2022, arXiv:2210.02747 (flow matching).
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from reeltune.contracts.batch import Noised


def mix(clean: Float[Tensor, "B C T h w"], noise: Float[Tensor, "B C T h w"], sigma: Float[Tensor, " B"]) -> Noised:
    """Return x_t = (1 - sigma) * clean + sigma * noise, and the velocity noise - clean that leads there.

    clean, noise: float32, so that the mix keeps its small differences. sigma: in [0, 1], one per sample.
    """
    level = sigma.view(-1, 1, 1, 1, 1)
    return Noised(x_t=(1 - level) * clean + level * noise, sigma=sigma, target=noise - clean)
