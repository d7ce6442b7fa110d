"""Where a run computes, and how it is asked to stop."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch

from reeltune.config.root import Config
from reeltune.families.opening import Opening

log = logging.getLogger(__name__)

_STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

DTYPES = {"bf16": torch.bfloat16, "no": torch.float32}
"""`mixed_precision` as a number type."""

VAE_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
"""`vae_dtype` as a number type."""


def opening_of(config: Config) -> Opening:
    """Return how the options want the model opened."""
    options = config.model
    return Opening(
        dtype=DTYPES[options.compute_type],
        keep=not options.offload_during_startup,
        base_precision=options.base_model_precision,
        text_precision=options.text_encoder_1_precision,
        quantize_via=options.quantize_via,
        vae_dtype=VAE_DTYPES[config.data.vae_dtype],
        vae_tiling=config.data.vae_enable_tiling,
    )


def choose_device() -> torch.device:
    """Return the device to train on: the first GPU, or the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Stop:
    """Whether a person or the machine has asked the run to end."""

    def __init__(self) -> None:
        self._asked = False

    def asked(self) -> bool:
        return self._asked

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: the first ends the run after its step, a second one ends the process at once."""
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        log.info("%s: finishing this step, then saving; once more ends at once", signal.Signals(number).name)


@contextmanager
def stop_on_signal() -> Iterator[Stop]:
    """Let Ctrl-C, SIGTERM and a lost terminal ask for a stop for as long as the block lasts.

    A signal that is ignored already, as under nohup, stays ignored.
    """
    stop = Stop()
    numbers = [number for number in _STOPPING if signal.getsignal(number) is not signal.SIG_IGN]
    before = [signal.signal(number, stop.ask) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
