"""One logger for the package: rich on a terminal, plain lines elsewhere. Set up once, by `cli`."""

from __future__ import annotations

import logging
import sys


def set_up_logging(*, verbose: bool = False) -> None:
    """Send the package's log to stderr; third-party chatter below WARNING stays out."""
    package = logging.getLogger("reeltune")
    package.handlers[:] = [_handler()]
    package.setLevel(logging.DEBUG if verbose else logging.INFO)
    package.propagate = False


def _handler() -> logging.Handler:
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.logging import RichHandler

        return RichHandler(console=Console(stderr=True), show_path=False, show_level=True, log_time_format="%H:%M:%S")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S"))
    return handler
