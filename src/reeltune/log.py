"""One logger for the package, and one console: rich on a terminal, plain lines elsewhere. Set up once, by `cli`."""

from __future__ import annotations

import functools
import logging
import sys

from rich.console import Console
from rich.text import Text

HARMLESS = {
    "bitsandbytes.backends.cpu.ops": "Failed to load CPU gemm_4bit_forward",
    "diffusers.quantizers.torchao.torchao_quantizer": "Unable to import `torchao` Tensor objects",
    "torch.utils._pytree": "is an Enum subclass and is now natively supported",
    "torchao": "Failed to load ",
}
"""What libraries say when diffusers is imported beside optional packages, whether or not these are used: by logger."""


def set_up_logging(*, verbose: bool = False) -> None:
    """Send the package's log to stderr; third-party chatter below WARNING stays out."""
    package = logging.getLogger("reeltune")
    package.handlers[:] = [_handler()]
    package.setLevel(logging.DEBUG if verbose else logging.INFO)
    package.propagate = False
    for name, text in HARMLESS.items():
        logging.getLogger(name).addFilter(lambda record, text=text: text not in record.getMessage())


@functools.cache
def terminal() -> Console:
    """Return the one console on stderr. Lines and bars must share it, or lines end up glued to the bar."""
    return Console(stderr=True)


def on_terminal() -> bool:
    """Tell whether stderr is a terminal that can redraw a line. One with TERM=dumb cannot."""
    return sys.stderr.isatty() and terminal().is_interactive


class TerminalHandler(logging.Handler):
    """A line of time, level and message. The terminal wraps it, so that a long path can be copied whole."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            level = (record.levelname, f"logging.level.{record.levelname.lower()}")
            line = Text.assemble((_TIMES.formatTime(record, _TIMES.datefmt), "log.time"), " ", level, " ")
            terminal().print(line.append_text(terminal().highlighter(self.format(record))), soft_wrap=True)
        except Exception:  # logging's own rule: a line that cannot be shown is reported, never raised
            self.handleError(record)


_TIMES = logging.Formatter("%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")


def _handler() -> logging.Handler:
    if on_terminal():
        return TerminalHandler()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_TIMES)
    return handler
