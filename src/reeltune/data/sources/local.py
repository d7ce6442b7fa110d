"""Which files a dataset folder holds. Reads names only, and never writes into the folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from reeltune.config.datasets import ClipDataset
from reeltune.contracts.clip import FileRef
from reeltune.contracts.source import Found, Passed
from reeltune.data.sources.selection import by_kind, limited, only_tabled, refuse_nothing
from reeltune.data.sources.texts import read_beside
from reeltune.errors import DataError, UnreadableFile


class LocalSource:
    """The files of a folder and its subfolders.

    A subfolder that cannot be read is passed over with its reason, so that one lost permission does not stop a run
    that the rest of the folder can feed; the folder itself must be readable.
    """

    def __init__(self, dataset: ClipDataset) -> None:
        self._dataset = dataset
        self._folder = Path(dataset.instance_data_dir or "").expanduser()

    def find(self) -> Found:
        """List the folder. Raises DataError where it is missing, cannot be read, or holds nothing of its kind."""
        check_folder(self._folder)
        locked: list[OSError] = []
        files = list_files(self._folder, locked.append)
        for error in locked:
            if Path(error.filename) == self._folder:
                raise _locked(error) from error
        found = by_kind((file_ref(path, self._folder) for path in files), self._dataset)
        lost = tuple(Passed(Path(error.filename), f"unreadable: {_why(error)}") for error in locked)
        found = Found(found.entries, (*found.passed, *lost))
        found = refuse_nothing(found, self._dataset, files)
        return limited(only_tabled(found, self._dataset), self._dataset.max_num_samples)

    def fetch(self, file: FileRef) -> Path:
        """Return the file's own path. Raises UnreadableFile where it is gone, or is a link that leads nowhere."""
        return path_of(file)

    def text_beside(self, file: FileRef) -> bytes | None:
        """Return what clip.txt beside clip.mp4 holds; None without one. Raises DataError where it cannot be read."""
        return read_beside(file.path)


def file_ref(path: Path, folder: Path) -> FileRef:
    """Return a file below a folder as it is now."""
    try:
        status = path.stat()
    except OSError:
        # A link that leads nowhere is still listed: it then becomes a row that says it cannot be read.
        status = path.lstat()
    name = path.relative_to(folder).as_posix()
    return FileRef(path=path, size_bytes=status.st_size, mtime_ns=status.st_mtime_ns, name=name)


def path_of(file: FileRef) -> Path:
    """Return where a file of this machine is. Raises UnreadableFile where it is gone, or a link that leads nowhere."""
    if os.path.exists(file.path):
        return file.path
    if file.path.is_symlink():
        raise UnreadableFile(file.path, f"a link to {os.readlink(file.path)}, where nothing is; mend or delete it")
    raise UnreadableFile(file.path, "it is gone since it was listed; put it back or run the command again")


def check_folder(folder: Path) -> None:
    """Raise DataError for a folder that is not there."""
    if not folder.exists():
        where = "" if folder.is_absolute() else f" in {Path.cwd()}"
        raise DataError(
            f"dataset folder {folder} does not exist{where}; create it and put the clips there, "
            "or set instance_data_dir to the folder that holds them"
        )
    if not folder.is_dir():
        raise DataError(f"{folder} is a file; set instance_data_dir to its folder, {folder.parent}")


def list_files(folder: Path, onerror: Callable[[OSError], None] | None = None) -> list[Path]:
    """Return every file in a folder and its subfolders that is not hidden, by its path below the folder.

    onerror: called for subfolders that cannot be read; unset raises DataError for the first.
    """
    return sorted(_files(folder, onerror or _refuse), key=lambda path: path.relative_to(folder).as_posix())


def _files(folder: Path, onerror: Callable[[OSError], None]) -> Iterator[Path]:
    seen: set[tuple[int, int]] = set()
    for parent, subfolders, names in os.walk(folder, followlinks=True, onerror=onerror):
        # Device and inode name a folder however it was reached, so a link to a parent cannot loop.
        here = os.stat(parent)
        if (here.st_dev, here.st_ino) in seen:
            subfolders.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def _refuse(error: OSError) -> None:
    raise _locked(error) from error


def _locked(error: OSError) -> DataError:
    return DataError(f"folder {error.filename} {_why(error)}")


def _why(error: OSError) -> str:
    return (
        f"cannot be read: {error.strerror}; "
        "give this user the right to read and enter it (chmod u+rx), or move it out of the dataset"
    )
