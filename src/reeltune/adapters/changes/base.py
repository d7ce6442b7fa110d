"""What every kind of change has in common: what it is given, and what it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

Record = TypeVar("Record")


@dataclass(frozen=True)
class Base:
    """A base layer's part in one forward pass.

    product: W x, without the bias. apply: W on another input. weight: gives W itself, brought to plain numbers.
    """

    x: Float[Tensor, "... i"]
    product: Float[Tensor, "... o"]
    apply: Callable[[Tensor], Tensor]
    weight: Callable[[], Tensor]


@runtime_checkable
class Change(Protocol):
    """What an adapter does to one layer."""

    def added(self, base: Base) -> Float[Tensor, "... o"]:
        """Return D x: what is added to the layer's output."""
        ...

    def matrix(self, weight: Float[Tensor, "o i"]) -> Float[Tensor, "o i"]:
        """Return D itself for a weight W, in W's number type."""
        ...


def matrix_of(change: Change, weight: Float[Tensor, "o i"]) -> Float[Tensor, "o i"]:
    """Return D in float32: the change of a weight W (out, in), given in any type of plain numbers."""
    return change.matrix(weight.float())


def uses_product(change: Change) -> bool:
    """Say whether a change reads W x; where it does not, whoever makes its `Base` need not find it."""
    return getattr(change, "on_output", False)


def placed(record: Record, device: torch.device) -> Record:
    """Return a change, or any part of one, with its tensors on a device."""
    return mapped(record, lambda tensor: tensor.to(device))


def mapped(record: Record, function: Callable[[Tensor], Tensor]) -> Record:
    """Return a change, or any part of one, with a function applied to each of its tensors."""
    if isinstance(record, Tensor):
        return cast(Record, function(record))
    if isinstance(record, tuple):
        return cast(Record, tuple(mapped(one, function) for one in record))
    if is_dataclass(record) and not isinstance(record, type):
        new: dict[str, Any] = {one.name: mapped(getattr(record, one.name), function) for one in fields(record)}
        return replace(record, **new)
    return record
