from __future__ import annotations

import base64
import contextlib
import email.parser
import email.policy
import email.utils
import json
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from reeltune.config.webhooks import parse_webhooks
from reeltune.contracts.events import (
    CheckpointSaved,
    RenderFailed,
    RunFinished,
    RunStarted,
    SampleRendered,
    StepDone,
    StepSkipped,
)
from reeltune.report import http_post
from reeltune.report.background import Background
from reeltune.report.webhook import WebhookSink


@dataclass(frozen=True)
class Posted:
    """What reached the server, and when."""

    at: float
    kind: str
    agent: str
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, EmailMessage]:
        """The parts of a form, as the standard library's mail parser reads them."""
        text = b"Content-Type: " + self.kind.encode() + b"\r\n\r\n" + self.body
        mail = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(text)
        return {str(part.get_param("name", header="content-disposition")): part for part in mail.iter_parts()}  # type: ignore[attr-defined]

    @property
    def content(self) -> dict[str, Any]:
        return json.loads(self.form["payload_json"].get_content())


@dataclass
class Server:
    """A real server on this machine. answers: status and headers of the first requests; then 204."""

    address: str = ""
    http: ThreadingHTTPServer | None = None
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    posted: list[Posted] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)
    slow: bool = False

    def messages(self) -> list[dict[str, Any]]:
        return [one.json for one in self.posted]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.posted.append(
                Posted(time.monotonic(), self.headers["Content-Type"], self.headers["User-Agent"], body)
            )
            if state.slow:
                state.hold.wait(20)
                return
            status, headers = state.answers.pop(0) if state.answers else (204, {})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def handle(self) -> None:
            with contextlib.suppress(ssl.SSLError, ConnectionError):  # from one who does not trust the certificate
                super().handle()

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.http = http
    state.address = f"http://127.0.0.1:{http.server_address[1]}/s3cr3t"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    state.hold.set()
    http.shutdown()
    thread.join()
    http.server_close()


