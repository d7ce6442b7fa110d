"""How far the predicted velocity is from the wanted one."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def mean_squared_error(velocity: Float[Tensor, "B C T h w"], target: Float[Tensor, "B C T h w"]) -> Float[Tensor, " B"]:
    """Return each sample's mean squared error, in float32."""
    return (velocity.float() - target.float()).square().flatten(1).mean(1)
