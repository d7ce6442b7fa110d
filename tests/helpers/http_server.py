"""A file server on this machine that can fail in every way that servers of the web do."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

Answer = Callable[["Request"], None]
"""Sends something else than the file."""


class Request(http.server.BaseHTTPRequestHandler):
    """One request to a `FileServer`."""

    files: FileServer

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.files.asked.append((self.command, self.path))
        answers = self.files.answers.get(path, [])
        if answers and self.command == "GET":
            answers.pop(0)(self)
        elif self.command == "HEAD" and self.files.knows_no_head:
            self.send_error(405)
        elif path in self.files.content:
            self.give(self.files.content[path])
        else:
            self.send_error(404)

    do_HEAD = do_GET

    def give(self, data: bytes, *, announced: int | None = None, etag: str | None = None) -> None:
        """Send a file, announcing its length or another one."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(data) if announced is None else announced))
        self.send_header("ETag", etag or f'"{hash(data) & 0xFFFFFFFF:08x}"')
        if kind := self.files.kinds.get(self.path.partition("?")[0]):
            self.send_header("Content-Type", kind)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@dataclass
class FileServer:
    """content: files by path. kinds: content types by path. answers: what the next GETs of a path get instead."""

    content: Mapping[str, bytes]
    address: str = ""
    kinds: dict[str, str] = field(default_factory=dict)
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    knows_no_head: bool = False


@contextmanager
def serve(content: Mapping[str, bytes]) -> Iterator[FileServer]:
    """Serve files on a free port until the block ends."""
    files = FileServer(content)
    with serving(type("Handler", (Request,), {"files": files})) as files.address:
        yield files


@contextmanager
def serving(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """Run a server on a free port, and give its address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def status(code: int) -> Answer:
    return lambda request: request.send_error(code)


def broken_off(data: bytes, at: int) -> Answer:
    """Announce all, send a part, hang up."""

    def answer(request: Request) -> None:
        request.close_connection = True
        request.give(data[:at], announced=len(data))

    return answer


def other_file(data: bytes) -> Answer:
    return lambda request: request.give(data)


def redirect(path: str) -> Answer:
    def answer(request: Request) -> None:
        request.send_response(302)
        request.send_header("Location", path)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return answer


def stall(data: bytes, at: int, seconds: float) -> Answer:
    """Send a part and then nothing for a while."""

    def answer(request: Request) -> None:
        request.close_connection = True
        request.give(data[:at], announced=len(data))
        request.wfile.flush()
        time.sleep(seconds)

    return answer