def certify(server: Server, folder: Path) -> None:
    """Let the server speak https, with a certificate that nobody vouches for."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl, which makes the certificate, is not here")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1"]
    subprocess.run([openssl, *words, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    assert server.http is not None
    server.http.socket = context.wrap_socket(server.http.socket, server_side=True)
    server.address = server.address.replace("http:", "https:")


Sink = Callable[..., WebhookSink]


@pytest.fixture
def sink(server: Server) -> Sink:
    def make(
        kind: str = "raw", *, waits: tuple[float, ...] = (0.01, 0.01), interval_s: float = 0.0, **more: Any
    ) -> WebhookSink:
        name = "webhook_url" if kind == "discord" else "callback_url"
        (webhook,) = parse_webhooks({"webhook_type": kind, name: server.address, **more})
        background = Background("webhook_config", waits=waits)
        return WebhookSink(webhook, project="films", run="first", interval_s=interval_s, background=background)

    return make


def step_done(step: int) -> StepDone:
    return StepDone(step, 9, 0.5, 1.25, 1e-4, tokens=3000, seconds=2.0, data_seconds=0.1)


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_programs_get_json_about_a_whole_run(server: Server, sink: Sink, tmp_path: Path) -> None:
    video = tmp_path / "step-000009-fox-raw.mp4"
    video.with_suffix(".png").write_bytes(b"\x89PNG")
    one = sink()
    for event in [
        RunStarted(0, 9),
        step_done(3),
        StepSkipped(4, float("nan"), 2.0, ("clip-a",), (0.5,), 7),
        CheckpointSaved(5, tmp_path / "checkpoint-5", 0.5),
        CheckpointSaved(9, tmp_path / "checkpoint-9", 0.5),
        SampleRendered(9, video, "raw", 3.0),
        RenderFailed(9, "out of memory"),
        RunFinished(9, False),
    ]:
        one.receive(event)
    one.close()
    started, step, skipped, saved, last, rendered, failed, finished = server.messages()

    for message in server.messages():
        assert set(message) >= {"type", "job_id", "severity", "timestamp", "message", "title"}
        assert message["job_id"] == "first"
        assert message["message"].startswith("(films first) ")
        told = datetime.fromisoformat(message["timestamp"])
        assert told.utcoffset() == timedelta(0)
        assert abs(datetime.now(UTC) - told) < timedelta(minutes=1)
    assert {(posted.kind, posted.agent.split("/")[0]) for posted in server.posted} == {("application/json", "reeltune")}

    assert (started["type"], started["stage"]["status"]) == ("lifecycle.stage", "running")
    assert started["stage"]["progress"] == {"label": "steps", "current": 0, "total": 9, "percent": 0.0}
    assert (step["type"], step["data"]["status"]) == ("training.status", "running")
    assert step["progress"]["current"] == 3
    assert step["progress"]["percent"] == 33.3
    assert step["progress"]["metrics"]["loss"] == 0.5
    assert step["progress"]["metrics"]["learning_rate"] == 1e-4
    assert (skipped["type"], skipped["severity"]) == ("notification", "warning")
    assert "nan" in skipped["message"]
    assert "clip-a" in skipped["message"]
    assert saved["type"] == "training.checkpoint"
    assert saved["checkpoint"] == {"path": str(tmp_path / "checkpoint-5"), "label": "checkpoint-5", "is_final": False}
    assert last["checkpoint"]["is_final"] is True
    assert (rendered["type"], rendered["validation"]["path"]) == ("training.validation", str(video))
    assert [base64.b64decode(image) for image in rendered["images"]] == [b"\x89PNG"]
    assert "out of memory" in failed["message"]
    assert finished["stage"]["key"] == "training_complete"
    assert finished["stage"]["status"] == "completed"


def test_a_run_that_ends_without_a_word_has_failed(server: Server, sink: Sink) -> None:
    one = sink()
    one.receive(RunStarted(0, 9))
    one.receive(step_done(3))
    one.close()
    one.close()
    last = server.messages()[-1]
    assert (last["severity"], last["stage"]["key"], last["stage"]["status"]) == ("error", "training_abort", "failed")
    assert last["stage"]["progress"]["current"] == 3


def test_a_run_that_was_stopped_has_not_failed(server: Server, sink: Sink) -> None:
    one = sink()
    one.receive(RunStarted(0, 9))
    one.receive(RunFinished(4, True))
    one.close()
    assert [message["stage"]["status"] for message in server.messages()] == ["running", "completed"]


def test_a_chat_gets_texts_and_videos(server: Server, sink: Sink, tmp_path: Path) -> None:
    video = tmp_path / "step-000009-fuchs-raw.mp4"
    video.write_bytes(bytes(range(256)) * 3 + b"\r\n--")
    one = sink("discord", message_prefix="@everyone")
    one.receive(RunStarted(0, 9))
    one.receive(step_done(1))  # not for a chat
    one.receive(SampleRendered(9, video, "raw", 3.0))
    one.receive(RenderFailed(9, "x" * 3000))
    one.receive(RunFinished(9, False))
    one.close()
    started, rendered, failed, _ = server.posted
    assert set(started.form) == {"payload_json"}
    assert started.content["content"] == "@everyone Training begins at step 0 of 9."
    assert started.content["allowed_mentions"] == {"parse": []}
    file = rendered.form["files[0]"]
    assert (file.get_content_type(), file.get_filename()) == ("video/mp4", video.name)
    assert file.get_payload(decode=True) == video.read_bytes()
    assert len(failed.content["content"]) == 2000


def test_a_chat_gets_steps_when_it_asks_for_them(server: Server, sink: Sink) -> None:
    one = sink("discord", log_level="debug")
    one.receive(step_done(1))
    wait_until(lambda: bool(server.posted))
    assert server.posted[0].content["content"].startswith("(films first) Step 1 of 9: loss 0.5000")
    one.receive(RunFinished(1, False))
    one.close()


def test_a_video_too_large_for_the_chat_is_told_without_it(server: Server, sink: Sink, tmp_path: Path) -> None:
    video = tmp_path / "v.mp4"
    video.write_bytes(b"large")
    server.answers = [(413, {})]
    one = sink("discord")
    one.receive(SampleRendered(9, video, "raw", 3.0))
    one.close()
    first, second = server.posted
    assert "files[0]" in first.form
    assert set(second.form) == {"payload_json"}
    assert "too large" in second.content["content"]


@pytest.mark.parametrize(
    ("level", "types"),
    [
        ("info", ["lifecycle.stage", "notification", "lifecycle.stage"]),
        ("warning", ["notification", "lifecycle.stage"]),
        ("error", ["lifecycle.stage"]),
        ("critical", []),
    ],
)
def test_less_important_messages_are_left_out(server: Server, sink: Sink, level: str, types: list[str]) -> None:
    one = sink(log_level=level)
    one.receive(RunStarted(0, 9))
    one.receive(RenderFailed(1, "why"))
    one.close()  # without RunFinished: an error
    assert [message["type"] for message in server.messages()] == types


def test_steps_are_told_at_most_once_in_the_interval_and_the_latest_wins(server: Server, sink: Sink) -> None:
    one = sink(interval_s=0.3)
    one.receive(step_done(1))
    wait_until(lambda: len(server.posted) == 1)
    for step in range(2, 9):
        one.receive(step_done(step))
        time.sleep(0.01)
    wait_until(lambda: len(server.posted) == 2)
    one.receive(RunFinished(9, False))
    one.close()
    steps = [message["data"]["step"] for message in server.messages() if message["type"] == "training.status"]
    assert steps == [1, 8]
    assert server.posted[1].at - server.posted[0].at >= 0.29  # the two clocks are read at slightly different places


def test_a_server_in_trouble_is_asked_again(server: Server, sink: Sink, said: list[str]) -> None:
    server.answers = [(500, {}), (503, {})]
    one = sink()
    one.receive(CheckpointSaved(5, Path("checkpoint-5"), 0.5))
    wait_until(lambda: len(server.posted) == 3)
    one.close()
    assert len({posted.body for posted in server.posted}) == 1
    assert said == []


def test_progress_too_is_asked_again(server: Server, sink: Sink) -> None:
    server.answers = [(500, {})]
    one = sink()
    one.receive(step_done(1))
    wait_until(lambda: len(server.posted) == 2)
    one.receive(RunFinished(1, False))
    one.close()
    assert [message["type"] for message in server.messages()] == ["training.status"] * 2 + ["lifecycle.stage"]


def test_a_server_that_asks_for_rest_gets_it(server: Server, sink: Sink) -> None:
    # A date has whole seconds, so that it may be up to one nearer than it was meant.
    soon = email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    server.answers = [(429, {"Retry-After": "0.4"}), (429, {"Retry-After": soon})]
    one = sink()
    one.receive(CheckpointSaved(5, Path("checkpoint-5"), 0.5))
    wait_until(lambda: len(server.posted) == 3)
    one.close()
    first, second, third = (posted.at for posted in server.posted)
    assert second - first >= 0.4
    assert third - second >= 0.2


def test_a_server_that_wants_too_long_a_rest_is_left_alone(server: Server, sink: Sink, said: list[str]) -> None:
    server.answers = [(429, {"Retry-After": "3600"})]
    one = sink()
    one.receive(CheckpointSaved(5, Path("checkpoint-5"), 0.5))
    one.close()
    assert len(server.posted) == 1
    assert "wants 3600 s of rest" in said[0]


def test_an_address_that_is_no_longer_valid_is_asked_once(server: Server, sink: Sink, said: list[str]) -> None:
    server.answers = [(404, {})]
    one = sink()
    for step in (1, 2, 3):
        one.receive(CheckpointSaved(step, Path("checkpoint"), 0.5))
    one.close()
    assert len(server.posted) == 1
    assert len(said) == 1
    assert "no longer, valid" in said[0]


def test_a_redirect_is_no_success(server: Server, sink: Sink, said: list[str]) -> None:
    server.answers = [(302, {"Location": "/elsewhere"})]
    one = sink()
    one.receive(CheckpointSaved(5, Path("checkpoint-5"), 0.5))
    one.close()
    assert "the server answers 302" in said[0]


def test_a_silent_server_neither_holds_up_the_run_nor_its_end(
    server: Server, sink: Sink, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_post, "TIMEOUT_S", 0.2)
    server.slow = True
    one = sink(waits=(0.01,))
    started = time.monotonic()
    one.receive(RunStarted(0, 9))
    one.receive(RunFinished(9, False))
    assert time.monotonic() - started < 0.1
    one.close()
    assert time.monotonic() - started < 5.0
    assert "no answer within 0.2 s" in said[0]
    assert "s3cr3t" not in "".join(said)


def test_nobody_listening_is_told_without_the_address(
    server: Server, sink: Sink, caplog: pytest.LogCaptureFixture, said: list[str]
) -> None:
    server.address = "http://127.0.0.1:9/s3cr3t"
    caplog.set_level("DEBUG", logger="reeltune")
    one = sink()
    one.receive(RunStarted(0, 9))
    one.receive(RunFinished(9, False))
    one.close()
    assert "refused" in said[0].lower()
    assert "webhook_config, lifecycle.stage: Traceback" in caplog.text
    assert "s3cr3t" not in caplog.text
    assert "127.0.0.1" not in caplog.text


def test_a_certificate_is_checked_unless_told_otherwise(server: Server, sink: Sink, tmp_path: Path) -> None:
    certify(server, tmp_path)
    for no_verify, arrived in [(False, 0), (True, 1)]:
        one = sink(ssl_no_verify=no_verify)
        one.receive(CheckpointSaved(5, Path("checkpoint-5"), 0.5))
        one.close()
        assert len(server.posted) == arrived
