"""Files of other places, kept on this machine: whole or not there at all, and fetched once per version.

A file's place is a folder named after where it comes from and which version it is, so that no name, whatever it says,
leads out of the mirror; a new version never meets the old one's bytes; and what is there needs no second look. A file
counts until it is deleted by hand.
"""

from __future__ import annotations

import errno
import hashlib
import os
import posixpath
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath

from reeltune.config.datasets import ClipDataset
from reeltune.contracts.clip import FileRef
from reeltune.data.sources.tries import Broken, Refused, tried
from reeltune.errors import ShortageError, UnreadableFile
from reeltune.whole_files import whole_file

FOLDER = "fetched"
"""In a dataset's cache_dir_vae."""

LONGEST_NAME = 150
"""Bytes of a file's own name, with room for what it is called while it is written."""

AT_ONCE = 8
"""Small files that are fetched at the same time."""

Bring = Callable[[FileRef, Path], None]
"""Writes a file's bytes to a path. Raises Broken or Refused."""


def mirror_folder(dataset: ClipDataset) -> Path:
    """Return where a dataset's fetched files lie."""
    own = dataset.csv_cache_dir if dataset.type == "csv" else None
    return Path(own or Path(dataset.cache_dir_vae) / FOLDER).expanduser()


class Mirror:
    """The files of one dataset that were fetched, or will be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # By text: comparing two paths runs Python code, between whose lines another thread could make a second lock.
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def placed(self, file: FileRef, own_name: str = "") -> FileRef:
        """Return a file of another place with the path that its bytes will have here.

        own_name: what it is called there, with the extension that says what it is; unset takes the end of its name.
        """
        identity = "\n".join((file.url, file.name, file.version))
        digest = hashlib.blake2b(identity.encode(errors="surrogateescape"), digest_size=12).hexdigest()
        return replace(file, path=self.folder / digest / _safe(own_name or file.name))

    def fetch(self, file: FileRef, bring: Bring) -> Path:
        """Return the path of a file's bytes, brought here unless they are.

        Raises UnreadableFile with what went wrong after three tries, ShortageError for a full or locked disk.
        """
        with self._locks[str(file.path)]:
            if not is_whole(file):
                try:
                    tried(lambda: _bring_whole(file, bring))
                except (Broken, Refused) as error:
                    with suppress(OSError):
                        file.path.parent.rmdir()
                    raise UnreadableFile(file.path, str(error)) from error
                except OSError as error:
                    raise shortage(error, self.folder) from error
        return file.path


def fetch_all(files: Sequence[FileRef], fetch: Callable[[FileRef], Path]) -> None:
    """Bring many small files at once. What fails is left for the next `fetch` to report."""

    def fetched(file: FileRef) -> None:
        with suppress(UnreadableFile):
            fetch(file)

    missing = [file for file in files if not is_whole(file)]
    if missing:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(fetched, missing))


def is_whole(file: FileRef) -> bool:
    """Tell whether a file's bytes are on this machine."""
    try:
        size = file.path.stat().st_size
    except OSError:
        return False
    return file.size_bytes in (-1, size)


def shortage(error: OSError, folder: Path) -> ShortageError:
    """Say what keeps fetched files from being written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ShortageError(
            f"the disk of {folder} is full; make room, or set cache_dir_vae to a folder on another one"
        )
    return ShortageError(f"fetched files cannot be written into {folder}: {error}; set cache_dir_vae to another folder")


def _bring_whole(file: FileRef, bring: Bring) -> None:
    with whole_file(file.path) as draft:
        bring(file, draft)
        came = draft.stat().st_size
        if file.size_bytes not in (-1, came):
            raise Broken(f"{came} bytes came instead of the {file.size_bytes} that were listed; run the command again")


def _safe(name: str) -> str:
    """Return the last part of a name as one that a file can have, with its extension."""
    own = PurePosixPath(name.replace("\\", "/").replace("\0", "")).name
    stem, kind = posixpath.splitext(own)
    while len(os.fsencode(stem)) > LONGEST_NAME:
        stem = stem[:-1]
    return f"{stem.lstrip('.') or 'file'}{kind[:16]}"
