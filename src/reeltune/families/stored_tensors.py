"""Tensors in safetensors files, by name, one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor


class StoredTensors:
    """The tensors of several files."""

    def __init__(self, files: Sequence[Path]) -> None:
        """Read the headers. Raises OSError or SafetensorError for a file that is none."""
        self._file_of = {name: file for file in files for name in _names(file)}
        self._order = {name: place for place, name in enumerate(self._file_of)}

    def __contains__(self, name: str) -> bool:
        return name in self._file_of

    def place_of(self, name: str) -> int:
        """Return which one it is, counted in the order in which they lie on the disk."""
        return self._order[name]

    def read(self, name: str, device: torch.device, dtype: torch.dtype) -> Tensor:
        """Return one tensor. Host memory: the tensor, and while it is copied the part of the file that it lies in."""
        # Opened for each, which takes a millisecond: the pages that were read stay mapped until the file is closed, and
        # after the last tensor that would be all of it. A copy even where nothing changes, for a view keeps it open.
        with safe_open(self._file_of[name], framework="pt") as file:
            return file.get_tensor(name).to(device, dtype, copy=True)


def _names(file: Path) -> list[str]:
    with safe_open(file, framework="pt") as tensors:
        return tensors.offset_keys()
