"""Tables of paths and addresses, with a server on this machine that fails in every way."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from helpers.datasets import dataset_in, names, reasons, write_files, write_table
from helpers.http_server import FileServer, broken_off, other_file, redirect, serve, stall, status
from helpers.s3_server import KEY, REGION, SECRET, S3Server
from reeltune.contracts.source import Source
from reeltune.data.sources import open_source, web
from reeltune.errors import DataError, UnreadableFile

DATA = bytes(range(256)) * 40
FILES = {"/a.mp4": DATA, "/b.mp4": DATA[::-1], "/bare": DATA, "/page": b"<html>", "/c.png": b"p"}


@pytest.fixture
def web_files() -> Iterator[FileServer]:
    with serve(FILES) as server:
        yield server


def table(place: Path, *rows: tuple[Any, ...], columns: tuple[str, ...] = ("url",), **options: Any) -> Source:
    path = write_table(place / "t.csv", columns, *rows)
    return open_source(dataset_in(place, type="csv", csv_file=str(path), **options))


def answers_in(place: Path) -> Path:
    """Return the file that what servers said is remembered in."""
    (found,) = (place / "cache/fetched").glob("addresses-*.json")
    return found


def first(source: Source) -> Any:
    return source.find().entries[0].file


def test_paths_stay_in_their_folder_and_every_row_is_accounted_for(tmp_path: Path) -> None:
    write_files(tmp_path, {"clips/a.mp4": b"a", "outside.mp4": b"o", "clips/n.txt": b"n", "clips/p.png": b"p"})
    rows = ["a.mp4", "sub/../a.mp4", "../outside.mp4", "/etc/passwd", "", "gone.mp4", "n.txt", "p.png", "ftp://h/x.mp4"]
    source = table(
        tmp_path, *((row, "x") for row in rows), columns=("path", "caption"), instance_data_dir=str(tmp_path / "clips")
    )
    found = source.find()
    assert names(found) == ["a.mp4"]
    assert len(found.entries) + len(found.passed) == len(rows)
    assert {place: reason.partition(":")[0] for place, reason in reasons(found).items()} == {
        str(tmp_path / "t.csv") + " row 2": "listed twice",
        "../outside.mp4": "not read",
        "/etc/passwd": "not read",
        str(tmp_path / "t.csv") + " row 5": "no path",
        "gone.mp4": "missing",
        str(tmp_path / "clips/n.txt"): "not read",
        str(tmp_path / "clips/p.png"): "not read",
        "ftp://h/x.mp4": "not read",
    }
    assert "leads out of" in reasons(found)["../outside.mp4"]
    absolute = table(tmp_path, (str(tmp_path / "clips/a.mp4"),), instance_data_dir=str(tmp_path / "clips"))
    assert names(absolute.find()) == ["a.mp4"]


@pytest.mark.parametrize("kind", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_captions_come_from_one_column_or_several_of_any_kind_of_table(tmp_path: Path, kind: str) -> None:
    write_files(tmp_path, {f"{name}.mp4": b"x" for name in "abc"})
    rows = [
        {"file_name": "a.mp4", "long": "a dog runs", "short": "dog"},
        {"file_name": "b.mp4", "long": None, "short": "cat"},
        {"file_name": "c.mp4", "long": None, "short": None},
    ]
    path = tmp_path / f"t{kind}"
    if kind == ".parquet":
        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif kind == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        write_table(path, tuple(rows[0]), *(row.values() for row in rows))
    dataset = dataset_in(tmp_path, type="csv", csv_file=str(path), caption_strategy="csv")
    both = open_source(dataset.model_copy(update={"csv_caption_column": ("long", "short")}))
    assert [entry.captions for entry in both.find().entries] == [("a dog runs", "dog"), ("cat",), ()]
    one = open_source(dataset.model_copy(update={"csv_caption_column": "short"}))
    assert [entry.captions for entry in one.find().entries] == [("dog",), ("cat",), ()]


def test_rows_about_one_file_each_give_it_their_captions(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.mp4": b"a"})
    rows = [("a.mp4", "a dog"), ("./a.mp4", "a running dog"), ("a.mp4", "a dog")]
    found = table(tmp_path, *rows, columns=("path", "caption"), caption_strategy="csv").find()
    assert [entry.captions for entry in found.entries] == [("a dog", "a running dog")]
    assert [str(one.path) for one in found.passed] == [f"{tmp_path / 't.csv'} row 3"]


def test_a_column_that_is_not_there_is_an_error_that_names_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="set csv_path_column to one of: where, what"):
        table(tmp_path, ("a", "b"), columns=("where", "what")).find()
    with pytest.raises(DataError, match="has no column caption; set csv_caption_column to one of: url, words"):
        table(tmp_path, ("a", "b"), columns=("url", "words"), caption_strategy="csv").find()


def test_kinds_come_from_the_address_or_else_from_what_the_server_says(web_files: FileServer, tmp_path: Path) -> None:
    web_files.kinds |= {"/bare": "video/webm", "/page": "text/html"}
    at = web_files.address
    found = table(tmp_path, *((f"{at}/{name}",) for name in ("a.mp4", "bare", "page", "c.png", "none.mp4"))).find()
    assert [entry.file.path.name for entry in found.entries] == ["a.mp4", "bare.webm"]
    assert reasons(found) == {
        f"{at}/page": "not read: its address has no known extension, and its server calls it text/html",
        f"{at}/c.png": "not read: a picture in a dataset of type video; name it in one of type image",
        f"{at}/none.mp4": "not reached: the server answers 404 Not Found; correct the address, or take the row out",
    }


@pytest.mark.parametrize(
    "failures",
    [[status(500), status(503)], [broken_off(DATA, 100), broken_off(DATA, 0)], [redirect("/b.mp4")]],
    ids=["500", "broken off", "redirect"],
)
def test_a_failure_that_passes_is_overcome(web_files: FileServer, tmp_path: Path, failures: list[Any]) -> None:
    web_files.content = {"/a.mp4": DATA, "/b.mp4": DATA}
    web_files.answers["/a.mp4"] = failures
    source = table(tmp_path, (f"{web_files.address}/a.mp4",))
    assert source.fetch(first(source)).read_bytes() == DATA
    assert web_files.answers["/a.mp4"] == []


@pytest.mark.parametrize(
    ("failures", "reason", "gets"),
    [
        ([status(500)] * 3, "the server answers 500 Internal Server Error; try again later", 3),
        ([status(404)], "the server answers 404 Not Found; correct the address", 1),
        ([status(403)], "the server answers 403 Forbidden; it is not open to us", 1),
        ([broken_off(DATA, 100)] * 3, "the connection broke off before the end", 3),
        ([other_file(DATA[:50])], "the file was changed on its server since it was listed", 1),
        ([redirect("/a.mp4")] * 30, "the address leads nowhere", 10),
        ([stall(DATA, 100, 0.6)] * 3, "the server fell silent for 0.1 s", 3),
    ],
    ids=["500", "404", "403", "broken off", "wrong length", "redirects", "silence"],
)
def test_a_failure_that_stays_is_named_and_leaves_nothing(
    web_files: FileServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failures: list[Any],
    reason: str,
    gets: int,
) -> None:
    source = table(tmp_path, (f"{web_files.address}/a.mp4",))
    file = first(source)
    monkeypatch.setattr(web, "READ_S", 0.1)
    web_files.answers["/a.mp4"] = list(failures)
    with pytest.raises(UnreadableFile) as caught:
        source.fetch(file)
    assert caught.value.reason.startswith(reason)
    assert [verb for verb, _ in web_files.asked].count("GET") == gets
    assert list((tmp_path / "cache/fetched").iterdir()) == [answers_in(tmp_path)]


def test_a_server_that_drips_is_given_up(
    web_files: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drip(request: Any) -> None:
        request.close_connection = True
        request.give(b"", announced=len(DATA))
        for byte in DATA[:40]:
            time.sleep(0.01)
            request.wfile.write(bytes([byte]))

    source = table(tmp_path, (f"{web_files.address}/a.mp4",))
    file = first(source)
    monkeypatch.setattr(web, "READ_S", 0.1)
    web_files.answers["/a.mp4"] = [drip] * 3
    with pytest.raises(UnreadableFile, match=r"only \d+ bytes came in 0\.1 s"):
        source.fetch(file)


def endless(request: Any) -> None:
    """Send bytes without an end, until nobody reads them."""
    request.close_connection = True
    request.send_response(200)
    request.end_headers()
    with suppress(ConnectionError):
        while True:
            request.wfile.write(DATA)


@pytest.mark.parametrize(("largest", "free"), [(2**20, 2**40), (2**40, 2**20)], ids=["too large", "no room"])
def test_a_server_that_never_ends_does_not_fill_the_disk(
    web_files: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, largest: int, free: int
) -> None:
    source = table(tmp_path, (f"{web_files.address}/a.mp4",))
    # Its HEAD says nothing of the size either.
    file = replace(first(source), size_bytes=-1)
    web_files.answers["/a.mp4"] = [endless]
    monkeypatch.setattr(web, "LARGEST", largest)
    monkeypatch.setattr(web.shutil, "disk_usage", lambda place: SimpleNamespace(free=free))
    with pytest.raises(UnreadableFile, match="no end was announced"):
        source.fetch(file)
    assert list((tmp_path / "cache/fetched").iterdir()) == [answers_in(tmp_path)]


def test_a_file_that_is_too_large_is_not_begun(
    web_files: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = table(tmp_path, (f"{web_files.address}/a.mp4",))
    monkeypatch.setattr(web, "LARGEST", len(DATA) - 1)
    with pytest.raises(UnreadableFile, match=f"it has {len(DATA)} bytes"):
        source.fetch(first(source))


def test_a_file_that_changed_before_it_was_fetched_is_listed_anew(web_files: FileServer, tmp_path: Path) -> None:
    source = table(tmp_path, (f"{web_files.address}/a.mp4",))
    before = first(source)
    web_files.content = {"/a.mp4": b"new" + DATA[3:]}
    with pytest.raises(UnreadableFile, match="changed on its server"):
        source.fetch(before)
    again = table(tmp_path, (f"{web_files.address}/a.mp4",))
    after = first(again)
    assert after.version != before.version
    assert again.fetch(after).read_bytes() == b"new" + DATA[3:]


def test_servers_are_asked_once_even_those_without_head(web_files: FileServer, tmp_path: Path) -> None:
    web_files.knows_no_head = True
    source = table(tmp_path, (f"{web_files.address}/a.mp4",), (f"{web_files.address}/b.mp4",))
    files = [entry.file for entry in source.find().entries]
    assert [file.size_bytes for file in files] == [len(DATA)] * 2
    for file in files:
        source.fetch(file)
    web_files.asked.clear()
    again = table(tmp_path, (f"{web_files.address}/a.mp4",), (f"{web_files.address}/b.mp4",))
    assert [again.fetch(entry.file).read_bytes() for entry in again.find().entries] == [DATA, DATA[::-1]]
    assert web_files.asked == []


def test_what_lets_someone_in_is_in_no_record_and_does_not_name_the_file(web_files: FileServer, tmp_path: Path) -> None:
    host = web_files.address.removeprefix("http://")
    signed = f"http://me:pw@{host}/a.mp4?X-Amz-Signature=s3cr3t&Expires=1"
    source = table(tmp_path, (signed,))
    found = source.find()
    file = found.entries[0].file
    assert (file.url, file.name) == (f"{web_files.address}/a.mp4",) * 2
    assert source.fetch(file).read_bytes() == DATA
    assert "s3cr3t" in web_files.asked[-1][1]
    web_files.answers["/a.mp4"] = [status(403)]
    answers_in(tmp_path).unlink()
    source.fetch(file).unlink()
    with pytest.raises(UnreadableFile) as caught:
        source.fetch(file)
    twice = reasons(table(tmp_path, (signed,), (signed.replace("s3cr3t", "other"),)).find())
    kept = answers_in(tmp_path).read_text()
    shown = f"{found} {caught.value} {twice} {kept} {source!r}"
    assert not any(secret in shown for secret in ("s3cr3t", "pw", "Expires"))
    assert f"row 1 names {web_files.address}/a.mp4 too" in twice[str(tmp_path / "t.csv") + " row 2"]


def test_a_query_that_names_the_file_tells_files_apart(web_files: FileServer, tmp_path: Path) -> None:
    rows = [(f"{web_files.address}/a.mp4?clip={number}",) for number in (1, 2)]
    found = table(tmp_path, *rows).find()
    assert len({entry.file.name for entry in found.entries}) == len({entry.file.path for entry in found.entries}) == 2


def test_addresses_of_an_object_store_are_read_too(s3: S3Server, tmp_path: Path) -> None:
    s3.fill("tabled", {"deep/a.mp4": DATA, "text.txt": b"t"})
    access: dict[str, Any] = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "aws_region_name": REGION}
    rows = (("s3://tabled/deep/a.mp4",), ("s3://tabled/gone.mp4",))
    source = table(tmp_path, *rows, aws_endpoint_url=s3.address, **access)
    found = source.find()
    assert source.fetch(found.entries[0].file).read_bytes() == DATA
    assert reasons(found)["s3://tabled/gone.mp4"].startswith("not reached: it is not there any more")


def test_a_server_that_is_not_there_is_named_in_its_rows(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.mp4": b"a"})
    found = table(tmp_path, ("a.mp4",), ("http://127.0.0.1:9/b.mp4",), ("https:///c.mp4",)).find()
    assert names(found) == ["a.mp4"]
    assert reasons(found)["http://127.0.0.1:9/b.mp4"].startswith("not reached: the connection failed")


def test_a_warm_start_of_many_addresses_asks_nobody(tmp_path: Path) -> None:
    with serve({f"/{number}.mp4": b"x" for number in range(200)}) as server:
        rows = [(f"{server.address}/{number}.mp4",) for number in range(200)]
        cold = table(tmp_path, *rows).find()
        server.asked.clear()
        assert table(tmp_path, *rows).find() == cold
        assert server.asked == []
    assert table(tmp_path, *rows).find() == cold
