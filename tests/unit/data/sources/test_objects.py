"""Buckets, at a real server on this machine."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers.datasets import dataset_in, names, reasons
from helpers.s3_server import KEY, REGION, SECRET, S3Server
from reeltune.data.sources import open_source
from reeltune.data.sources.store import ObjectStore
from reeltune.errors import DataError, UnreadableFile

DATA = bytes(range(256)) * 3
OBJECTS = {
    "set/a.mp4": DATA,
    "set/a.txt": b"a caption",
    "set/deep/b.mkv": DATA[::-1],
    "set/../../escape.mp4": b"outside?",
    "set/picture.png": b"p",
    "set/notes.txt": b"of no clip",
    "set/.hidden/c.mp4": b"h",
    "set/folder/": b"",
    "settled/d.mp4": b"another folder",
}


@pytest.fixture(scope="module", autouse=True)
def _filled(s3: S3Server) -> None:
    s3.fill("clips", OBJECTS)


def bucket(s3: S3Server, place: Path, **options: Any) -> Any:
    known = {"aws_bucket_name": "clips", "aws_data_prefix": "set", "aws_endpoint_url": s3.address}
    access = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "aws_region_name": REGION}
    return open_source(dataset_in(place, type="aws", **(known | access | options)))


def test_a_listing_tells_size_time_and_version_and_stays_in_its_folder(s3: S3Server, tmp_path: Path) -> None:
    source = bucket(s3, tmp_path)
    found = source.find()
    assert names(found) == ["../../escape.mp4", "a.mp4", "deep/b.mkv"]
    assert reasons(found).keys() == {"s3://clips/set/picture.png"}
    file = found.entries[1].file
    assert (file.size_bytes, file.url) == (len(DATA), "s3://clips/set/a.mp4")
    assert file.version == hashlib.md5(DATA).hexdigest()
    assert file.mtime_ns > 0
    escaped = source.fetch(found.entries[0].file)
    assert escaped.read_bytes() == b"outside?"
    assert escaped.resolve().is_relative_to(tmp_path / "cache/fetched")


def test_texts_are_fetched_once_and_one_that_is_not_there_is_never_asked_for(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    bring = ObjectStore.bring
    monkeypatch.setattr(ObjectStore, "bring", lambda self, path, *rest: (asked.append(path), bring(self, path, *rest)))
    for _ in range(2):
        source = bucket(s3, tmp_path)
        texts = [source.text_beside(entry.file) for entry in source.find().entries]
        assert texts == [None, b"a caption", None]
    assert asked == ["clips/set/a.txt"]


def test_a_new_version_is_fetched_and_the_old_one_is_not_taken_for_it(s3: S3Server, tmp_path: Path) -> None:
    s3.client.put_object(Bucket="clips", Key="changing/a.mp4", Body=b"first")
    before = bucket(s3, tmp_path, aws_data_prefix="changing")
    (old,) = before.find().entries
    assert before.fetch(old.file).read_bytes() == b"first"
    s3.client.put_object(Bucket="clips", Key="changing/a.mp4", Body=b"other")
    after = bucket(s3, tmp_path, aws_data_prefix="changing")
    (new,) = after.find().entries
    assert new.file.version != old.file.version
    assert after.fetch(new.file).read_bytes() == b"other"


def test_what_changed_or_went_away_since_the_listing_is_unreadable_and_leaves_nothing(
    s3: S3Server, tmp_path: Path
) -> None:
    s3.client.put_object(Bucket="clips", Key="moving/a.mp4", Body=b"first")
    source = bucket(s3, tmp_path, aws_data_prefix="moving")
    (entry,) = source.find().entries
    s3.client.put_object(Bucket="clips", Key="moving/a.mp4", Body=b"other")
    with pytest.raises(UnreadableFile, match="its bytes are not those that were listed"):
        source.fetch(entry.file)
    s3.client.put_object(Bucket="clips", Key="moving/a.mp4", Body=b"longer")
    with pytest.raises(UnreadableFile, match="bytes"):
        source.fetch(entry.file)
    s3.client.delete_object(Bucket="clips", Key="moving/a.mp4")
    with pytest.raises(UnreadableFile, match="not there any more"):
        source.fetch(entry.file)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_an_upload_in_parts_is_told_by_its_size_alone(s3: S3Server, tmp_path: Path) -> None:
    upload = s3.client.create_multipart_upload(Bucket="clips", Key="parts/a.mp4")["UploadId"]
    common = {"Bucket": "clips", "Key": "parts/a.mp4", "UploadId": upload}
    tag = s3.client.upload_part(**common, PartNumber=1, Body=DATA)["ETag"]
    s3.client.complete_multipart_upload(**common, MultipartUpload={"Parts": [{"ETag": tag, "PartNumber": 1}]})
    source = bucket(s3, tmp_path, aws_data_prefix="parts")
    (entry,) = source.find().entries
    assert entry.file.version.endswith("-1")
    assert source.fetch(entry.file).read_bytes() == DATA


def test_keys_come_from_the_environment_where_none_are_set(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    source = bucket(s3, tmp_path, aws_access_key_id=None, aws_secret_access_key=None)
    assert len(source.find().entries) == 3


def test_a_bucket_that_is_not_there_says_what_to_check(s3: S3Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="s3://none/set is not there; check aws_bucket_name"):
        bucket(s3, tmp_path, aws_bucket_name="none").find()
    with pytest.raises(DataError, match=r"s3://clips/empty.*aws_data_prefix"):
        bucket(s3, tmp_path, aws_data_prefix="empty").find()


def test_failures_are_tried_again_and_no_key_is_in_what_is_said(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = bucket(s3, tmp_path)
    entry = source.find().entries[1]
    files = source._store._files
    get_file, failures = files.get_file, [1, 2]

    def failing(path: str, target: str) -> None:
        if failures:
            failures.pop()
            raise ConnectionError(f"lost {KEY} {SECRET} http://me:pw@host/x?X-Amz-Signature=abc")
        get_file(path, target)

    monkeypatch.setattr(files, "get_file", failing)
    assert source.fetch(entry.file).read_bytes() == DATA
    source.fetch(entry.file).unlink()
    failures[:] = [1, 2, 3]
    with pytest.raises(UnreadableFile) as caught:
        source.fetch(entry.file)
    shown = f"{caught.value} {source!r} {entry!r} {source._store!r}"
    assert "lost *** *** http://host/x" in shown
    assert not any(secret in shown for secret in (KEY, SECRET, "abc", "pw"))


def test_without_the_package_its_name_is_said(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(DataError, match=r"pip install 'reeltune\[s3\]'"):
        bucket(s3, tmp_path).find()
