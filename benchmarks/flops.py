"""What a benchmark's step is counted as, and against which peak it is held."""

from __future__ import annotations

from reeltune.contracts.dimensions import Dimensions
from reeltune.estimate.flops import model_operations
from reeltune.estimate.gpus import TERA, gpu_named
from reeltune.estimate.sizes import SIZES as RELEASED

SIZES = {
    **RELEASED,
    "tiny": Dimensions(layers=2, heads=4, head_width=16, ffn=128, text_width=32),
}
"""The released models, and one that a CPU runs."""


def lora_step_flop(size: Dimensions, *, tokens: int) -> int:
    """Return the operations of forward and backward for one sample: what the model needs, not what is recomputed."""
    return model_operations(size, tokens, trained="adapter").total


def known_peak_tflops(gpu: str) -> float | None:
    """Return the dense bfloat16 peak of a GPU by the driver's name for it, None for one that is not known."""
    known = gpu_named(gpu)
    return known and known.peak / TERA
