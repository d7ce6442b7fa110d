"""From a live module's tensors to the change that they are: one builder for each algorithm.

A trained scalar is folded into one factor, as in lycoris' files. `scale` includes alpha / dim and the multiplier.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

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
from reeltune.config.lycoris import LayerSettings


def change_of(module: Any, settings: LayerSettings, *, multiplier: float, training: bool) -> Change:
    """Return what a module does now, made of its own tensors: gradients reach them.

    training: DyLoRA then acts with some of its ranks only; the rest knows no difference.
    """
    if training and settings.algo == "dylora":
        return _some_ranks(module, settings, multiplier)
    change = BUILDERS[str(settings.algo)](module, settings, multiplier)
    return Decomposed(change, module.dora_scale) if settings.weight_decompose else change


def scale_of(module: Any, multiplier: float) -> float:
    """Return alpha / dim, times the multiplier."""
    return float(module.scale) * multiplier


def given(number: float | None) -> float:
    """Return a setting of a chosen layer, all of which are given.

    The numbers come from there and not from the module, which keeps them in tensors: reading one waits for the device.
    """
    assert number is not None
    return number


def _scaled(module: Any, tensor: Tensor) -> Tensor:
    """Return a tensor times the module's trained scalar, if it has one; else there is a constant 1."""
    return tensor * module.scalar if isinstance(module.scalar, nn.Parameter) else tensor


def _lora(module: Any, _: LayerSettings, multiplier: float) -> Change:
    return LowRank(module.lora_down.weight, _scaled(module, module.lora_up.weight), scale_of(module, multiplier))


def _loha(module: Any, _: LayerSettings, multiplier: float) -> Change:
    return Hadamard(
        _scaled(module, module.hada_w1_a),
        module.hada_w1_b,
        module.hada_w2_a,
        module.hada_w2_b,
        scale_of(module, multiplier),
    )


def _lokr(module: Any, _: LayerSettings, multiplier: float) -> Change:
    left = _scaled(module, module.lokr_w1) if module.use_w1 else (_scaled(module, module.lokr_w1_a), module.lokr_w1_b)
    right = module.lokr_w2 if module.use_w2 else (module.lokr_w2_a, module.lokr_w2_b)
    return Kronecker(left, right, scale_of(module, multiplier))


def _full(module: Any, _: LayerSettings, multiplier: float) -> Change:
    return Dense(module.weight, module.bias, multiplier)


def _ia3(module: Any, _: LayerSettings, __: float) -> Change:
    return Scaling(module.weight, bool(module.train_input))


def _all_ranks(module: Any, _: LayerSettings, multiplier: float) -> Change:
    return LowRank(torch.cat([*module.down_list]), torch.cat([*module.up_list], dim=1), scale_of(module, multiplier))


def _some_ranks(module: Any, settings: LayerSettings, multiplier: float) -> Change:
    """Return the ranks up to the end of a block that is drawn anew for each micro-batch; only that block learns.

    Source: Valipour et al. 2022, arXiv:2210.07558. The draw follows from the seed that torch was last given, so all
    layers agree on it, and so does whatever is computed a second time.
    """
    block = int(random.Random(torch.initial_seed()).random() * module.block_count)
    down = torch.cat([*(one.detach() for one in module.down_list[:block]), module.down_list[block]])
    up = torch.cat([*(one.detach() for one in module.up_list[:block]), module.up_list[block]], dim=1)
    return LowRank(down, up, given(settings.alpha) / len(down) * multiplier)


def _diag_oft(module: Any, settings: LayerSettings, _: float) -> Change:
    return Rotation(module.oft_blocks, given(settings.constraint), module.rescale if module.rescaled else None)


def _boft(module: Any, settings: LayerSettings, _: float) -> Change:
    return Butterfly(module.oft_blocks, given(settings.constraint), module.rescale if module.rescaled else None)


def _glora(module: Any, _: LayerSettings, multiplier: float) -> Change:
    return Generalized(
        module.a1.weight,
        _scaled(module, module.a2.weight),
        module.b1.weight,
        _scaled(module, module.b2.weight),
        scale_of(module, multiplier),
    )


BUILDERS: Mapping[str, Callable[[Any, LayerSettings, float], Change]] = {
    "lora": _lora,
    "loha": _loha,
    "lokr": _lokr,
    "full": _full,
    "ia3": _ia3,
    "dylora": _all_ranks,
    "diag-oft": _diag_oft,
    "boft": _boft,
    "glora": _glora,
}
"""By algorithm, what its module does in evaluation and in files."""
