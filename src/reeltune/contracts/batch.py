"""What one micro-batch is made of, before and after noise.

Shapes: B samples, C latent channels, T h w latent frames and sides, L text tokens, D text width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from reeltune.contracts.clip import Bucket


@dataclass(frozen=True)
class Batch:
    """Samples of one bucket, as the transformer will see them.

    latents: in the transformer's normalised space.
    text: embeddings, zero beyond each sample's own length; L is the longest of the batch.
    ids: names for messages, in the order of the batch.
    prior: the model should answer what the base alone answers, instead of what leads to the latents.
    sigma_offset: added to the logit of the noise levels of these samples before the shift; above 0 is more noise.
    mask: how much each place of the latents counts, 0 to 1; None where all count alike.
    """

    latents: Float[Tensor, "B C T h w"]
    text: Float[Tensor, "B L D"]
    ids: tuple[str, ...]
    bucket: Bucket
    prior: bool = False
    sigma_offset: float = 0.0
    mask: Float[Tensor, "B T h w"] | None = None

    def pinned(self) -> Batch:
        """Return the same batch in page-locked host memory. Needs CUDA."""
        mask = None if self.mask is None else self.mask.pin_memory()
        return replace(self, latents=self.latents.pin_memory(), text=self.text.pin_memory(), mask=mask)

    @property
    def size(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device) -> Batch:
        """Return the same batch on `device`; from pinned memory the copy runs beside the host."""
        return replace(
            self,
            latents=self.latents.to(device, non_blocking=True),
            text=self.text.to(device, non_blocking=True),
            mask=None if self.mask is None else self.mask.to(device, non_blocking=True),
        )


@dataclass(frozen=True)
class KeptTokens:
    """The video tokens that take part in the blocks `first` to `last`, both included; the others wait outside.

    ids: positions in the whole sequence, ascending, one row per sample.
    """

    first: int
    last: int
    ids: Int64[Tensor, "B K"]


@dataclass(frozen=True)
class Noised:
    """A batch on its way through the flow: x_t, the level it was mixed at, and what the model should answer.

    x_t, target: float32. sigma: noise level of each sample, 0 clean, 1 pure noise. kept: by route, in order of the
    blocks; empty sends every token through every block. mask: how much each place counts in the loss, 0 to 1; None
    where all count alike.
    """

    x_t: Float[Tensor, "B C T h w"]
    sigma: Float[Tensor, " B"]
    target: Float[Tensor, "B C T h w"]
    kept: tuple[KeptTokens, ...] = ()
    mask: Float[Tensor, "B T h w"] | None = None


@dataclass(frozen=True)
class StepResult:
    """What one optimizer step measured.

    loss: mean over the samples. grad_norm: before clipping, over all trained tensors. tokens: video tokens of all
    samples together, those that skipped blocks included. sigmas: noise levels, read back only when something is not
    finite.
    """

    loss: float
    grad_norm: float
    learning_rate: float
    ids: tuple[str, ...]
    tokens: int
    sigmas: tuple[float, ...] = ()

    @property
    def finite(self) -> bool:
        return math.isfinite(self.loss) and math.isfinite(self.grad_norm)
