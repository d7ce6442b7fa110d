"""Trying again: what the network breaks may work a moment later, and what a server refuses will not."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from reeltune.secrets import without_secrets

T = TypeVar("T")

PAUSES_S = (1.0, 4.0)
"""Seconds before the second try and the third."""


class Broken(Exception):
    """Bytes did not come, and may at another try. The message says why, for people."""


class Refused(Exception):
    """Bytes will not come, however often they are asked for. The message says why, for people."""


def words_of(error: Exception) -> str:
    """Return what a client says of a failure, in one line and without what is secret."""
    return without_secrets(str(error).strip().partition("\n")[0]) or type(error).__name__


def tried(action: Callable[[], T]) -> T:
    """Return what an action gives, tried three times while it is Broken. Raises what the last try raised."""
    for pause_s in PAUSES_S:
        try:
            return action()
        except Broken:
            time.sleep(pause_s)
    return action()
