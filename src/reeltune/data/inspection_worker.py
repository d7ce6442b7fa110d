"""A process that looks at files one by one: `python -m reeltune.data.inspection_worker 5`, with the number of a socket.

It is asked with (path, what the file was listed as, limit in seconds) and answers with a ClipInfo or the reason why
there is none. A file that hangs or crashes a decoder takes only this process with it.
"""

from __future__ import annotations

import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path

from reeltune.contracts.clip import ClipInfo
from reeltune.data.probe import probe
from reeltune.data.regular import CHANGED, Stamp, stamp_of
from reeltune.errors import UnreadableFile

READY = "ready"
_GRACE_S = 5


def serve(asked: Connection) -> None:
    """Answer until nobody asks any more."""
    asked.send(READY)
    while True:
        try:
            path, listed, limit_s = asked.recv()
        except EOFError:
            return
        # Should the one who asks be gone, nobody else ends a decoder that hangs.
        signal.alarm(round(limit_s) + _GRACE_S)
        asked.send(look(path, listed))
        signal.alarm(0)


def look(path: Path, listed: Stamp | None) -> ClipInfo | str:
    """Return what a file holds, or the reason why that cannot be told.

    listed: size and time of change that the file must still have; None where it was fetched from elsewhere.
    """
    try:
        if listed and stamp_of(path) != listed:
            return CHANGED
        return probe(path)
    except UnreadableFile as error:
        return error.reason
    except Exception as error:
        # A decoder that meets something unforeseen spoils one file, not the run.
        return f"cannot be read: {type(error).__name__}: {error}; convert it to H.264 mp4"


if __name__ == "__main__":
    # Ctrl-C is for the one who asks; it ends this process when it is ready to.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Connection(int(sys.argv[1])) as connection:
        serve(connection)
