"""Many files looked at, in order: remembered ones at once, the others by processes with a time limit for each file."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from reeltune.contracts.clip import ClipInfo, FileRef
from reeltune.data.inspectors import Inspectors
from reeltune.data.memory import ClipMemory
from reeltune.errors import UnreadableFile

LIMIT_S = 30.0
"""The longest that looking at one file may take."""

MOST_PROCESSES = 4
FILES_PER_PROCESS = 8
"""A process takes as long to start as so many clips to be read."""

AHEAD = 16
"""Files fetched or looked at before their turn; more would fill the disk and the memory with what may not be used."""

Seen = ClipInfo | UnreadableFile


def inspect(
    files: Sequence[FileRef],
    *,
    memory: ClipMemory,
    fetch: Callable[[FileRef], Path],
    limit_s: float = LIMIT_S,
) -> Generator[Seen, None, None]:
    """Yield what each file holds, or why it cannot be read, in the order of the files.

    memory: asked first, and told what is found out; the caller saves it.
    fetch: returns where a file's bytes are; called from threads, ahead of time.
    """
    unknown = sum(memory.recall(file) is None for file in files)
    if unknown == 0:
        yield from (info for file in files if (info := memory.recall(file)))
        return
    number = min(os.cpu_count() or 1, MOST_PROCESSES, -(-unknown // FILES_PER_PROCESS))
    inspectors = Inspectors(number)
    fetching = ThreadPoolExecutor(MOST_PROCESSES, thread_name_prefix="fetch")
    looking = ThreadPoolExecutor(number, thread_name_prefix="inspect")

    def begin(file: FileRef) -> Future[Seen]:
        known = memory.recall(file)
        if known is not None:
            return _done(known)
        return looking.submit(_look, file, fetching.submit(fetch, file), inspectors, limit_s)

    try:
        yield from _in_order(files, begin, memory)
    finally:
        inspectors.close()
        for pool in (looking, fetching):
            pool.shutdown(wait=False, cancel_futures=True)


def _in_order(files: Sequence[FileRef], begin: Callable[[FileRef], Future[Seen]], memory: ClipMemory) -> Iterator[Seen]:
    begun: deque[tuple[FileRef, Future[Seen]]] = deque()
    for file in files:
        begun.append((file, begin(file)))
        if len(begun) >= AHEAD:
            yield _kept(*begun.popleft(), memory)
    while begun:
        yield _kept(*begun.popleft(), memory)


def _look(file: FileRef, fetched: Future[Path], inspectors: Inspectors, limit_s: float) -> Seen:
    try:
        path = fetched.result()
        # What was fetched has a date of its own; a local file must still be the one that was listed.
        listed = None if file.url else (file.size_bytes, file.mtime_ns)
        return inspectors.look(path, listed, limit_s=limit_s)
    except UnreadableFile as error:
        return error


def _kept(file: FileRef, future: Future[Seen], memory: ClipMemory) -> Seen:
    found = future.result()
    if isinstance(found, ClipInfo) and memory.recall(file) is None:
        memory.keep(file, found)
    return found


def _done(found: Seen) -> Future[Seen]:
    future: Future[Seen] = Future()
    future.set_result(found)
    return future
