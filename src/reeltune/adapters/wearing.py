"""Changes put on a transformer for a while: for videos, comparisons and proofs. Nothing is merged or copied."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from reeltune.adapters.changes import Change, placed
from reeltune.adapters.layers import base_of, linear_of


@contextmanager
def wearing(transformer: nn.Module, changes: Mapping[str, Change], *, strength: float = 1.0) -> Iterator[None]:
    """Let changes act on a transformer's layers for as long as the block lasts.

    changes: by the layers' dotted names, all of which must be there in the right size.
    strength: what is added to each output is multiplied by it; 0 is the base, to the bit. Rotations and lengths are
    then mixed with the base rather than turned or stretched less: the same for strengths of 0 and 1 only.
    """
    with ExitStack() as stack:
        for name, change in changes.items() if strength else ():
            layer = linear_of(transformer, name)
            own = placed(change, layer.weight.device)
            stack.callback(layer.register_forward_hook(_adding(own, strength)).remove)
        yield


def _adding(change: Change, strength: float) -> Callable[[nn.Module, Any, Tensor], Tensor]:
    def hook(layer: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        assert isinstance(layer, nn.Linear)
        added = change.added(base_of(layer, inputs[0], output, change=change))
        return output + (added if strength == 1 else added * strength)

    return hook
