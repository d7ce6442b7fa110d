"""What the headers of safetensors files tell of their tensors: names, shapes, number types, and what they say of
themselves. No torch; values are not read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

from safetensors import SafetensorError, safe_open

from reeltune.contracts.adapter_report import Contents
from reeltune.errors import ModelError
from reeltune.families.formats import name_problem
from reeltune.families.weight_files import Shape, length_problem

NUMBER_TYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
}
"""The format's names of number types as torch has them; others stay as they are."""


@dataclass(frozen=True)
class Stored:
    """One tensor in a file."""

    shape: Shape
    number_type: str

    @property
    def count(self) -> int:
        return prod(self.shape)


def read_stored(files: Sequence[Path]) -> dict[str, Stored]:
    """Return the tensors of files by name. Raises ModelError for a file that is cut short or no safetensors file."""
    return {name: stored for file in files for name, stored in _read(file).items()}


def contents_of(place: Path, files: Sequence[Path]) -> Contents:
    """Return how much is in files. place: what they are called together.

    Single numbers, as alpha is written, are no parameters.
    """
    stored = [one for one in read_stored(files).values() if one.shape]
    by_type: Counter[str] = Counter()
    for one in stored:
        by_type[one.number_type] += one.count
    return Contents(
        str(place),
        parameters=sum(one.count for one in stored),
        size_bytes=sum(file.stat().st_size for file in files),
        number_types=tuple(name for name, _ in by_type.most_common()),
    )


def _read(file: Path) -> dict[str, Stored]:
    with _opened(file) as tensors:
        parts = {name: tensors.get_slice(name) for name in tensors.keys()}
        return {name: Stored(tuple(part.get_shape()), _number_type(part.get_dtype())) for name, part in parts.items()}


def _number_type(written: str | None) -> str:
    return NUMBER_TYPES.get(written or "", written or "unknown")


def _opened(file: Path) -> safe_open:
    if problem := name_problem(file):
        raise ModelError(problem)
    if problem := length_problem(file):
        raise ModelError(f"{file} {problem}. Fetch it again from where it came.")
    try:
        return safe_open(file, framework="np")
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{file} cannot be read: {error}") from error
