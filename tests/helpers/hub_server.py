"""A stand-in for the Hub on this machine: one dataset repository, and failures on request."""

from __future__ import annotations

import hashlib
import http.server
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import pytest

from helpers.http_server import serving

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "someone/clips"
LARGE = 500
"""Bytes above which an answer may be broken off."""


@dataclass
class HubServer:
    """files: by path. fails: what to answer requests of the interface with, an X-Error-Code. breaks: how many large
    answers end in the middle. commit: what every revision names."""

    files: Mapping[str, bytes]
    address: str = ""
    fails: str = ""
    breaks: int = 0
    commit: str = COMMIT
    asked: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)


class _Request(http.server.BaseHTTPRequestHandler):
    hub: HubServer

    def do_GET(self) -> None:
        path = unquote(self.path.partition("?")[0])
        self.hub.asked.append(f"{self.command} {path}")
        self.hub.tokens.add(self.headers.get("Authorization", ""))
        described = path.removeprefix(f"/api/datasets/{REPOSITORY}")
        if self.hub.fails:
            self._fail(self.hub.fails)
        elif described != path:
            self._describe(described)
        elif (name := path.removeprefix(f"/datasets/{REPOSITORY}/resolve/{self.hub.commit}/")) in self.hub.files:
            self._give(self.hub.files[name])
        else:
            self._fail("RepoNotFound" if REPOSITORY not in path else "EntryNotFound")

    do_HEAD = do_GET

    def _describe(self, what: str) -> None:
        _, _, folder = what.removeprefix("/tree/").partition("/")
        if not what.startswith("/tree/"):
            self._say({"id": REPOSITORY, "sha": self.hub.commit, "siblings": [], "private": False, "tags": []})
        elif "recursive=True" in self.path or "recursive=true" in self.path:
            self._say([_described(name, data) for name, data in self.hub.files.items()])
        else:
            inside = f"{folder}/" if folder else ""
            near = {n: d for n, d in self.hub.files.items() if n.startswith(inside) and "/" not in n[len(inside) :]}
            self._say([_described(name, data) for name, data in near.items()])

    def _say(self, content: Any) -> None:
        self._send(json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _fail(self, code: str) -> None:
        status = {"500": 500, "GatedRepo": 403}.get(code, 404)
        self._send(b"{}", {"X-Error-Code": code, "X-Error-Message": code}, status=status)

    def _give(self, data: bytes) -> None:
        first, _, last = (self.headers["Range"] or "bytes=0-")[6:].partition("-")
        part = data[int(first) : int(last) + 1 if last else None]
        headers = {"ETag": f'"{_digest(data)}"', "X-Repo-Commit": self.hub.commit}
        if self.headers["Range"]:
            headers["Content-Range"] = f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}"
        self._send(part, headers, status=206 if self.headers["Range"] else 200)

    def _send(self, data: bytes, headers: Mapping[str, str], *, status: int = 200) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "GET":
            return
        if self.hub.breaks and len(data) > LARGE:
            self.hub.breaks -= 1
            self.close_connection = True
            data = data[: len(data) // 2]
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _described(name: str, data: bytes) -> dict[str, Any]:
    return {"type": "file", "path": name, "size": len(data), "oid": _digest(data)}


def _digest(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


@contextmanager
def serve_hub(files: Mapping[str, bytes]) -> Iterator[HubServer]:
    """Serve a repository's files on a free port until the block ends."""
    hub = HubServer(files)
    with serving(type("Handler", (_Request,), {"hub": hub})) as hub.address:
        yield hub


def use_hub(monkeypatch: pytest.MonkeyPatch, hub: HubServer, cache: Any) -> None:
    """Have the Hub's client in this process ask a stand-in, keep its files in a folder, and wait for nothing."""
    from huggingface_hub import constants

    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
