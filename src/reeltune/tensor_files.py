"""Named tensors as safetensors files that others may read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write tensors in the order of their names, so that equal tensors make equal files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensors[name] for name in sorted(tensors)}, path, metadata=metadata)
    # The library makes files that only their owner can read; here the user's own umask decides.
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(0o666 & ~umask)
