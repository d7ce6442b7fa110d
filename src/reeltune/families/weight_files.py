"""The safetensors files of a component, looked at without torch: which they are, and whether they are whole.

A safetensors file is 8 bytes (the header's length N, little-endian), N bytes of JSON (name, dtype, shape and
data_offsets of each tensor), and the tensors. Sizes and headers tell whether 30 GB are whole in milliseconds; values
are not looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reeltune.errors import ModelError
from reeltune.families.formats import content_of

Shape = tuple[int, ...]

_NAME = re.compile(
    r"(?:diffusion_pytorch_model|model)(?:\.([^.]+?))?(?:-\d+-of-\d+)?(?:\.([^.]+))?\.safetensors(?:\.index(?:\.([^.]+))?\.json)?"
)
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


def weight_files(folder: Path, variant: str | None = None) -> list[Path]:
    """Return the files that make up a module: those of the index where there is one, else all."""
    shards = [shard for index in _indices(folder, variant) for shard in _shards(index)]
    return sorted({folder / shard for shard in shards} or _present(folder, variant))


def variant_of(name: str) -> str | None:
    """Return the word that tells apart several sets of weights in one folder, as in `model.fp16.safetensors`."""
    found = _NAME.fullmatch(name)
    return next(filter(None, found.groups()), None) if found else None


def variant_there(folder: Path, wanted: str | None) -> str | None:
    """Return the variant that is wanted when the folder has it, else None: the weights without one."""
    return wanted if any(variant_of(file.name) == wanted for file in folder.glob("*.safetensors")) else None


def variants_alone(folder: Path, variant: str | None) -> list[str]:
    """Return the variants in a folder that holds weights, and none of the variant that is looked for."""
    there = {variant_of(file.name) for file in folder.glob("*.safetensors")}
    return [] if variant in there else sorted(filter(None, there))


def file_problems(folder: Path, variant: str | None = None) -> list[str]:
    """Return what is missing, cut short or damaged among the weights of a folder."""
    indices, present = _indices(folder, variant), [file.name for file in _present(folder, variant)]
    problems = [problem for index in indices for problem in _index_problems(index)]
    if not indices and (problem := _lost_index(present)):
        problems.append(problem)
    return problems + [f"{name} {problem}" for name in present if (problem := length_problem(folder / name))]


def _present(folder: Path, variant: str | None) -> list[Path]:
    """Return the files of a variant: those with the libraries' names, or else whatever is there."""
    files = sorted(file for file in folder.glob("*.safetensors") if variant_of(file.name) == variant)
    return [file for file in files if _NAME.fullmatch(file.name)] or files


def _indices(folder: Path, variant: str | None) -> list[Path]:
    return sorted(file for file in folder.glob("*.safetensors.index*.json") if variant_of(file.name) == variant)


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


def _shards(index: Path) -> set[str]:
    return set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())


def _lost_index(present: list[str]) -> str | None:
    """Tell of shards that no index puts together; the libraries would not find them."""
    shards = [name for name in present if "-of-" in name]
    if not shards or len(shards) < len(present):
        return None
    return f"{shards[0].partition('-0')[0]}.safetensors.index.json is missing; it puts the shards together"


def length_problem(file: Path) -> str | None:
    """Say what is wrong with the length of a file, or nothing: its header tells how long it must be."""
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


def header_shapes(path: Path) -> dict[str, Shape]:
    """Return the shapes of a single file's tensors after making sure that it is there, whole. Raises ModelError."""
    if not path.is_file():
        raise ModelError(
            f"{path} is no file here. To fetch a single file of a hub repository, type: "
            "hf download OWNER/NAME FILE.safetensors --local-dir FOLDER"
        )
    if problem := length_problem(path):
        raise ModelError(f"{path} {problem}. {whole_again(path)}")
    return read_header(path).shapes


def whole_again(path: Path) -> str:
    """Say how to get a single file once more."""
    return f"Fetch {path.name} again from where it came."


def read_header(file: Path) -> Header:
    """Read the header of a safetensors file. Raises ValueError, saying what is wrong, for a file that has none."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        start = stream.read(len(_LFS_POINTER))
        if start == _LFS_POINTER:
            raise ValueError("is a git-lfs pointer, not the weights (git lfs pull)")
        length = int.from_bytes(start[:8], "little")
        if size == 0:
            raise ValueError("is empty")
        if length > _LARGEST_HEADER:
            raise ValueError(f"is {content_of(file)}")
        if size < 8 or 8 + length > size:
            raise ValueError(f"is cut short, at {size} bytes, or no safetensors file")
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


def shortened(problems: list[str]) -> list[str]:
    """Return the first problems of a kind, and how many more there are."""
    rest = len(problems) - _NAMED
    return problems if rest <= 0 else [*problems[:_NAMED], f"and {rest} more of this kind"]
