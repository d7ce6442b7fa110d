"""Weight-only quantization of frozen linear layers, one by one, in place: 8 bits a weight and a scale for each row.

Activations and the arithmetic keep the number type that the layer had: the weight is brought back to it at each use,
so gradients reach an adapter on top, and the layers below, through exactly the weights that the forward used.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection

from torch import nn

from reeltune.quantize.linear import BroughtBackLinear
from reeltune.quantize.packages import require_package

Quantize = Callable[[nn.Module, str], None]
"""Changes the linear layer of that name right inside a module."""


def quantize_linears(module: nn.Module, precision: str, *, names: Collection[str]) -> None:
    """Replace the weights of the named linear layers by 8-bit ones, in place, on the device where they are.

    To be done before an adapter is attached. The module may change its device afterwards, and no longer its number
    type. Raises ConfigError when the precision's package is missing.
    """
    require_package(precision)
    for name in names:
        quantize_linear(module, name, precision)


def quantize_linear(module: nn.Module, name: str, precision: str) -> None:
    """Do the same with one layer, by its dotted name. Beside its old and its new weight nothing of its size is held."""
    inside, _, last = name.rpartition(".")
    parent = module.get_submodule(inside)
    assert isinstance(parent.get_submodule(last), nn.Linear), f"{name} is no linear layer"
    PRECISIONS[precision](parent, last)
    # Asked for again: one of the libraries puts another layer in its place.
    parent.get_submodule(last).requires_grad_(False)


def _int8_quanto(parent: nn.Module, name: str) -> None:
    from optimum.quanto import qint8

    _with_quanto(parent, name, qint8)


def _fp8_quanto(parent: nn.Module, name: str) -> None:
    from optimum.quanto import qfloat8_e4m3fn

    _with_quanto(parent, name, qfloat8_e4m3fn)


def _int8_torchao(parent: nn.Module, name: str) -> None:
    from torchao.quantization import Int8WeightOnlyConfig

    _with_torchao(parent, name, Int8WeightOnlyConfig(set_inductor_config=False))


def _fp8_torchao(parent: nn.Module, name: str) -> None:
    from torchao.quantization import Float8WeightOnlyConfig

    _with_torchao(parent, name, Float8WeightOnlyConfig(set_inductor_config=False))


def _with_quanto(parent: nn.Module, name: str, weights: object) -> None:
    from optimum.quanto import freeze, quantize

    quantize(parent, weights=weights, include=[name])  # pyright: ignore[reportArgumentType]
    freeze(parent.get_submodule(name))


def _with_torchao(parent: nn.Module, name: str, config: object) -> None:
    from torchao.quantization import quantize_

    layer = parent.get_submodule(name)
    quantize_(layer, config)  # pyright: ignore[reportArgumentType]
    # Older torchao has other tensors; its layers stay as they are.
    if type(layer) is nn.Linear and hasattr(layer.weight, "qdata"):
        layer.__class__ = BroughtBackLinear
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
"""The precisions that a frozen layer may be brought to: weights only, activations untouched."""
