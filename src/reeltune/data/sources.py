"""Which video files a dataset folder holds. Reads names only, and never writes into the folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reeltune.contracts.clip import FileRef
from reeltune.errors import DataError

EXTENSIONS = (".mp4", ".mkv", ".m4v", ".mov", ".webm", ".avi")
UNREAD = (".gif", ".webp", ".apng", ".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".avif", ".heic") + (
    (".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".3gp", ".ogv", ".vob")
)
"""Pictures and videos of kinds that are not read: each is named in the manifest, so that none vanishes."""


@dataclass(frozen=True)
class Media:
    """The videos of a folder, and the pictures and videos of kinds that are not read; each sorted by path below it."""

    videos: list[FileRef]
    unread: list[Path]


def find_media(folder: Path) -> Media:
    """List the videos and other media in a folder and its subfolders.

    Hidden files and folders are skipped. Symbolic links are followed; a folder reached twice is listed once.
    Raises DataError when the folder is missing, is not a folder, cannot be read, or holds no video.
    """
    _check_folder(folder)
    files = sorted(_files(folder), key=lambda path: path.relative_to(folder).as_posix())
    videos = [_file_ref(path) for path in files if path.suffix.lower() in EXTENSIONS]
    if not videos:
        raise DataError(_nothing_found(folder, files))
    return Media(videos, [path for path in files if path.suffix.lower() in UNREAD])


def _check_folder(folder: Path) -> None:
    if not folder.exists():
        where = "" if folder.is_absolute() else f" in {Path.cwd()}"
        raise DataError(
            f"dataset folder {folder} does not exist{where}; create it and put the clips there, "
            "or set instance_data_dir to the folder that holds them"
        )
    if not folder.is_dir():
        raise DataError(f"{folder} is a file; set instance_data_dir to its folder, {folder.parent}")


def _files(folder: Path) -> Iterator[Path]:
    seen: set[tuple[int, int]] = set()
    for parent, subfolders, names in os.walk(folder, followlinks=True, onerror=_refuse):
        # Device and inode name a folder however it was reached, so a link to a parent cannot loop.
        here = os.stat(parent)
        if (here.st_dev, here.st_ino) in seen:
            subfolders.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def _refuse(error: OSError) -> None:
    raise DataError(
        f"folder {error.filename} cannot be read: {error.strerror}; "
        "give this user the right to read and enter it (chmod u+rx), or move it out of the dataset"
    ) from error


def _nothing_found(folder: Path, files: list[Path]) -> str:
    kinds = Counter(path.suffix.lower() or "no extension" for path in files).most_common(5)
    others = f"{len(files)} other files are there ({', '.join(f'{count} {kind}' for kind, count in kinds)})"
    return (
        f"no video in {folder}: looked for {' '.join(EXTENSIONS)} in it and its subfolders; "
        f"{others if files else 'it holds no files'}. Put the clips there, or set instance_data_dir to their folder"
    )


def _file_ref(path: Path) -> FileRef:
    try:
        status = path.stat()
    except OSError:
        # A link that leads nowhere is still listed: it then becomes a row that says it cannot be read.
        status = path.lstat()
    return FileRef(path=path, size_bytes=status.st_size, mtime_ns=status.st_mtime_ns)
