"""A folder of tensors, one file each: written whole or not at all, verified when read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from reeltune.errors import CacheError, ShortageError
from reeltune.whole_files import whole_file

_TENSOR = "tensor"


@dataclass(frozen=True)
class TensorStore:
    """Entries lie in `folder/ab/abcd....safetensors`, with a checksum of the tensor's bytes in their header."""

    folder: Path

    def path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"

    def holds(self, key: str) -> bool:
        """Tell whether a whole, undamaged entry is there."""
        try:
            self.read(key)
        except CacheError:
            return False
        return True

    def read(self, key: str) -> Tensor:
        """Return an entry. Raises CacheError when it is missing or damaged."""
        path = self.path(key)
        try:
            with safe_open(path, framework="pt") as file:
                tensor, expected = file.get_tensor(_TENSOR), (file.metadata() or {}).get("checksum")
        except (OSError, SafetensorError) as error:
            raise CacheError(f"{path} is missing or damaged: {error}. Start the run again to rebuild it.") from error
        if _checksum(tensor) != expected:
            raise CacheError(f"{path} is damaged: its checksum differs. Start the run again to rebuild it.")
        return tensor

    def write(self, key: str, tensor: Tensor) -> None:
        """Add an entry, whole or not at all. Raises ShortageError when it cannot be written."""
        path = self.path(key)
        tensor = tensor.detach().cpu().contiguous()
        data = safetensors.torch.save({_TENSOR: tensor}, metadata={"checksum": _checksum(tensor)})
        try:
            with whole_file(path) as draft:
                draft.write_bytes(data)
        except OSError as error:
            raise ShortageError(
                f"{path} cannot be written: {error.strerror}. Make room or give permission; what is encoded is kept."
            ) from error


def _checksum(tensor: Tensor) -> str:
    data = tensor.contiguous().view(-1).view(torch.uint8).numpy().data
    return hashlib.blake2b(data, digest_size=16).hexdigest()
