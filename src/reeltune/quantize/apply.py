"""Weight-only quantization of frozen linear layers, in place: 8 bits a weight and a scale for each row.

Activations and the arithmetic keep the number type that the layer had: the weight is brought back to it at each use,
so gradients reach an adapter on top, and the layers below, through exactly the weights that the forward used.

With the torchao precisions the backward keeps a layer's brought-back weight from its forward on; recomputing each block
in the backward, as gradient checkpointing does, limits that to one block.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection

from torch import nn

from reeltune.quantize.packages import require_package

Quantize = Callable[[nn.Module, frozenset[str]], None]


def quantize_linears(module: nn.Module, precision: str, *, names: Collection[str]) -> None:
    """Replace the weights of the named linear layers by 8-bit ones, in place, on the device where they are.

    To be done before an adapter is attached. The module may change its device afterwards, and no longer its number
    type. Raises ConfigError when the precision's package is missing.
    """
    require_package(precision)
    assert all(isinstance(module.get_submodule(name), nn.Linear) for name in names)
    PRECISIONS[precision](module, frozenset(names))
    for name in names:
        module.get_submodule(name).requires_grad_(False)


def _int8_quanto(module: nn.Module, names: frozenset[str]) -> None:
    from optimum.quanto import qint8

    _with_quanto(module, names, qint8)


def _fp8_quanto(module: nn.Module, names: frozenset[str]) -> None:
    from optimum.quanto import qfloat8_e4m3fn

    _with_quanto(module, names, qfloat8_e4m3fn)


def _int8_torchao(module: nn.Module, names: frozenset[str]) -> None:
    from torchao.quantization import Int8WeightOnlyConfig

    _with_torchao(module, names, Int8WeightOnlyConfig(set_inductor_config=False))


def _fp8_torchao(module: nn.Module, names: frozenset[str]) -> None:
    from torchao.quantization import Float8WeightOnlyConfig

    _with_torchao(module, names, Float8WeightOnlyConfig(set_inductor_config=False))


def _with_quanto(module: nn.Module, names: frozenset[str], weights: object) -> None:
    from optimum.quanto import freeze, quantize

    quantize(module, weights=weights, include=sorted(names))  # pyright: ignore[reportArgumentType]
    freeze(module)


def _with_torchao(module: nn.Module, names: frozenset[str], config: object) -> None:
    from torchao.quantization import quantize_

    quantize_(module, config, filter_fn=lambda layer, name: name in names)  # pyright: ignore[reportArgumentType]
    _expect_adapters()


def _expect_adapters() -> None:
    """Silence what PEFT says at every torchao layer that an adapter is put on, now or later: it cannot be merged.

    Nothing is merged here. Python keeps one of equal filters, however often it is told.
    """
    about = r"TorchaoLoraLinear was instantiated without `get_apply_tensor_subclass`"
    warnings.filterwarnings("ignore", about, UserWarning, module=r"peft\.tuners\.lora\.torchao")


PRECISIONS: dict[str, Quantize] = {
    "int8-quanto": _int8_quanto,
    "fp8-quanto": _fp8_quanto,
    "int8-torchao": _int8_torchao,
    "fp8-torchao": _fp8_torchao,
}
"""The precisions that a frozen module may be brought to: weights only, activations untouched."""
