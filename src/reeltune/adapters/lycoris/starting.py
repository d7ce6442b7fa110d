"""From a file's change to a module's tensors: the way back of `acting`, for a run that starts from an earlier one.

Where a file scales a change otherwise than the module does, the difference goes into one tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from reeltune.adapters.changes import (
    Butterfly,
    Change,
    Decomposed,
    Dense,
    Generalized,
    Hadamard,
    Kronecker,
    LowRank,
    Rotation,
    Scaling,
)
from reeltune.adapters.lycoris.acting import scale_of
from reeltune.config.lycoris import LayerSettings
from reeltune.errors import ConfigError

Tensors = dict[str, Tensor]
"""By a module's own names."""


@torch.no_grad()
def start_module(module: Any, settings: LayerSettings, change: Change, *, multiplier: float, name: str) -> None:
    """Give a module the tensors of a file's change. Raises ConfigError when another adapter is described."""
    length: Tensors = {}
    if settings.weight_decompose and isinstance(change, Decomposed):
        length, change = {"dora_scale": change.magnitude}, change.inner
    kind, tensors_of = READERS[str(settings.algo)]
    if not isinstance(change, kind) or bool(settings.weight_decompose) != bool(length):
        raise _misfit(name, f"holds {_words(change)}, and lycoris_config describes {_described(settings)}")
    tensors = {**tensors_of(module, change, multiplier), **length}
    own = dict(module.named_parameters())
    if isinstance(own.get("scalar"), Tensor):
        tensors["scalar"] = torch.ones_like(own["scalar"])
    for key in sorted(own.keys() | tensors.keys()):
        if key not in own or key not in tensors:
            raise _misfit(name, f"{'lacks' if key in own else 'has'} {key}, unlike what lycoris_config describes")
        if own[key].shape != tensors[key].shape:
            sizes = " and ".join("x".join(map(str, one.shape)) for one in (tensors[key], own[key]))
            raise _misfit(name, f"and lycoris_config differ in the size of {key}: {sizes}")
    for key, tensor in tensors.items():
        own[key].copy_(tensor)


def _misfit(name: str, text: str) -> ConfigError:
    return ConfigError(f"init_lora does not fit at {name}: the file {text}. Describe the file's own adapter.")


def _words(change: Change) -> str:
    return f"a {type(change).__name__} change"


def _described(settings: LayerSettings) -> str:
    return f"{settings.algo}{' with weight_decompose' if settings.weight_decompose else ''}"


def _times(tensor: Tensor, file: float, own: float) -> Tensor:
    """Return a tensor with the file's scale in place of the module's own; the tensor itself where they agree."""
    return tensor if file == own else tensor * (file / own)


def _lora(module: Any, change: LowRank, multiplier: float) -> Tensors:
    up = _times(change.up, change.scale, scale_of(module, multiplier))
    return {"lora_down.weight": change.down, "lora_up.weight": up}


def _dylora(module: Any, change: LowRank, multiplier: float) -> Tensors:
    up = _times(change.up, change.scale, scale_of(module, multiplier)).split(module.block_size, dim=1)
    down = change.down.split(module.block_size)
    return {
        **{f"down_list.{index}": one for index, one in enumerate(down)},
        **{f"up_list.{index}": one for index, one in enumerate(up)},
    }


def _loha(module: Any, change: Hadamard, multiplier: float) -> Tensors:
    return {
        "hada_w1_a": _times(change.a1, change.scale, scale_of(module, multiplier)),
        "hada_w1_b": change.b1,
        "hada_w2_a": change.a2,
        "hada_w2_b": change.b2,
    }


def _lokr(module: Any, change: Kronecker, multiplier: float) -> Tensors:
    own = scale_of(module, multiplier)
    tensors: Tensors = {}
    if isinstance(change.left, Tensor):
        tensors["lokr_w1"] = _times(change.left, change.scale, own)
    else:
        tensors |= {"lokr_w1_a": _times(change.left[0], change.scale, own), "lokr_w1_b": change.left[1]}
    if isinstance(change.right, Tensor):
        return {**tensors, "lokr_w2": change.right}
    return {**tensors, "lokr_w2_a": change.right[0], "lokr_w2_b": change.right[1]}


def _full(module: Any, change: Dense, multiplier: float) -> Tensors:
    bias = change.bias
    if bias is None and module.bias is not None:
        bias = torch.zeros_like(module.bias)
    tensors = {"weight": _times(change.weight, change.scale, multiplier)}
    return tensors if bias is None else {**tensors, "bias": _times(bias, change.scale, multiplier)}


def _ia3(module: Any, change: Scaling, _: float) -> Tensors:
    if change.on_input != bool(module.train_input):
        return {f"factors of {'inputs' if change.on_input else 'outputs'}": change.factors}
    return {"weight": change.factors}


def _oft(module: Any, change: Rotation | Butterfly, _: float) -> Tensors:
    if abs(change.constraint - float(module.alpha)) > 1e-6 * abs(change.constraint):
        return {f"constraint {change.constraint:g}": change.blocks}
    rescale = {} if change.rescale is None else {"rescale": change.rescale}
    return {"oft_blocks": change.blocks, **rescale}


def _glora(module: Any, change: Generalized, multiplier: float) -> Tensors:
    own = scale_of(module, multiplier)
    return {
        "a1.weight": change.a1,
        "a2.weight": _times(change.a2, change.scale, own),
        "b1.weight": change.b1,
        "b2.weight": _times(change.b2, change.scale, own),
    }


READERS: Mapping[str, tuple[type, Callable[[Any, Any, float], Tensors]]] = {
    "lora": (LowRank, _lora),
    "dylora": (LowRank, _dylora),
    "loha": (Hadamard, _loha),
    "lokr": (Kronecker, _lokr),
    "full": (Dense, _full),
    "ia3": (Scaling, _ia3),
    "diag-oft": (Rotation, _oft),
    "boft": (Butterfly, _oft),
    "glora": (Generalized, _glora),
}
"""By algorithm, the kind of change that it makes, and how a module's tensors follow from one."""
