"""The files that a table names: paths below a folder, and addresses of http, https and s3.

A path that leads out of its folder, by `..` or from the root, is passed over: a table may come from anywhere. A server
is asked once for what it knows of an address; `addresses` says until when that counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from reeltune.config.datasets import ClipDataset
from reeltune.contracts.clip import FileRef
from reeltune.contracts.source import Entry, Found, Passed
from reeltune.data.kinds import is_media, is_wanted, not_wanted
from reeltune.data.sources import web
from reeltune.data.sources.addresses import Address, Answer, KnownAddresses
from reeltune.data.sources.local import path_of
from reeltune.data.sources.mirror import Mirror, mirror_folder
from reeltune.data.sources.rows import Listed, list_rows
from reeltune.data.sources.selection import limited, pass_over, refuse_nothing
from reeltune.data.sources.store import ObjectStore
from reeltune.data.sources.texts import read_beside
from reeltune.data.sources.tries import Broken, Refused, tried
from reeltune.data.sources.web import Headers


class TableSource:
    """The rows of csv_file, in their order."""

    def __init__(self, dataset: ClipDataset) -> None:
        self._dataset = dataset
        self._mirror = Mirror(mirror_folder(dataset))
        self._store = ObjectStore(dataset)

    def find(self) -> Found:
        """List the table's files. Raises DataError where it cannot be read, or names nothing that could be used."""
        rows, passed = list_rows(self._dataset)
        # Few of many are drawn before servers are asked: a table may name more files than anyone would ask for.
        drawn = limited(Found(tuple(Entry(_unseen(row)) for row in rows)), self._dataset.max_num_samples)
        names = {entry.file.name for entry in drawn.entries}
        stamped = self._stamped([row for row in rows if row.name in names])
        entries = tuple(each for each in stamped if isinstance(each, Entry))
        left = (each for each in stamped if isinstance(each, Passed))
        found = Found(entries, (*passed, *left, *drawn.passed))
        return refuse_nothing(found, self._dataset, [PurePosixPath(row.name) for row in rows])

    def fetch(self, file: FileRef) -> Path:
        """Return the path of a file's bytes, brought here unless they are. Raises UnreadableFile."""
        return self._mirror.fetch(file, self._bring) if file.url else path_of(file)

    def text_beside(self, file: FileRef) -> bytes | None:
        """Return clip.txt beside a clip on this machine; addresses have none. Raises DataError where it is locked."""
        return None if file.url else read_beside(file.path)

    def _stamped(self, rows: list[Listed]) -> list[Entry | Passed]:
        """Return the rows with what is known of each file, or why it is not offered."""
        addresses = [row.place for row in rows if isinstance(row.place, Address)]
        said = {}
        for is_stored, ask in ((False, _ask_servers), (True, self._ask_store)):
            said |= self._known.headers([each for each in addresses if _is_stored(each) == is_stored], ask)
        return [self._stamp(row, row.place, said) for row in rows]

    def _stamp(self, row: Listed, place: FileRef | Address, said: Mapping[str, Answer]) -> Entry | Passed:
        if isinstance(place, FileRef):
            return self._of_kind(place, PurePosixPath(place.name), row)
        headers = said[row.name]
        if not isinstance(headers, Headers):
            return pass_over(_unseen(row), f"not reached: {headers}")
        kind = _named(place, headers)
        file = FileRef(Path(), headers.size_bytes, 0, place.name, headers.etag or headers.modified, place.name)
        if not is_media(kind):
            called = headers.kind or "nothing"
            return pass_over(file, f"not read: its address has no known extension, and its server calls it {called}")
        return self._of_kind(self._mirror.placed(file, kind.name), kind, row)

    def _of_kind(self, file: FileRef, kind: PurePosixPath, row: Listed) -> Entry | Passed:
        if is_wanted(kind, self._dataset):
            return Entry(file, row.captions)
        if is_media(kind):
            return pass_over(file, not_wanted(kind, self._dataset))
        return pass_over(file, f"not read: {kind.name} is neither a video nor a picture; take the row out")

    def _ask_store(self, addresses: Sequence[Address]) -> list[Answer]:
        with ThreadPoolExecutor(web.AT_ONCE) as threads:
            return list(threads.map(self._ask_store_for, addresses))

    def _ask_store_for(self, address: Address) -> Answer:
        try:
            stored = tried(lambda: self._store.look(address.shown.removeprefix("s3://")))
        except (Broken, Refused) as error:
            return error
        return Headers(stored.size_bytes, stored.etag, str(stored.mtime_ns), "")

    @cached_property
    def _known(self) -> KnownAddresses:
        return KnownAddresses(self._mirror.folder)

    @cached_property
    def _addresses(self) -> dict[str, Address]:
        """The whole addresses by name: what travels with a file is without what is secret."""
        return {row.name: row.place for row in list_rows(self._dataset)[0] if isinstance(row.place, Address)}

    def _bring(self, file: FileRef, target: Path) -> None:
        address = self._addresses.get(file.name)
        if address is None:
            raise Refused(f"{self._dataset.csv_file} names it no more; run the command again")
        if _is_stored(address):
            self._store.bring(address.shown.removeprefix("s3://"), target, file.version)
        else:
            self._known.confirm(file.name, web.bring(address.secret, target))


def _ask_servers(addresses: Sequence[Address]) -> list[Answer]:
    return web.look_at([address.secret for address in addresses])


def _is_stored(address: Address) -> bool:
    return address.shown.startswith("s3://")


def _named(address: Address, headers: Headers) -> PurePosixPath:
    """Return what a file is called: the end of its address, and the extension that its server says if it has none."""
    own = PurePosixPath(unquote(urlsplit(address.shown).path)).name or "file"
    return PurePosixPath(own if is_media(PurePosixPath(own)) else own + web.SUFFIXES.get(headers.kind.lower(), ""))


def _unseen(row: Listed) -> FileRef:
    """Return a row's file before anyone was asked about it."""
    if isinstance(row.place, FileRef):
        return row.place
    return FileRef(Path(), -1, 0, row.place.name, "", row.place.name)
