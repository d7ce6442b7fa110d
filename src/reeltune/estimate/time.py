"""The least time that operations can take on a GPU: the matrix units work, and nothing else happens."""

from __future__ import annotations

from reeltune.estimate.flops import Operations
from reeltune.estimate.gpus import GpuSpeed


def lower_bound_s(operations: Operations, gpu: GpuSpeed, *, samples: int = 1) -> float:
    """Return the seconds below which no step of so many samples can be, in dense bfloat16.

    Norms, casts, launches, the optimizer and waiting come on top of it.
    """
    seconds = (
        operations.linear / gpu.linear
        + operations.attention_forward / gpu.attention_forward
        + operations.attention_backward / gpu.attention_backward
    )
    return samples * seconds
