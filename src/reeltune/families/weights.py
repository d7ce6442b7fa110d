"""The safetensors files of a component: whether they are whole, and into a module without a second copy.

A safetensors file is 8 bytes (the header's length N, little-endian), N bytes of JSON (name, dtype, shape and
data_offsets of each tensor), and the tensors. Sizes and headers tell whether 30 GB are whole in milliseconds; values
are not looked at.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import set_module_tensor_to_device
from safetensors import safe_open
from torch import nn

from reeltune.errors import ModelError, listed
from reeltune.families.loading import component_folder, read_config

Build = Callable[[dict[str, Any]], nn.Module]
"""Makes the module that a configuration describes."""

Shape = tuple[int, ...]

_INDEX = ".safetensors.index.json"
_LARGEST_HEADER = 100_000_000
"""Bytes; the format allows no longer one."""
_LFS_POINTER = b"version https://git-lfs"
_NAMED = 3
"""Tensors that are named in a message; of the others only the number is given."""


@dataclass(frozen=True)
class Header:
    """What a safetensors file says of itself. file_bytes: how long the whole file must be."""

    shapes: dict[str, Shape]
    file_bytes: int


def weights_folder(source: str, component: str, build: Build) -> Path:
    """Return the folder of a component after making sure that every weight of its module is there, whole.

    build: is called on the meta device, where nothing is allocated.
    Raises ModelError, naming every file or tensor that is missing, cut short or of another shape.
    """
    folder = component_folder(source, component)
    if not any(folder.glob("*.safetensors*")):
        raise ModelError(f"{folder} holds no *.safetensors weights. {_again(source, component)}")
    if problems := _file_problems(folder):
        raise ModelError(f"{listed(str(folder), problems)}\n{_again(source, component)}")
    if problems := _tensor_problems(_shapes(folder), _blank(folder, build)):
        raise ModelError(f"{listed(f'{folder} does not fit its config.json', problems)}\n{_again(source, component)}")
    return folder


def read_tensors(
    module: nn.Module, folder: Path, *, device: torch.device, number_type: Callable[[str], torch.dtype]
) -> None:
    """Fill a module, whose parameters may be on the meta device, tensor by tensor from a folder's files.

    number_type: of a tensor by its name. Host memory: what stays on the host, and the file that is being read.
    Tensors that the module does not have are left out. Raises ValueError when one of the module's own is in no file.
    """
    wanted = module.state_dict().keys()
    for file in _weight_files(folder):
        with safe_open(file, framework="pt") as tensors:
            for name in wanted & set(tensors.keys()):
                # A copy even where nothing changes: a view would keep the whole file mapped.
                value = tensors.get_tensor(name).to(device, number_type(name), copy=True)
                set_module_tensor_to_device(module, name, device, value=value, dtype=value.dtype)
    unfilled = sorted(name for name, tensor in module.state_dict().items() if tensor.is_meta)
    if unfilled:
        raise ValueError(f"{', '.join(_shortened(unfilled))} not found in the files")


def read_header(file: Path) -> Header:
    """Read the header of a safetensors file. Raises ValueError, saying what is wrong, for a file that has none."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        start = stream.read(len(_LFS_POINTER))
        if start == _LFS_POINTER:
            raise ValueError("is a git-lfs pointer, not the weights (git lfs pull)")
        length = int.from_bytes(start[:8], "little")
        if size < 8 or 8 + length > size:
            raise ValueError("is empty" if size == 0 else f"is cut short, at {size} bytes, or no safetensors file")
        if length > _LARGEST_HEADER:
            raise ValueError("is no safetensors file")
        stream.seek(8)
        content = stream.read(length)
    return _parse_header(content)


def _parse_header(content: bytes) -> Header:
    try:
        entries = json.loads(content)
        tensors = {name: entry for name, entry in entries.items() if name != "__metadata__"}
        shapes = {name: tuple(entry["shape"]) for name, entry in tensors.items()}
        end = max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError("has a damaged header") from error
    return Header(shapes, file_bytes=8 + len(content) + end)


