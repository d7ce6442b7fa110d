"""What a module's weights take as they are stored, and which of its layers are quantized."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass


def stored_bytes(module: nn.Module) -> int:
    """Return the size of all parameters; one that is under several names counts once."""
    return sum(size for parameter in module.parameters() for size in _sizes(parameter))


def quantized_layers(module: nn.Module) -> dict[str, nn.Linear]:
    """Return the linear layers whose weight is stored in another format than it is used in, by name."""
    return {
        name: layer
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Linear) and is_traceable_wrapper_subclass(layer.weight)
    }


def _sizes(tensor: Tensor) -> Iterator[int]:
    """Yield the sizes of the plain tensors that a tensor is made of."""
    if is_traceable_wrapper_subclass(tensor):
        for name in tensor.__tensor_flatten__()[0]:
            yield from _sizes(getattr(tensor, name))
    else:
        yield tensor.nbytes
