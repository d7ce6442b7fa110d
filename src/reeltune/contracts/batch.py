"""What one micro-batch is made of, before and after noise.

Shapes: B samples, C latent channels, T h w latent frames and sides, L text tokens, D text width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Int64
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
    always_kept: tokens that no route may drop, because a mask says that they count. It stays on the host, where tokens
        are chosen; None without masks.
    """

    latents: Float[Tensor, "B C T h w"]
    text: Float[Tensor, "B L D"]
    ids: tuple[str, ...]
    bucket: Bucket
    prior: bool = False
    sigma_offset: float = 0.0
    mask: Float[Tensor, "B T h w"] | None = None
    always_kept: Bool[Tensor, "B N"] | None = None

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

    loss: mean over the samples. grad_norm: before clipping, over all trained tensors. grad_max: the largest element of
    them, without its sign. tokens: video tokens of all samples together, those that skipped blocks included.
    ids, sigmas, losses: of each sample: its name, noise level and loss. operations: that the model needs for the step;
    None where its size is not known. effective_rate: of optimizers that find their own, from the step before.
    weight_change: L2 norm of what is trained by block, before the weights moved; empty in steps that do not measure it.
    """

    loss: float
    grad_norm: float
    grad_max: float
    learning_rate: float
    ids: tuple[str, ...]
    sigmas: tuple[float, ...]
    losses: tuple[float, ...]
    tokens: int
    operations: int | None = None
    effective_rate: float | None = None
    weight_change: Mapping[str, float] = field(default_factory=dict)

    @property
    def finite(self) -> bool:
        return math.isfinite(self.loss) and math.isfinite(self.grad_norm)
