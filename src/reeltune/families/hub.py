"""Files of a repository on the hub, fetched into the hub's own cache.

The hub's environment variables are respected: HF_ENDPOINT, HF_HOME, HF_HUB_OFFLINE, HF_TOKEN.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from reeltune.errors import ModelError
from reeltune.secrets import without_secrets


def is_repository(source: str) -> bool:
    """Tell whether a name has the form of a hub repository, `owner/name`."""
    return re.fullmatch(r"[\w.-]+/[\w.-]+", source) is not None


def cached_file(source: str, name: str, revision: str | None = None) -> Path | None:
    """Return a file of a repository when it was fetched before; no network."""
    from huggingface_hub import try_to_load_from_cache

    try:
        file = try_to_load_from_cache(source, name, revision=revision)
    except HFValidationError:
        return None  # a name that the hub would not take either
    return Path(file) if isinstance(file, str) else None


def fetch(source: str, files: Sequence[str], revision: str | None = None) -> Path:
    """Return the folder of a repository's snapshot, after fetching what is not in the cache yet.

    source: `owner/name`. files: patterns of the names that are needed. revision: branch, tag or commit; None is the
    newest. Raises ModelError for whatever goes wrong.
    """
    from huggingface_hub import snapshot_download

    if not is_repository(source):
        raise ModelError(f"{source} is neither a folder nor a hub repository of the form owner/name.")
    try:
        return Path(snapshot_download(source, allow_patterns=list(files), revision=revision))
    # All of them: the clients below (HTTP, Xet) have their own kinds of failure, which no common class names.
    except Exception as error:
        raise ModelError(_what_to_do(source, error)) from error


def _what_to_do(source: str, error: Exception) -> str:
    """Say what went wrong and what to type. The order matters: most of these are OSErrors too."""
    if isinstance(error, GatedRepoError):
        return f"{source} needs permission: ask for it on its page, then run: hf auth login"
    if isinstance(error, RepositoryNotFoundError | HFValidationError):
        return (
            f"{source} is not on the hub ({constants.ENDPOINT}), or needs a login (hf auth login), "
            "and no folder of that name is here. Check pretrained_model_name_or_path."
        )
    if isinstance(error, RevisionNotFoundError):
        return f"{source} has no such branch, tag or commit. Check revision."
    if isinstance(error, LocalEntryNotFoundError | HfHubHTTPError):
        return (
            f"{source} is no folder here, and the hub ({constants.ENDPOINT}) did not give it: {_first_line(error)} "
            f"Check the connection, HF_HUB_OFFLINE and HF_ENDPOINT, or fetch it elsewhere: hf download {source}"
        )
    if _disk_is_full(error):
        return (
            f"{source}: the disk of {constants.HF_HUB_CACHE} is full. Make room, or set HF_HOME to a folder on another "
            "disk, then run the same command again, it continues with the files that are missing."
        )
    if isinstance(error, PermissionError):
        return f"{source} cannot be stored: {error}. Give permission, or set HF_HOME to a folder of your own."
    return (
        f"{source}: the download from {constants.ENDPOINT} broke off: {_first_line(error)}; "
        "run the same command again, it continues with the files that are missing."
    )


def _disk_is_full(error: Exception) -> bool:
    # Xet reports the disk in words only, and others wrap the OSError that tells.
    return any(
        getattr(cause, "errno", None) in {errno.ENOSPC, errno.EDQUOT} or "No space left on device" in str(cause)
        for cause in _chain(error)
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _first_line(error: Exception) -> str:
    """Return the first line of a message, without signatures in addresses, or the name of its kind when it has none."""
    return without_secrets(str(error).strip().partition("\n")[0]) or type(error).__name__
