"""A folder of tensors, one file each: written whole or not at all, verified when read."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from reeltune.errors import CacheError, ShortageError
from reeltune.whole_files import whole_file

_TENSOR = "tensor"
PACKED = ".gz"


@dataclass(frozen=True)
class TensorStore:
    """Entries lie in `folder/ab/abcd....safetensors`, with a checksum of the tensor's bytes in their header.

    compress: whether new entries are compressed, as `.safetensors.gz`; both kinds are read.
    """

    folder: Path
    compress: bool = False

    def path(self, key: str) -> Path:
        """Return where an entry lies, or will lie."""
        plain, packed = (self.folder / key[:2] / f"{key}.safetensors{suffix}" for suffix in ("", PACKED))
        wanted, other = (packed, plain) if self.compress else (plain, packed)
        return other if other.exists() and not wanted.exists() else wanted

    def has_file(self, key: str) -> bool:
        """Tell whether an entry is there, whole or damaged."""
        return self.path(key).exists()

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
            tensor, expected = _read_packed(path) if path.suffix == PACKED else _read_plain(path)
        except (OSError, EOFError, zlib.error, SafetensorError) as error:
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
                draft.write_bytes(_packed(data) if path.suffix == PACKED else data)
        except OSError as error:
            raise ShortageError(
                f"{path} cannot be written: {error.strerror}. Make room or give permission; what is encoded is kept."
            ) from error


def _read_plain(path: Path) -> tuple[Tensor, str | None]:
    with safe_open(path, framework="pt") as file:
        return file.get_tensor(_TENSOR), (file.metadata() or {}).get("checksum")


def _read_packed(path: Path) -> tuple[Tensor, str | None]:
    data = gzip.decompress(path.read_bytes())
    # First: the library judges the header, so that what follows can rely on it.
    tensors = safetensors.torch.load(data)
    if _TENSOR not in tensors:
        raise OSError(f"it holds no {_TENSOR}")
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length]).get("__metadata__") or {}
    return tensors[_TENSOR], metadata.get("checksum")


def _packed(data: bytes) -> bytes:
    # The fastest level: what can be saved is in the exponents, and slower ones find hardly more. No time stamp, so that
    # equal entries are equal files.
    return gzip.compress(data, compresslevel=1, mtime=0)


def _checksum(tensor: Tensor) -> str:
    data = tensor.contiguous().view(-1).view(torch.uint8).numpy().data
    return hashlib.blake2b(data, digest_size=16).hexdigest()
