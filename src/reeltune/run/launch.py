"""Where a run computes, and how it is asked to stop."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch

log = logging.getLogger(__name__)

DTYPES = {"bf16": torch.bfloat16, "no": torch.float32}
"""`mixed_precision` as a number type."""


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
    """Let SIGINT and SIGTERM ask for a stop for as long as the block lasts."""
    stop = Stop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, stop.ask) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
