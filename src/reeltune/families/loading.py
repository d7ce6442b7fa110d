"""Into memory, and out of it again."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import diffusers
import torch
import transformers
from rich.filesize import decimal
from safetensors import SafetensorError
from torch import nn

from reeltune.errors import ModelError

log = logging.getLogger(__name__)

Module = TypeVar("Module", bound=nn.Module)


@contextmanager
def reported_loading(name: str, place: Path) -> Iterator[None]:
    """Say what is being loaded, how large its files are and how long it took; the libraries' own bars stay out.

    place: the folder, or the one file. Raises ModelError, with the place's name, for what the libraries raise about
    files that they cannot take.
    """
    files = place.glob("*.safetensors") if place.is_dir() else [place]
    size = sum(file.stat().st_size for file in files)
    started = time.monotonic()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    log.info("loading the %s (%s)", name, decimal(size))
    try:
        yield
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"{place} cannot be loaded as the {name}: {error}") from error
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
