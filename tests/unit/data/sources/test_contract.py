"""What every source promises, held against all of them with the same clips."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from helpers.datasets import dataset_in, write_files, write_table
from helpers.http_server import serve
from helpers.hub_server import REPOSITORY, serve_hub, use_hub
from helpers.s3_server import KEY, REGION, SECRET, S3Server
from reeltune.config.datasets import ClipDataset
from reeltune.contracts.source import Source
from reeltune.data.sources import open_source

CLIPS = {f"clip {n}.mp4": hashlib.blake2b(bytes([n])).digest() * (n + 30) for n in range(6)}
CAPTIONS = {name: f"a {name.removesuffix('.mp4')}, moving" for name in CLIPS}
FILES = CLIPS | {name.replace(".mp4", ".txt"): caption.encode() for name, caption in CAPTIONS.items()}

Make = Callable[[Path], ClipDataset]


@pytest.fixture(scope="module", autouse=True)
def _filled(s3: S3Server) -> None:
    s3.fill("contract", {f"set/{name}": data for name, data in FILES.items()})


@pytest.fixture(params=["local", "aws", "csv of paths", "csv of urls", "hub of files", "hub of rows", "folder of rows"])
def dataset(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3: S3Server
) -> Iterator[ClipDataset]:
    kind: str = request.param
    if kind == "local":
        yield dataset_in(tmp_path, instance_data_dir=str(write_files(tmp_path / "clips", FILES)))
    elif kind == "aws":
        yield dataset_in(tmp_path, **at_s3(s3, "contract", "set"))
    elif kind == "csv of paths":
        write_files(tmp_path / "clips", CLIPS)
        table = write_table(tmp_path / "clips/t.csv", ("file", "caption"), *CAPTIONS.items())
        yield dataset_in(tmp_path, type="csv", csv_file=str(table), caption_strategy="csv")
    elif kind == "csv of urls":
        with serve({f"/some/{name.replace(' ', '%20')}": data for name, data in CLIPS.items()}) as server:
            rows = [(f"{server.address}/some/{name.replace(' ', '%20')}", CAPTIONS[name]) for name in CLIPS]
            table = write_table(tmp_path / "t.tsv", ("url", "caption"), *rows)
            yield dataset_in(tmp_path, type="csv", csv_file=str(table), caption_strategy="csv")
    elif kind == "folder of rows":
        write_files(tmp_path / "set", {"data/train-00000-of-00001.parquet": shard()})
        yield hub_dataset(tmp_path, str(tmp_path / "set"))
    else:
        files = FILES if kind == "hub of files" else {"data/train-00000-of-00001.parquet": shard(), "README.md": b"#"}
        with serve_hub(files) as hub:
            use_hub(monkeypatch, hub, tmp_path / "hub")
            yield hub_dataset(tmp_path, REPOSITORY)


def at_s3(s3: S3Server, bucket: str, prefix: str) -> dict[str, Any]:
    return {
        "type": "aws",
        "aws_bucket_name": bucket,
        "aws_data_prefix": prefix,
        "aws_endpoint_url": s3.address,
        "aws_region_name": REGION,
        "aws_access_key_id": KEY,
        "aws_secret_access_key": SECRET,
    }


def hub_dataset(place: Path, name: str) -> ClipDataset:
    return dataset_in(place, type="huggingface", dataset_name=name, caption_strategy="huggingface")


def shard() -> bytes:
    clips = [{"bytes": data, "path": name} for name, data in CLIPS.items()]
    stream = io.BytesIO()
    parquet.write_table(pyarrow.table({"video": clips, "text": list(CAPTIONS.values())}), stream, row_group_size=4)
    return stream.getvalue()


def words(source: Source, dataset: ClipDataset) -> dict[str, str]:
    """Return the captions by the last part of the clips' names."""
    said = {}
    for entry in source.find().entries:
        text = source.text_beside(entry.file)
        beside = text.decode() if text is not None else ""
        said[own_name(entry.file.name)] = beside if entry.captions is None else " ".join(entry.captions)
    return said


def own_name(name: str) -> str:
    return PurePosixPath(name.replace("%20", " ")).name


def test_the_same_clips_have_the_same_names_captions_and_bytes_wherever_they_are(dataset: ClipDataset) -> None:
    source = open_source(dataset)
    assert isinstance(source, Source)
    found = source.find()
    assert found.passed == ()
    files = [entry.file for entry in found.entries]
    paths = [source.fetch(file) for file in files]
    assert {own_name(file.name): path.read_bytes() for file, path in zip(files, paths, strict=True)} == CLIPS
    assert paths == [file.path for file in files]
    assert words(source, dataset) == CAPTIONS
    assert all(file.size_bytes in (-1, path.stat().st_size) for file, path in zip(files, paths, strict=True))


def test_a_second_start_finds_the_same_and_fetches_nothing(dataset: ClipDataset) -> None:
    first = open_source(dataset)
    found = first.find()
    before = {first.fetch(entry.file): 0 for entry in found.entries}
    times = {path: path.stat().st_mtime_ns for path in before}
    again = open_source(dataset)
    assert again.find() == found
    assert [again.fetch(entry.file) for entry in found.entries] == list(before)
    assert {path: path.stat().st_mtime_ns for path in before} == times


def test_a_file_is_fetched_by_a_source_that_listed_nothing(dataset: ClipDataset) -> None:
    found = open_source(dataset).find()
    other = open_source(dataset)
    assert other.fetch(found.entries[3].file).read_bytes() == CLIPS["clip 3.mp4"]


def test_few_of_many_are_the_same_few_and_the_rest_is_named(dataset: ClipDataset) -> None:
    few = dataset.model_copy(update={"max_num_samples": 2})
    found = open_source(few).find()
    assert len(found.entries) == 2
    assert found == open_source(few).find()
    assert len(found.passed) == 4
    assert {passed.reason.partition(":")[0] for passed in found.passed} == {"not used"}
    more = open_source(dataset.model_copy(update={"max_num_samples": 3})).find()
    assert {entry.file.name for entry in found.entries} < {entry.file.name for entry in more.entries}
