"""The files of a bucket: Amazon's S3, and every store that speaks its language. One listing tells all there is."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path, PurePosixPath

from reeltune.config.datasets import ClipDataset
from reeltune.contracts.clip import FileRef
from reeltune.contracts.source import Found
from reeltune.data.sources.mirror import Mirror, mirror_folder
from reeltune.data.sources.selection import by_kind, limited, only_tabled, refuse_nothing
from reeltune.data.sources.store import ObjectStore
from reeltune.data.sources.texts import FetchedTexts
from reeltune.data.sources.tries import Broken, tried
from reeltune.errors import DataError


class ObjectSource:
    """The objects below aws_data_prefix. A clip is named by its key below that prefix."""

    def __init__(self, dataset: ClipDataset) -> None:
        self._dataset = dataset
        self._store = ObjectStore(dataset)
        self._mirror = Mirror(mirror_folder(dataset))
        self._bucket = dataset.aws_bucket_name or ""
        self._prefix = dataset.aws_data_prefix.strip("/")

    def find(self) -> Found:
        """List the bucket. Raises DataError where that cannot be done, or nothing is of the dataset's kind."""
        files = self._files
        found = by_kind(files, self._dataset)
        found = refuse_nothing(found, self._dataset, [PurePosixPath(file.name) for file in files])
        return limited(only_tabled(found, self._dataset), self._dataset.max_num_samples)

    def fetch(self, file: FileRef) -> Path:
        """Return the path of an object's bytes, brought here unless they are. Raises UnreadableFile."""
        return self._mirror.fetch(file, self._bring)

    def text_beside(self, file: FileRef) -> bytes | None:
        """Return the object clip.txt beside clip.mp4; None without one. Raises DataError where it cannot be read."""
        return self._texts.beside(file)

    @cached_property
    def _files(self) -> list[FileRef]:
        try:
            return tried(self._list)
        except Broken as error:
            raise DataError(
                f"{self._dataset.place} cannot be listed: {error}; check the connection and aws_endpoint_url"
            ) from error

    def _list(self) -> list[FileRef]:
        start = f"{self._prefix}/" if self._prefix else ""
        listed = []
        for stored in self._store.list(self._bucket, self._prefix):
            name = stored.key.removeprefix(start)
            if not stored.key.startswith(start) or _is_hidden(name):
                continue
            url = f"s3://{self._bucket}/{stored.key}"
            file = FileRef(Path(), stored.size_bytes, stored.mtime_ns, url, stored.etag, name)
            listed.append(self._mirror.placed(file))
        return listed

    @cached_property
    def _texts(self) -> FetchedTexts:
        return FetchedTexts(self._files, self.fetch)

    def _bring(self, file: FileRef, target: Path) -> None:
        self._store.bring(file.url.removeprefix("s3://"), target, file.version)


def _is_hidden(name: str) -> bool:
    # A name that ends in a slash is how some programs mark a folder.
    return name.endswith("/") or any(part.startswith(".") and part.strip(".") for part in name.split("/"))
