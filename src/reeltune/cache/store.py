"""A folder of tensors, one file each: written whole or not at all, verified when read."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
import zstandard
from safetensors import SafetensorError, safe_open
from torch import Tensor

from reeltune.cache.entries import PACKED, PLAIN
from reeltune.errors import CacheError, ShortageError
from reeltune.whole_files import whole_file

_TENSOR = "tensor"
_LEVEL = 1
"""Of zstd. What can be saved is in the exponents: 8 % of float32 latents and 22 % of bfloat16 text, at every level."""


@dataclass(frozen=True)
class TensorStore:
    """Entries lie in `folder/ab/abcd....safetensors`, with a checksum of the tensor's bytes in their header.

    compress: whether new entries are compressed, as `.safetensors.zst`; both kinds are read.
    """

    folder: Path
    compress: bool = False

    def path(self, key: str) -> Path:
        """Return where an entry lies, or will lie."""
        plain, packed = (self.folder / key[:2] / f"{key}{kind}" for kind in (PLAIN, PACKED))
        wanted, other = (packed, plain) if self.compress else (plain, packed)
        return other if other.exists() and not wanted.exists() else wanted

    def has_file(self, key: str) -> bool:
        """Tell whether an entry is there, whole or damaged."""
        return self.path(key).exists()

    def holds(self, key: str) -> bool:
        """Tell whether a whole, undamaged entry is there."""
        return is_whole(self.path(key))

    def read(self, key: str) -> Tensor:
        """Return an entry. Raises CacheError when it is missing or damaged."""
        return read_entry(self.path(key))

    def write(self, key: str, tensor: Tensor) -> None:
        """Add an entry, whole or not at all. Raises ShortageError when it cannot be written."""
        path = self.path(key)
        tensor = tensor.detach().cpu().contiguous()
        data = safetensors.torch.save({_TENSOR: tensor}, metadata={"checksum": _checksum(tensor)})
        try:
            with whole_file(path) as draft:
                draft.write_bytes(_packed(data) if path.name.endswith(PACKED) else data)
        except OSError as error:
            raise ShortageError(
                f"{path} cannot be written: {error.strerror}. Make room or give permission; what is encoded is kept."
            ) from error

    def remove(self, key: str) -> None:
        """Take an entry away, whole or damaged, where there is one. Raises ShortageError when that is not allowed."""
        path = self.path(key)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ShortageError(f"{path} cannot be removed: {error.strerror}. Give write permission there.") from error


def read_entry(path: Path) -> Tensor:
    """Return the entry that a file holds. Raises CacheError when it is missing or damaged."""
    try:
        tensor, expected = _read_packed(path) if path.name.endswith(PACKED) else _read_plain(path)
    except (OSError, zstandard.ZstdError, SafetensorError) as error:
        raise CacheError(f"{path} is missing or damaged: {error}. Start the run again to rebuild it.") from error
    if _checksum(tensor) != expected:
        raise CacheError(f"{path} is damaged: its checksum differs. Start the run again to rebuild it.")
    return tensor


def is_whole(path: Path) -> bool:
    """Tell whether a file is a whole, undamaged entry."""
    try:
        read_entry(path)
    except CacheError:
        return False
    return True


def _read_plain(path: Path) -> tuple[Tensor, str | None]:
    with safe_open(path, framework="pt") as file:
        return file.get_tensor(_TENSOR), (file.metadata() or {}).get("checksum")


def _read_packed(path: Path) -> tuple[Tensor, str | None]:
    # As a stream, which takes no more room than there are values: a damaged header may promise any number of bytes.
    stream = zstandard.ZstdDecompressor().decompressobj()
    data = stream.decompress(path.read_bytes())
    if not stream.eof:
        raise OSError("it ends too early")
    # First: the library judges the header, so that what follows can rely on it.
    tensors = safetensors.torch.load(data)
    if _TENSOR not in tensors:
        raise OSError(f"it holds no {_TENSOR}")
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length]).get("__metadata__") or {}
    return tensors[_TENSOR], metadata.get("checksum")


def _packed(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=_LEVEL).compress(data)


def _checksum(tensor: Tensor) -> str:
    data = tensor.contiguous().view(-1).view(torch.uint8).numpy().data
    return hashlib.blake2b(data, digest_size=16).hexdigest()
