"""Skip-layer guidance: for a part of the denoising, the pass for the negative prompt leaves out some blocks.

What is steered away from is then not only the negative prompt but also a weaker model, which sharpens motion and form.
There is no third pass and no scale of its own: v = v_weak + guidance * (v_prompt - v_weak).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from reeltune.contracts.family import SkipLayers
from reeltune.errors import ModelError


@contextmanager
def skipping(transformer: WanTransformer3DModel, skip: SkipLayers, *, steps: int) -> Iterator[None]:
    """Leave out blocks while a pipeline makes one video with guidance in `steps` steps.

    The pipeline names each pass by the cache context that it opens: "cond", then "uncond". Raises ModelError afterwards
    when the pipeline did not name its passes.
    """
    stock = transformer.cache_context
    step = -1

    @contextmanager
    def counting(name: str, **details: object) -> Iterator[None]:
        nonlocal step
        step += name == "cond"
        due = name == "uncond" and skip.start <= step / steps < skip.stop
        with stock(name, **details), _without(transformer.blocks, skip.layers if due else ()):
            yield

    transformer.cache_context = counting
    try:
        yield
    finally:
        del transformer.cache_context  # the method of the class is seen again
    if step + 1 != steps:
        raise ModelError(
            f"skip-layer guidance saw {step + 1} of {steps} steps: the installed diffusers does not name its passes. "
            "Install diffusers 0.39 or newer, or unset validation_guidance_skip_layers."
        )


class _Identity(nn.Module):
    def forward(self, hidden_states: Tensor, *others: object) -> Tensor:
        return hidden_states


@contextmanager
def _without(blocks: nn.ModuleList, layers: tuple[int, ...]) -> Iterator[None]:
    skipped = {layer: blocks[layer] for layer in layers}
    try:
        for layer in skipped:
            blocks[layer] = _Identity()
        yield
    finally:
        for layer, block in skipped.items():
            blocks[layer] = block