def _file_problems(folder: Path) -> list[str]:
    present = sorted(file.name for file in folder.glob("*.safetensors"))
    problems = [problem for index in sorted(folder.glob(f"*{_INDEX}")) for problem in _index_problems(index)]
    if problem := _lost_index(folder, present):
        problems.append(problem)
    for name in present:
        if problem := _length_problem(folder / name):
            problems.append(f"{name} {problem}")
    return problems


def _index_problems(index: Path) -> Iterator[str]:
    """Yield what an index names and the folder does not hold."""
    try:
        shards = _shards(index)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        yield f"{index.name} cannot be read: {error}"
        return
    for shard in sorted(shards):
        # A link into the hub's cache whose target is gone is listed, but is no file.
        if not (index.parent / shard).is_file():
            yield f"{shard} is missing; {index.name} names it"


def _lost_index(folder: Path, present: list[str]) -> str | None:
    """Tell of shards that no index puts together; the libraries would not find them."""
    shards = [name for name in present if "-of-" in name]
    if not shards or len(shards) < len(present) or any(folder.glob(f"*{_INDEX}")):
        return None
    return f"{shards[0].partition('-0')[0]}{_INDEX} is missing; it puts the shards together"


def _length_problem(file: Path) -> str | None:
    try:
        expected = read_header(file).file_bytes
        size = file.stat().st_size
    except FileNotFoundError:
        return None  # a link without a target, which the index has told of
    except (OSError, ValueError) as error:
        return str(error)
    if size == expected:
        return None
    return f"is {'cut short' if size < expected else 'damaged'}: it has {size} bytes, and its header says {expected}"


def _shapes(folder: Path) -> dict[str, Shape]:
    """Return the shape of every tensor in the folder's files."""
    return {name: shape for file in _weight_files(folder) for name, shape in read_header(file).shapes.items()}


def _weight_files(folder: Path) -> list[Path]:
    """Return the files that make up the module: those of the index where there is one, else all."""
    shards = [shard for index in folder.glob(f"*{_INDEX}") for shard in _shards(index)]
    return sorted({folder / shard for shard in shards} or folder.glob("*.safetensors"))


def _shards(index: Path) -> set[str]:
    return set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())


def _blank(folder: Path, build: Build) -> nn.Module:
    """Return the module of the folder's configuration, without values."""
    config = read_config(folder)
    try:
        with torch.device("meta"):
            return build(config)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"{folder / 'config.json'} describes no model that can be built: {error}") from error


def _tensor_problems(found: dict[str, Shape], module: nn.Module) -> list[str]:
    """Compare what the files hold with what the module needs; weights that are tied are needed under one name only."""
    state = module.state_dict(keep_vars=True)
    there = {id(tensor) for name, tensor in state.items() if name in found}
    missing = [name for name, tensor in state.items() if id(tensor) not in there]
    reshaped = [
        f"{name} has shape {list(found[name])} instead of {list(tensor.shape)}"
        for name, tensor in state.items()
        if name in found and found[name] != tuple(tensor.shape)
    ]
    return _shortened([f"{name} is in none of the files" for name in missing]) + _shortened(reshaped)


def _shortened(problems: list[str]) -> list[str]:
    rest = len(problems) - _NAMED
    return problems if rest <= 0 else [*problems[:_NAMED], f"and {rest} more of this kind"]


def _again(source: str, component: str) -> str:
    """Say how to fetch a component again: forced, for the hub's cache takes the file that it has for whole."""
    root = Path(source).expanduser()
    if root.is_dir():
        return (
            f"Fetch it again from where it came: "
            f'hf download OWNER/NAME --include "{component}/*" --local-dir {root} --force-download'
        )
    return f'Fetch it again: hf download {source} --include "{component}/*" --force-download'
