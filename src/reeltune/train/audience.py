"""Everyone who listens to a run. One who fails is heard of once, and left out from then on; the run goes on."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from reeltune.contracts.events import Event, EventSink

log = logging.getLogger(__name__)


class Audience:
    """Hands events to all sinks and survives each of them."""

    def __init__(self, sinks: Sequence[EventSink]) -> None:
        self._sinks = list(sinks)

    def receive(self, event: Event) -> None:
        for sink in list(self._sinks):
            try:
                sink.receive(event)
            except Exception as error:  # a listener's fault, whatever it is, must not cost the run
                self._sinks.remove(sink)
                _close(sink)
                log.warning("%s failed and hears no more of this run: %s", type(sink).__name__, error)
                log.debug("where it failed", exc_info=error)

    def close(self) -> None:
        for sink in self._sinks:
            _close(sink)


def _close(sink: EventSink) -> None:
    try:
        sink.close()
    except Exception as error:  # as above
        log.warning("%s could not be closed: %s", type(sink).__name__, error)
