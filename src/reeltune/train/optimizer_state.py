"""What an optimizer remembers, parted into tensors for a safetensors file and the rest for JSON, and joined again.

Most optimizers keep a flat row of tensors and numbers for each parameter. Some keep lists of tensors; torchao's keep
tensors that are made of others. Entries are named `part/index/key`, what is inside them `part/index/key/inner`. An
entry that is neither a tensor nor plain JSON is described under a `KIND`, and nothing that a file names is ever
imported or called unless it is in the tables here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

KIND = "kind of entry"
"""The key that sets a description apart from a dictionary of an optimizer's own."""

MADE_OF_OTHERS: Mapping[str, str] = {
    "OptimState8bit": "torchao.optim.subclass_8bit",
    "OptimState4bit": "torchao.optim.subclass_4bit",
    "OptimStateFp8": "torchao.optim.subclass_fp8",
}
"""Tensors made of others, by the name of their class: the module that has it."""


def part_state(optimizer: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of an optimizer's state, as they are, and the rest, which JSON can hold.

    Tensors are found among the settings of a group too: some optimizers count their steps there.
    """
    state = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    rest: dict[str, Any] = {}
    for part, rows in (("state", state["state"]), ("param_groups", dict(enumerate(state["param_groups"])))):
        for index, row in rows.items():
            for key, value in row.items():
                name = f"{part}/{index}/{key}"
                described = _describe(value, name, tensors)
                # The name of a tensor that is an entry by itself is all that need be said of it.
                if name not in tensors:
                    rest[name] = described
    return tensors, rest


def join_state(optimizer: Optimizer, tensors: Mapping[str, Tensor], rest: Mapping[str, Any]) -> None:
    """Give an optimizer the state that was parted, in the number types that it had."""
    parts: dict[str, dict[int, dict[str, Any]]] = {"state": {}, "param_groups": {}}
    inner = {name for description in rest.values() for name in _tensors_in(description)}
    entries = {name: tensor for name, tensor in tensors.items() if name not in inner}
    for name, value in [*entries.items(), *((name, _rebuild(what, tensors)) for name, what in rest.items())]:
        part, index, key = name.split("/", 2)
        parts[part].setdefault(int(index), {})[key] = value
    groups = parts["param_groups"]
    state = {"state": parts["state"], "param_groups": [groups[index] for index in sorted(groups)]}
    optimizer.load_state_dict(state)
    _undo_casts(optimizer, parts["state"])


def _undo_casts(optimizer: Optimizer, saved: Mapping[int, Mapping[str, Any]]) -> None:
    """Bring back what torch changes in loading: number types become those of the parameters, words inside are lost."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for index, row in saved.items():
        loaded = optimizer.state[parameters[index]]
        for key, value in row.items():
            there = loaded.get(key)
            if isinstance(value, (str, list, tuple, dict)):
                loaded[key] = _placed(value, parameters[index].device)
            elif isinstance(value, Tensor) and isinstance(there, Tensor) and there.dtype != value.dtype:
                loaded[key] = value.to(there.device)


def _placed(value: Any, device: torch.device) -> Any:
    """Return an entry with the tensors in it on a device."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, (list, tuple)):
        return type(value)(_placed(one, device) for one in value)
    return {key: _placed(one, device) for key, one in value.items()} if isinstance(value, dict) else value


def _describe(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """Put the tensors of an entry among `tensors`, and return what JSON is to hold of it."""
    if isinstance(value, Tensor) and is_traceable_wrapper_subclass(value):
        return _describe_made(value, name, tensors)
    if isinstance(value, Tensor):
        tensors[name] = value
        return {KIND: "tensor", "name": name}
    if isinstance(value, torch.dtype):
        return {KIND: "dtype", "name": str(value).removeprefix("torch.")}
    if isinstance(value, (list, tuple)):
        items = [_describe(one, f"{name}/{place}", tensors) for place, one in enumerate(value)]
        # A row of numbers stays as it is; that a tuple comes back as a list has never mattered to an optimizer.
        return {KIND: type(value).__name__, "items": items} if any(map(_is_description, items)) else items
    if isinstance(value, dict):
        items = {str(key): _describe(one, f"{name}/{key}", tensors) for key, one in value.items()}
        return {KIND: "dict", "items": items} if items else {}
    assert value is None or isinstance(value, (bool, int, float, str)), (name, type(value))
    return value


def _describe_made(value: Tensor, name: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    kind = type(value).__name__
    assert kind in MADE_OF_OTHERS, (name, kind)
    inner, context = value.__tensor_flatten__()  # pyright: ignore[reportAttributeAccessIssue]
    items = {one: _describe(getattr(value, one), f"{name}/{one}", tensors) for one in inner}
    return {KIND: kind, "items": items, "context": _describe(list(context), f"{name}/context", tensors)}


def _is_description(value: Any) -> bool:
    return isinstance(value, dict) and KIND in value


def _tensors_in(description: Any) -> list[str]:
    """Return the names of the tensors that a description stands for."""
    if not _is_description(description):
        return []
    if description[KIND] == "tensor":
        return [description["name"]]
    items = description.get("items", [])
    return [name for one in (items.values() if isinstance(items, dict) else items) for name in _tensors_in(one)]


def _rebuild(description: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Return the entry that was described."""
    if isinstance(description, list):
        return [_rebuild(one, tensors) for one in description]
    if not _is_description(description):
        return description
    kind = description[KIND]
    return _made(description, tensors) if kind in MADE_OF_OTHERS else _REBUILD[kind](description, tensors)


def _made(description: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Tensor:
    kind = description[KIND]
    made_of = {name: _rebuild(one, tensors) for name, one in description["items"].items()}
    cls = getattr(importlib.import_module(MADE_OF_OTHERS[kind]), kind)
    return cls.__tensor_unflatten__(made_of, _rebuild(description["context"], tensors), None, None)


_REBUILD: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Tensor]], Any]] = {
    "tensor": lambda what, tensors: tensors[what["name"]],
    "dtype": lambda what, tensors: getattr(torch, what["name"]),
    "list": lambda what, tensors: [_rebuild(one, tensors) for one in what["items"]],
    "tuple": lambda what, tensors: tuple(_rebuild(one, tensors) for one in what["items"]),
    "dict": lambda what, tensors: {key: _rebuild(one, tensors) for key, one in what["items"].items()},
}
