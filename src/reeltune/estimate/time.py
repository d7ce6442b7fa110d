"""The least time that operations can take on a GPU: the matrix units work, and nothing else happens."""

from __future__ import annotations

from reeltune.estimate.flops import Operations
from reeltune.estimate.gpus import GpuSpeed


def lower_bound_s(operations: Operations, gpu: GpuSpeed) -> float:
    """Return the seconds that operations take at least, in dense bfloat16.

    Norms, casts, launches, the optimizer and waiting come on top of it.
    """
    return (
        operations.linear / gpu.linear
        + operations.attention_forward / gpu.attention_forward
        + operations.attention_backward / gpu.attention_backward
    )
