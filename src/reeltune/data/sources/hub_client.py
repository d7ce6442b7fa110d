"""One dataset repository of the Hub, through huggingface_hub: its commits, its files, their bytes.

HF_ENDPOINT and HF_TOKEN are read when a repository is opened; HF_HOME and HF_HUB_OFFLINE as the library reads them.
"""

from __future__ import annotations

import errno
import logging
import os
import re
from io import IOBase
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from reeltune.data.sources.tries import Broken, Refused, tried, words_of
from reeltune.errors import DataError
from reeltune.remembered import keep, recall

log = logging.getLogger(__name__)

_BLOCK = 4 * 2**20
"""Bytes that are asked for at once where a file is read in parts."""


class HubClient:
    """What is asked of one repository."""

    def __init__(self, repository: str) -> None:
        self.repository = repository
        self._endpoint = os.environ.get("HF_ENDPOINT") or None

    @property
    def cache(self) -> Path:
        """Return the Hub's own cache on this machine."""
        from huggingface_hub import constants

        return Path(constants.HF_HUB_CACHE)

    def commit(self, revision: str | None, folder: Path) -> str:
        """Return the commit that a revision names, or named when the Hub could last be asked. Raises DataError."""
        if revision is not None and re.fullmatch(r"[0-9a-f]{40}", revision):
            return revision
        key = ("commit", self.repository, revision or "")
        try:
            commit = tried(lambda: self._ask_for_commit(revision))
        except Refused as error:
            raise DataError(str(error)) from error
        except Broken as error:
            known = recall(folder, key)
            if known is None:
                raise DataError(
                    f"the dataset {self.repository} cannot be listed: {error}; check the connection, HF_HUB_OFFLINE "
                    "and HF_ENDPOINT, or fetch it elsewhere and set dataset_name to its folder"
                ) from error
            log.warning("dataset %s: %s; its last known commit %s is used", self.repository, error, known[:8])
            return known
        keep(folder, key, commit)
        return commit

    def list(self, commit: str) -> list[tuple[str, int, str]]:
        """Return name, size and version of every file, by name. Raises DataError."""
        try:
            found = tried(lambda: self._ask_for_files(commit))
        except (Broken, Refused) as error:
            raise DataError(f"the dataset {self.repository} cannot be listed: {error}") from error
        return sorted(found)

    def cached(self, name: str, commit: str) -> Path:
        """Return where the Hub's client puts a file on this machine."""
        from huggingface_hub.file_download import repo_folder_name

        folder = repo_folder_name(repo_id=self.repository, repo_type="dataset")
        return self.cache / folder / "snapshots" / commit / name

    def download(self, name: str, commit: str) -> Path:
        """Return a file's path in the Hub's cache, fetched. Raises Broken, Refused, or OSError for a full disk."""
        from huggingface_hub import hf_hub_download

        try:
            path = hf_hub_download(
                self.repository,
                name,
                repo_type="dataset",
                revision=commit,
                endpoint=self._endpoint,
                tqdm_class=_silent_bar(),
            )
        # All of them: the clients below (HTTP, Xet) have their own kinds of failure, which no common class names.
        except Exception as error:
            self._fail(error)
        return Path(path)

    def open(self, name: str, commit: str) -> IOBase:
        """Open a file for reading in parts. Raises Broken or Refused."""
        from huggingface_hub import HfFileSystem

        try:
            files = HfFileSystem(endpoint=self._endpoint)
            path = f"datasets/{self.repository}@{commit}/{name}"
            return files.open(path, "rb", block_size=_BLOCK, cache_type="readahead")
        except Exception as error:
            self._fail(error)

    def _ask_for_commit(self, revision: str | None) -> str:
        try:
            return self._api.dataset_info(self.repository, revision=revision, timeout=30).sha or ""
        except Exception as error:
            self._fail(error)

    def _ask_for_files(self, commit: str) -> list[tuple[str, int, str]]:
        from huggingface_hub.hf_api import RepoFile

        try:
            tree = self._api.list_repo_tree(self.repository, recursive=True, revision=commit, repo_type="dataset")
            files = [file for file in tree if isinstance(file, RepoFile)]
        except Exception as error:
            self._fail(error)
        return [(file.path, file.size, file.blob_id) for file in files if _is_shown(file.path)]

    @property
    def _api(self) -> Any:
        from huggingface_hub import HfApi

        return HfApi(endpoint=self._endpoint)

    def _fail(self, error: Exception) -> NoReturn:
        """Raise what a client's failure means. The order matters: most of its errors are of several kinds."""
        from huggingface_hub import constants
        from huggingface_hub.errors import (
            EntryNotFoundError,
            GatedRepoError,
            HFValidationError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )

        name, hub = self.repository, self._endpoint or constants.ENDPOINT
        if isinstance(error, GatedRepoError):
            raise Refused(
                f"the dataset {name} needs permission: ask for it on its page, then run: hf auth login"
            ) from error
        if isinstance(error, RepositoryNotFoundError | HFValidationError):
            raise Refused(
                f"the dataset {name} is not on the hub ({hub}), or needs a login (hf auth login), and no folder of "
                "that name is here; check dataset_name"
            ) from error
        if isinstance(error, RevisionNotFoundError):
            raise Refused(f"the dataset {name} has no such branch, tag or commit; check revision") from error
        if isinstance(error, LocalEntryNotFoundError):
            raise Broken(f"the hub ({hub}) cannot be reached, and it was not fetched before") from error
        if isinstance(error, EntryNotFoundError):
            raise Refused("the hub has no such file any more; run the command again") from error
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise error
        raise Broken(f"the hub ({hub}) did not give it: {words_of(error)}") from error


def _is_shown(name: str) -> bool:
    """Tell whether a name is one that a file may have here: not hidden, and inside its folder."""
    parts = PurePosixPath(name).parts
    return not name.startswith("/") and "\\" not in name and not any(part.startswith(".") for part in parts)


def _silent_bar() -> Any:
    """Return a bar that shows nothing: several files come at once, and the scan has its own."""
    from tqdm import tqdm

    class Silent(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(
                *args, **{key: options[key] for key in ("total", "initial") if key in options}, disable=True
            )

    return Silent
