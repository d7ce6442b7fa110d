"""From a hub repository or a folder to the files of one component, a name for their content, and into memory."""

from __future__ import annotations

import gc
import hashlib
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import diffusers
import torch
import transformers
from safetensors import SafetensorError
from torch import nn

from reeltune.errors import ModelError
from reeltune.families.hub import fetch

log = logging.getLogger(__name__)

Module = TypeVar("Module", bound=nn.Module)

_SAMPLES = 16
_SAMPLE_BYTES = 64 * 1024


def component_folder(source: str, component: str, *, files: str = "*") -> Path:
    """Return the folder of one component (`vae`, `transformer`, ...), fetched from the hub if need be.

    source: a folder in the diffusers layout, or a hub repository `owner/name`. files: which of them are needed.
    Raises ModelError when it cannot be found, fetched, or is not in the diffusers layout.
    """
    root = Path(source).expanduser()
    if not root.is_dir():
        root = fetch(source, [f"{component}/{files}", "model_index.json"])
    folder = root / component
    if not folder.is_dir():
        raise ModelError(
            f"{root} has no folder '{component}'. A model in the diffusers layout is needed, "
            "such as Wan-AI/Wan2.1-T2V-1.3B-Diffusers (with -Diffusers at the end)."
        )
    return folder


def read_config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """Return a component's configuration. Raises ModelError."""
    try:
        return json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder / name} cannot be read: {error}") from error


def fingerprint(folder: Path) -> str:
    """Name the content of a component: every small file whole, of large ones the size, the ends and samples between.

    An 11 GB text encoder is named by about a megabyte a file: its safetensors header, which lists all tensors, and 16
    samples spread over the rest.
    """
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        size = file.stat().st_size
        digest.update(f"{file.relative_to(folder).as_posix()}:{size}\n".encode())
        for part in _read_parts(file, size):
            digest.update(part)
    return digest.hexdigest()


def _read_parts(file: Path, size: int) -> Iterator[bytes]:
    if size <= _SAMPLES * _SAMPLE_BYTES:
        yield file.read_bytes()
        return
    with file.open("rb") as stream:
        for place in range(_SAMPLES):
            stream.seek((size - _SAMPLE_BYTES) * place // (_SAMPLES - 1))
            yield stream.read(_SAMPLE_BYTES)


@contextmanager
def reported_loading(name: str, folder: Path) -> Iterator[None]:
    """Say what is being loaded, how large its files are and how long it took; the libraries' own bars stay out.

    Raises ModelError, with the folder's name, for what the libraries raise about files that they cannot take.
    """
    size = sum(file.stat().st_size for file in folder.rglob("*.safetensors"))
    started = time.monotonic()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    log.info("loading the %s (%s)", name, f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB")
    try:
        yield
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"{folder} cannot be loaded as the {name}: {error}") from error
    log.debug("loaded the %s in %.1f s", name, time.monotonic() - started)


def frozen(module: Module, device: torch.device) -> Module:
    """Return the module in evaluation mode, without gradients, on the device."""
    module.eval().requires_grad_(False)
    module.to(device)
    return module


def release_memory(device: torch.device) -> None:
    """Give back what a component held, on the host and on the device."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
