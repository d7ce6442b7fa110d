"""What a hub can do to a download, and what the user is told to do about it."""

from __future__ import annotations

import errno
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from reeltune.errors import ModelError
from reeltune.families.hub import fetch

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = bytes(range(256)) * 400
FILES = {
    "model_index.json": b"{}",
    "transformer/config.json": b"{}",
    "transformer/diffusion_pytorch_model.safetensors": WEIGHTS,
    "vae/not-wanted.safetensors": b"x",
}
COMPONENT = """
import sys, time
import huggingface_hub.file_download
huggingface_hub.file_download.time.sleep = lambda seconds: None  # the library waits between its own attempts
from reeltune.errors import ModelError
from reeltune.families.sources import Source, component_folder
try:
    print(component_folder(Source("transformer", "someone/model", ("transformer",))))
except ModelError as error:
    sys.exit(f"ModelError: {error}")
"""


@dataclass
class Hub:
    """A hub on this machine that may close the connection in the middle of the weights."""

    address: str = ""
    breaks: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)

    def downloads(self) -> list[str]:
        """Return the name of every file that was asked for."""
        return [
            path.partition(f"/resolve/{COMMIT}/")[2]
            for verb, path in self.asked
            if verb == "GET" and "/resolve/" in path
        ]


@pytest.fixture
def hub() -> Iterator[Hub]:
    state = Hub()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append((self.command, self.path))
            if self.path.startswith("/api/"):
                self._answer(json.dumps(self._described()).encode())
                return
            self._send_file(FILES[self.path.partition(f"/resolve/{COMMIT}/")[2]])

        do_HEAD = do_GET

        def _described(self) -> object:
            if "/tree/" in self.path:
                return [{"type": "file", "path": n, "size": len(d), "oid": str(len(d))} for n, d in FILES.items()]
            return {"id": "someone/model", "sha": COMMIT, "siblings": [{"rfilename": name} for name in FILES]}

        def _send_file(self, data: bytes) -> None:
            start = int((self.headers["Range"] or "bytes=0-")[6:-1])
            broken = state.breaks and data == WEIGHTS and self.command == "GET"
            if broken and start:
                self.close_connection = True  # not a word more
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            self.send_header("ETag", f'"{len(data)}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self._body(data[start:], cut=len(data) // 2 if broken else None)

        def _answer(self, data: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self._body(data)

        def _body(self, data: bytes, *, cut: int | None = None) -> None:
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data[:cut])

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state.address = f"http://127.0.0.1:{server.server_port}"
    yield state
    server.shutdown()
    server.server_close()


def fetch_transformer(hub: Hub, home: Path, *, offline: bool = False) -> subprocess.CompletedProcess[str]:
    """Ask for a component in a process of its own: the hub's client reads its environment when it is imported."""
    settings = {"HF_ENDPOINT": hub.address, "HF_HOME": str(home), "HF_HUB_OFFLINE": str(int(offline))}
    return subprocess.run(
        [sys.executable, "-c", COMPONENT],
        env=os.environ | settings | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"},
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )


def test_a_download_that_breaks_off_is_told_and_the_same_command_continues_it(hub: Hub, tmp_path: Path) -> None:
    hub.breaks = True
    broken = fetch_transformer(hub, tmp_path)
    assert broken.returncode == 1
    assert f"ModelError: someone/model: the download from {hub.address} broke off: " in broken.stderr, broken.stderr
    assert broken.stderr.rstrip().endswith("run the same command again, it continues with the files that are missing.")
    assert "Traceback" not in broken.stderr

    hub.breaks = False
    hub.asked.clear()
    whole = fetch_transformer(hub, tmp_path)
    folder = Path(whole.stdout.strip())
    assert folder.is_relative_to(tmp_path), whole.stderr
    assert (folder / "diffusion_pytorch_model.safetensors").read_bytes() == WEIGHTS
    # What was whole is kept, and what nobody needs is never asked for.
    assert hub.downloads() == ["transformer/diffusion_pytorch_model.safetensors"]

    hub.asked.clear()
    offline = fetch_transformer(hub, tmp_path, offline=True)
    assert Path(offline.stdout.strip()) == folder
    assert not hub.asked


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> str:
    """Return what is said when the hub's client fails in a certain way."""

    def download(*args: object, **options: object) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(ModelError) as caught:
        fetch("someone/model", ["transformer/*"])
    assert caught.value.__cause__ is error
    return str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        RuntimeError("Data processing error: IO Error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_called_that(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    message = failing(monkeypatch, error)
    assert "is full" in message
    assert "HF_HOME" in message
    assert "connection" not in message


def test_a_full_disk_behind_another_error_is_called_that(monkeypatch: pytest.MonkeyPatch) -> None:
    error = RuntimeError("the writer stopped")
    error.__cause__ = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert "is full" in failing(monkeypatch, error)


def test_a_cache_without_permission_is_called_that(monkeypatch: pytest.MonkeyPatch) -> None:
    message = failing(monkeypatch, PermissionError(errno.EACCES, "Permission denied", "/home/someone/hub"))
    assert "cannot be stored" in message
    assert "/home/someone/hub" in message


@pytest.mark.parametrize("error", [RuntimeError("peer closed"), ValueError("odd answer"), TimeoutError()])
def test_any_other_failure_says_what_to_type(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    message = failing(monkeypatch, error)
    assert f"broke off: {str(error) or 'TimeoutError'};" in message
    assert "run the same command again, it continues" in message


@pytest.mark.parametrize("kind", [RuntimeError, LocalEntryNotFoundError])
def test_a_failure_does_not_show_the_signature_of_an_address(
    monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    message = failing(monkeypatch, kind("403 for https://cas.hub/file?X-Amz-Signature=s3cr3t&t=1 and no more"))
    assert "403 for https://cas.hub/file and no more" in message
    assert "s3cr3t" not in message
