"""Into memory, and out of it again."""

from __future__ import annotations

import ctypes
import gc
import logging
import sys
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
from reeltune.families.opening import NO_CHANGE

log = logging.getLogger(__name__)

Module = TypeVar("Module", bound=nn.Module)


@contextmanager
def reported_loading(name: str, place: Path, precision: str = NO_CHANGE) -> Iterator[None]:
    """Say what is being loaded, how large its files are and how long it took; the libraries' own bars stay out.

    place: the folder, or the one file. precision: that it is quantized to meanwhile.
    Raises ModelError, with the place's name, for what the libraries raise about files that they cannot take.
    """
    files = place.glob("*.safetensors") if place.is_dir() else [place]
    size = sum(file.stat().st_size for file in files)
    started = time.monotonic()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    log.info("loading the %s (%s)%s", name, decimal(size), "" if precision == NO_CHANGE else f" in {precision}")
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


def trim_host_memory() -> None:
    """Give the system back what freed tensors left in the C library's heap, where that is glibc's.

    Once a tensor of up to 32 MB was freed, glibc puts the next ones into its heap, where smaller ones that stay make
    holes of what goes. Measured while the 1.3B transformer was brought to int8: 4 to 6 GB at the peak, and with this
    after each layer 1.6 GB.
    """
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if trim := getattr(library, "malloc_trim", None):
        trim(0)
