"""Object stores that speak the language of S3, through s3fs: what is there, and one object's bytes.

Keys that are not set come from AWS's own environment variables and files. They are in no message and in no record.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from reeltune.config.datasets import ClipDataset
from reeltune.data.sources.tries import Broken, Refused, words_of
from reeltune.errors import DataError

CONNECT_S, READ_S = 10, 60
"""Seconds to wait for a server's first word, and for its next."""

_DISK = (errno.ENOSPC, errno.EDQUOT)
_MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class StoredObject:
    """One object as a listing shows it. etag: without its quotation marks."""

    key: str
    size_bytes: int
    etag: str
    mtime_ns: int


class ObjectStore:
    """One server with the access that a dataset has to it."""

    def __init__(self, dataset: ClipDataset) -> None:
        self._dataset = dataset

    def list(self, bucket: str, prefix: str) -> Iterator[StoredObject]:
        """Give every object below a folder of a bucket, in the order of their keys.

        Raises DataError for a bucket that is not there or not open to us, and Broken for a network that is down.
        """
        place = f"s3://{bucket}/{prefix}".rstrip("/")
        try:
            found = self._files.find(place, detail=True, refresh=True)
        except FileNotFoundError as error:
            raise DataError(
                f"{place} is not there; check aws_bucket_name, aws_data_prefix and aws_endpoint_url"
            ) from error
        except PermissionError as error:
            raise DataError(
                f"{place} may not be read: {self._words(error)}; check aws_access_key_id and aws_secret_access_key, or "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and their right to list the bucket"
            ) from error
        except Exception as error:
            raise Broken(self._words(error)) from error
        return (_stored(path, known) for path, known in sorted(found.items()))

    def look(self, path: str) -> StoredObject:
        """Return one object of `bucket/key`. Raises Broken or Refused."""
        try:
            return _stored(path, self._files.info(path))
        except Exception as error:
            raise self._failure(error) from error

    def bring(self, path: str, target: Path, etag: str) -> None:
        """Write the bytes of `bucket/key` to a file. Raises Broken or Refused; Broken where the checksum differs."""
        try:
            self._files.get_file(path, str(target))
        except Exception as error:
            if isinstance(error, OSError) and (error.errno in _DISK or error.filename == str(target)):
                raise
            raise self._failure(error) from error
        # Other etags than MD5 sums of the whole are those of uploads in parts and of keys that the server keeps.
        if _MD5.fullmatch(etag) and _md5(target) != etag and not self._is_encrypted(path):
            raise Broken("its bytes are not those that were listed; it changed, or broke on the way")

    def _is_encrypted(self, path: str) -> bool:
        bucket, _, key = path.partition("/")
        try:
            head = self._files.call_s3("head_object", Bucket=bucket, Key=key)
        except Exception as error:
            raise self._failure(error) from error
        return "kms" in head.get("ServerSideEncryption", "") or "SSECustomerAlgorithm" in head

    def _failure(self, error: Exception) -> Broken | Refused:
        if isinstance(error, FileNotFoundError):
            return Refused("it is not there any more; put it back, or run the command again to list what is there")
        if isinstance(error, PermissionError):
            return Refused(f"it may not be read: {self._words(error)}; check the keys' right to read objects")
        return Broken(f"the server did not give it: {self._words(error)}; run the command again")

    def _words(self, error: Exception) -> str:
        """Return what a client says, without keys."""
        text = words_of(error)
        dataset = self._dataset
        named = (os.environ.get(name) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"))
        for secret in (dataset.aws_access_key_id, dataset.aws_secret_access_key, *named):
            text = text.replace(secret, "***") if secret else text
        return text

    @cached_property
    def _files(self) -> Any:
        try:
            from s3fs import S3FileSystem
        except ImportError as error:
            raise DataError(
                f"dataset {self._dataset.id} is in an object store, which needs the package s3fs; "
                "run: pip install 'reeltune[s3]'"
            ) from error
        region = self._dataset.aws_region_name
        return S3FileSystem(
            key=self._dataset.aws_access_key_id,
            secret=self._dataset.aws_secret_access_key,
            endpoint_url=self._dataset.aws_endpoint_url,
            client_kwargs={"region_name": region} if region else {},
            config_kwargs={"connect_timeout": CONNECT_S, "read_timeout": READ_S, "retries": {"max_attempts": 1}},
            # Several parts at once would each take memory, and clips are fetched several at once already.
            max_concurrency=1,
            use_listings_cache=False,
            skip_instance_cache=True,
        )


def _stored(path: str, known: dict[str, Any]) -> StoredObject:
    changed = known.get("LastModified")
    mtime_ns = int(changed.timestamp()) * 10**9 if isinstance(changed, datetime) else 0
    return StoredObject(path.partition("/")[2], known["size"], known.get("ETag", "").strip('"'), mtime_ns)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
