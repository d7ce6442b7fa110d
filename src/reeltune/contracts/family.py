"""What a family of models must offer: facts that generic rooms read, and acts that they call.

A family is a part the loop calls, never a loop. Generic rooms read `Facts`; none tests a family's name. Components are
opened one at a time, and leave memory when their block ends unless the family was opened to keep them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from reeltune.contracts.batch import Batch, Noised
from reeltune.contracts.facts import Facts


@dataclass(frozen=True)
class SkipLayers:
    """Skip-layer guidance: the blocks that the pass for the negative prompt leaves out.

    start, stop: shares of the denoising steps; a step i of n is meant when start <= i / n < stop.
    """

    layers: tuple[int, ...]
    start: float
    stop: float


@dataclass(frozen=True)
class RenderRequest:
    """One validation video.

    prompt, negative: encoded text without padding. flow_shift: None takes the model's own schedule.
    skip_layers: blocks that the pass for the negative prompt leaves out, and when; None leaves out none.
    attention: diffusers' name of the attention to compute with; None keeps PyTorch's own.
    noise_scheduler: unipc as the model's release has it, or flow-matching Euler on beta-spaced levels.
    strength: of the adapter file's change, where it is a LyCORIS file.
    """

    prompt: Float[Tensor, "L D"]
    negative: Float[Tensor, "M D"]
    width: int
    height: int
    frames: int
    steps: int
    guidance: float
    seed: int
    flow_shift: float | None
    skip_layers: SkipLayers | None = None
    attention: str | None = None
    noise_scheduler: Literal["unipc", "euler"] = "unipc"
    strength: float = 1.0


@runtime_checkable
class EncodeText(Protocol):
    def __call__(self, prompts: Sequence[str]) -> list[Tensor]:
        """Return one (L, D) tensor per prompt, without padding."""
        ...


@runtime_checkable
class EncodeVideo(Protocol):
    def __call__(self, frames: Float[Tensor, "B 3 F H W"]) -> Float[Tensor, "B C T h w"]:
        """Return the posterior mean in the transformer's normalised space, float32, on the host."""
        ...


@runtime_checkable
class DecodeVideo(Protocol):
    def __call__(self, latents: Float[Tensor, "C T h w"]) -> np.ndarray:
        """Return uint8 (F, H, W, 3): what the autoencoder makes of latents in the transformer's normalised space."""
        ...


@runtime_checkable
class Render(Protocol):
    def __call__(self, request: RenderRequest, adapter: Path | None) -> np.ndarray:
        """Return uint8 (F, H, W, 3), made with an adapter file on top of the transformer as it acts, if any."""
        ...


@runtime_checkable
class Family(Protocol):
    """The seam. `families/wan` fills it for Wan 2.1."""

    @property
    def facts(self) -> Facts: ...

    def name_in_release(self, name: str) -> str:
        """Return how the model's own release calls a tensor of the transformer."""
        ...

    def write_pipeline(self, folder: Path, transformer: Path) -> None:
        """Put a whole pipeline together around another transformer's folder; an older one in its place goes.

        Raises ModelError when another part is in no folder of its own.
        """
        ...

    def text_fingerprint(self) -> str:
        """Name the text encoder and tokenizer by their content, without loading them."""
        ...

    def base_fingerprint(self) -> str:
        """Name the transformer by its content, without loading it."""
        ...

    def video_fingerprint(self) -> str:
        """Name the autoencoder by its content, without loading it."""
        ...

    def text_encoder(self, device: torch.device) -> AbstractContextManager[EncodeText]: ...

    def video_encoder(self, device: torch.device) -> AbstractContextManager[EncodeVideo]: ...

    def video_decoder(self, device: torch.device) -> AbstractContextManager[DecodeVideo]: ...

    def load_transformer(self, device: torch.device) -> nn.Module:
        """Return the frozen transformer, read straight to the device. The number type is the family's own."""
        ...

    def rounding_error(self, transformer: nn.Module, device: torch.device) -> float | None:
        """Return how far quantization moves the velocity: the L2 norm of its error, relative to the velocity's own.

        transformer: on the device, before an adapter is put on. Measured on random samples, the same each time,
        against the same forward with the weights as the files have them. None when nothing is quantized.
        """
        ...

    def predict(self, transformer: nn.Module, noised: Noised, batch: Batch) -> Float[Tensor, "B C T h w"]:
        """Return the velocity, float32."""
        ...

    def renderer(self, transformer: nn.Module, device: torch.device) -> AbstractContextManager[Render]:
        """Open what is needed to render with a transformer that is in training, and leave it as it was found."""
        ...
