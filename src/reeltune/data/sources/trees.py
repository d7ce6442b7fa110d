"""A dataset as people publish one, files in folders: on this machine, or a repository of the Hub at one commit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from io import IOBase
from pathlib import Path
from typing import Protocol, runtime_checkable

from reeltune.contracts.clip import FileRef
from reeltune.data.sources.hub_client import HubClient
from reeltune.data.sources.local import check_folder, file_ref, list_files, path_of
from reeltune.data.sources.mirror import is_whole, shortage
from reeltune.data.sources.tries import Broken, Refused, tried
from reeltune.errors import UnreadableFile
from reeltune.remembered import remembered


@runtime_checkable
class Tree(Protocol):
    """Files in folders. place: what a person would open."""

    place: str

    def list(self) -> Sequence[FileRef]:
        """Return all files that are not hidden, by name. Raises DataError where they cannot be listed."""
        ...

    def fetch(self, file: FileRef) -> Path:
        """Return where a file's bytes are on this machine. Raises UnreadableFile."""
        ...

    def open(self, file: FileRef) -> IOBase:
        """Open a file for reading here and there, without fetching all of it. Raises Broken or Refused."""
        ...


class FolderTree:
    """A folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.place = folder, str(folder)

    def list(self) -> Sequence[FileRef]:
        check_folder(self._folder)
        return [file_ref(path, self._folder) for path in list_files(self._folder)]

    def fetch(self, file: FileRef) -> Path:
        return path_of(file)

    def open(self, file: FileRef) -> IOBase:
        try:
            return file.path.open("rb")
        except OSError as error:
            raise Refused(f"{file.path} cannot be read: {error.strerror}") from error


class HubTree:
    """A repository at the commit that its revision names when it is first asked.

    Files are fetched into the Hub's own cache, where `hf download` puts them too. folder: where the list of files of a
    commit is kept, so that it is asked for once; and the last commit, for when the Hub cannot be reached.
    """

    def __init__(self, repository: str, revision: str | None, folder: Path) -> None:
        self._repository, self._revision, self._folder = repository, revision, folder
        self._client = HubClient(repository)
        self.place = f"hf://datasets/{repository}"

    @cached_property
    def commit(self) -> str:
        return self._client.commit(self._revision, self._folder)

    def list(self) -> Sequence[FileRef]:
        key = ("files", self._repository, self.commit)
        listed = remembered(self._folder, key, lambda: self._client.list(self.commit))
        return [self._file(name, size, version) for name, size, version in listed]

    def fetch(self, file: FileRef) -> Path:
        if is_whole(file):
            return file.path
        try:
            return tried(lambda: self._client.download(file.name, self.commit))
        except (Broken, Refused) as error:
            raise UnreadableFile(file.path, str(error)) from error
        except OSError as error:
            raise shortage(error, self._client.cache) from error

    def open(self, file: FileRef) -> IOBase:
        return file.path.open("rb") if is_whole(file) else self._client.open(file.name, self.commit)

    def _file(self, name: str, size: int, version: str) -> FileRef:
        path = self._client.cached(name, self.commit)
        return FileRef(path, size, 0, f"{self.place}/{name}", f"{self.commit}/{version}", name)
