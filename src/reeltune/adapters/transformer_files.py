"""A whole transformer as files: a folder in the diffusers layout, or one file under other names for its tensors.

Weights are written in the number types in which they act. Files are byte-stable: no dates, tensors in order of their
names. Each is read back, one tensor at a time, and must hold what acts to the bit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from reeltune.errors import CheckpointError
from reeltune.tensor_files import save_tensors
from reeltune.whole_files import write_json

SHARD_BYTES = 5_000_000_000
"""The most that one file of a folder holds, but for a tensor that is larger alone."""

_STEM = "diffusion_pytorch_model"
_PLACE = "_name_or_path"
"""Where diffusers notes from which folder a model came; of no use to others."""


def save_transformer(
    folder: Path, transformer: nn.Module, *, metadata: Mapping[str, str], shard_bytes: int = SHARD_BYTES
) -> None:
    """Write what `from_pretrained` of the transformer's class reads, then compare it with what acts.

    folder: new or empty. metadata: of the weight files, one key, as a second would come in any order.
    Raises CheckpointError when a file does not hold what acts.
    """
    shards = split_in_shards(transformer.state_dict(), shard_bytes)
    named = {_file_name(number, len(shards)): shard for number, shard in enumerate(shards, 1)}
    write_json(folder / "config.json", config_of(transformer))
    for name, shard in named.items():
        _write(folder / name, shard, metadata)
    if len(shards) > 1:
        write_json(folder / f"{_STEM}.safetensors.index.json", _index(named))


def save_single_file(
    path: Path, transformer: nn.Module, rename: Callable[[str], str], *, metadata: Mapping[str, str]
) -> None:
    """Write all tensors to one file under other names, then compare it with what acts.

    rename: gives the name in the file. metadata: as in `save_transformer`.
    Raises CheckpointError when the file does not hold what acts.
    """
    tensors = transformer.state_dict()
    renamed = {rename(name): tensor for name, tensor in tensors.items()}
    assert len(renamed) == len(tensors), "two tensors got one name"
    _write(path, renamed, metadata)


def split_in_shards(tensors: Mapping[str, Tensor], shard_bytes: int) -> list[dict[str, Tensor]]:
    """Return the tensors in groups of at most so many bytes, in order of their names."""
    shards: list[dict[str, Tensor]] = [{}]
    held = 0
    for name in sorted(tensors):
        size = tensors[name].nbytes
        if shards[-1] and held + size > shard_bytes:
            shards.append({})
            held = 0
        shards[-1][name] = tensors[name]
        held += size
    return shards


def config_of(transformer: nn.Module) -> dict[str, Any]:
    """Return the configuration that diffusers keeps beside a model's weights, without the place that it came from."""
    if not hasattr(transformer, "to_json_string"):
        return {"_class_name": type(transformer).__name__}
    content = json.loads(transformer.to_json_string())  # pyright: ignore[reportCallIssue]
    return {name: value for name, value in content.items() if name != _PLACE}


def _file_name(number: int, count: int) -> str:
    return f"{_STEM}-{number:05d}-of-{count:05d}.safetensors" if count > 1 else f"{_STEM}.safetensors"


def _index(shards: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Any]:
    """Return what tells a reader in which file each tensor is."""
    places = {name: file for file, shard in shards.items() for name in shard}
    size = sum(tensor.nbytes for shard in shards.values() for tensor in shard.values())
    return {"metadata": {"total_size": size}, "weight_map": dict(sorted(places.items()))}


def _write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    save_tensors(path, {name: tensor.contiguous() for name, tensor in tensors.items()}, dict(metadata))
    for problem in _differences(path, tensors):
        raise CheckpointError(
            f"{path} does not hold the weights that act: {problem}. Its disk may be failing: name a folder on another "
            "one, and run the same command again."
        )


def _differences(path: Path, tensors: Mapping[str, Tensor]) -> Iterator[str]:
    """Yield how a file differs from tensors. Never more than one tensor of the file is in memory."""
    with safe_open(path, framework="pt") as file:
        if strangers := sorted(tensors.keys() ^ set(file.keys())):
            yield f"{strangers[0]} is in one of them only"
            return
        for name, tensor in tensors.items():
            read = file.get_tensor(name)
            if read.dtype != tensor.dtype:
                yield f"{name} is {read.dtype} there, and {tensor.dtype} here"
            elif not torch.equal(read, tensor.cpu()):
                yield f"{name} has other numbers"
