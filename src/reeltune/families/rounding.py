"""How far a quantized transformer's answers are from those of the weights that it was made from.

The whole base is never there: each quantized layer multiplies with its original weight, which is read from the file
when the layer is reached and let go again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from reeltune.contracts.batch import Batch, Noised
from reeltune.contracts.clip import Bucket
from reeltune.contracts.geometry import LatentGeometry
from reeltune.modes import in_evaluation
from reeltune.quantize.stored import quantized_layers

ReadWeight = Callable[[str, torch.device, torch.dtype], Tensor]
"""Gives the original weight of a layer, by the layer's name, on a device and in a number type."""

SIGMAS = (0.25, 0.5, 0.75)
"""Noise levels of the samples."""
_FRAMES, _SIDE, _TEXT_TOKENS, _SEED = 2, 8, 32, 0


@torch.no_grad()
def relative_error(transformer: nn.Module, answer: Callable[[], Tensor], original: ReadWeight) -> float | None:
    """Return the L2 norm of the error of an answer, divided by that of the answer with the original weights.

    None when nothing is quantized. transformer: without an adapter. answer: of its forward.
    """
    layers = quantized_layers(transformer)
    if not layers:
        return None
    with in_evaluation(transformer):
        rounded = answer().double()
        with _exact(layers, original):
            exact = answer().double()
    return ((rounded - exact).norm() / exact.norm()).item()


def random_samples(geometry: LatentGeometry, *, text_width: int, device: torch.device) -> tuple[Noised, Batch]:
    """Return small samples of normal noise and text, always the same, one for each of the noise levels."""
    generator, count = torch.Generator().manual_seed(_SEED), len(SIGMAS)
    latents = torch.randn(count, geometry.channels, _FRAMES, _SIDE, _SIDE, generator=generator)
    text = torch.randn(count, _TEXT_TOKENS, text_width, generator=generator)
    side = _SIDE * geometry.spatial
    bucket = Bucket(width=side, height=side, frames=1 + (_FRAMES - 1) * geometry.temporal)
    batch = Batch(latents, text, ids=("random",) * count, bucket=bucket).to(device)
    return Noised(batch.latents, torch.tensor(SIGMAS, device=device), batch.latents), batch


@contextmanager
def _exact(layers: dict[str, nn.Linear], original: ReadWeight) -> Iterator[None]:
    """Let layers answer with their original weights for as long as the block lasts."""
    hooks = [layer.register_forward_hook(_exactly(name, original)) for name, layer in layers.items()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _exactly(name: str, original: ReadWeight) -> Callable[[nn.Module, Any, Any], Tensor]:
    def answer(layer: nn.Module, arguments: tuple[Tensor], rounded: Tensor) -> Tensor:
        (x,) = arguments
        assert isinstance(layer, nn.Linear)
        return linear(x, original(name, x.device, x.dtype), layer.bias)

    return answer
