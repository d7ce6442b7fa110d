"""A webhook hears of a run: JSON for programs, texts and videos for a chat. It is posted to beside the loop.

Numbers of a step go out at most once a second, the latest of them; a chat gets them only when it asks for `debug`.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from reeltune.config.webhooks import LEVELS, DiscordWebhook, Level, Webhook
from reeltune.contracts.events import Event, RunFinished, RunStarted, StepDone
from reeltune.report.background import Background
from reeltune.report.http_post import Refused, opener, post
from reeltune.report.webhook_messages import Message, broken_off, message_of, with_pictures

MOST_LETTERS = 2000
"""Discord refuses longer texts."""


class WebhookSink:
    """Tells one webhook about the run. interval_s: between two messages about steps. wait_s: for the last messages."""

    def __init__(
        self,
        webhook: Webhook,
        *,
        project: str,
        run: str,
        interval_s: float = 1.0,
        wait_s: float = 10.0,
        background: Background | None = None,
    ) -> None:
        self._webhook = webhook
        self._run = run
        self._prefix = f"({project} {run})" if webhook.message_prefix is None else webhook.message_prefix
        self._interval_s = interval_s
        self._wait_s = wait_s
        self._background = background or Background("webhook_config")
        self._opener = opener(verify=not webhook.ssl_no_verify)
        self._latest: Callable[[], None] | None = None
        self._told: Callable[[], None] | None = None
        self._told_at = float("-inf")
        self._ended = True
        self._gone = False
        self._step = self._total = 0

    def receive(self, event: Event) -> None:
        match event:
            case RunStarted() | StepDone():
                self._step, self._total, self._ended = event.step, event.total_steps, False
            case RunFinished():
                self._ended = True
        message = message_of(event, self._total)
        if message is None:
            return
        chatty = isinstance(event, StepDone)
        if not self._wanted("debug" if chatty and isinstance(self._webhook, DiscordWebhook) else message.severity):
            return
        if chatty:
            self._latest = self._delivery(message)
            self._background.submit("progress", self._tell_latest, instead=True)
        else:
            self._background.submit(message.type, self._delivery(message))

    def close(self) -> None:
        """Send what waits. A run that has not said how it ended has failed, which is told."""
        if not self._ended and self._wanted("error"):
            self._background.submit("lifecycle.stage", self._delivery(broken_off(self._step, self._total)))
        self._ended = True
        self._background.close(self._wait_s)

    def _wanted(self, severity: Level) -> bool:
        return LEVELS.index(severity) >= LEVELS.index(self._webhook.log_level)

    def _tell_latest(self) -> None:
        """Wait until a message about steps is due again, and send the newest there is by then, once."""
        self._background.pause(max(0.0, self._told_at + self._interval_s - time.monotonic()))
        latest = self._latest
        if latest is None or latest is self._told:
            return
        self._told_at = time.monotonic()
        latest()
        self._told = latest

    def _delivery(self, message: Message) -> Callable[[], None]:
        timestamp = datetime.now(UTC)
        return lambda: self._deliver(message, timestamp)

    def _deliver(self, message: Message, timestamp: datetime) -> None:
        if self._gone:
            return
        try:
            if isinstance(self._webhook, DiscordWebhook):
                self._to_chat(message)
            else:
                self._to_program(message, timestamp)
        except Refused as error:
            # An address that is wrong or withdrawn stays so; to go on asking gets the whole machine locked out.
            self._gone = error.status in (401, 403, 404, 410)
            raise

    def _to_program(self, message: Message, timestamp: datetime) -> None:
        content = {
            "type": message.type,
            "job_id": self._run,
            "severity": message.severity,
            "timestamp": timestamp.isoformat(),
            "title": message.title,
            "message": self._text(message),
            **with_pictures(message),
        }
        self._post(json.dumps(content, allow_nan=False).encode(), "application/json")

    def _to_chat(self, message: Message) -> None:
        text = self._text(message)
        try:
            self._post(*chat_form(text, message.video))
        except Refused as error:
            if error.status != 413 or message.video is None:
                raise
            self._post(*chat_form(f"{text} (too large to be shown here)", None))

    def _text(self, message: Message) -> str:
        return f"{self._prefix} {message.text}".strip()

    def _post(self, body: bytes, kind: str) -> None:
        post(self._webhook.address.get_secret_value(), body, kind=kind, opener=self._opener)


def chat_form(text: str, video: Path | None) -> tuple[bytes, str]:
    """Return a form as Discord takes it, and its content type: a text that pings nobody, and a video."""
    content = {"content": text[:MOST_LETTERS], "allowed_mentions": {"parse": []}}
    parts = [(b'name="payload_json"', b"application/json", json.dumps(content).encode())]
    if video is not None:
        name = video.name.replace('"', "_").encode()
        parts.append((b'name="files[0]"; filename="' + name + b'"', b"video/mp4", video.read_bytes()))
    boundary = secrets.token_hex(16)
    line = b"--" + boundary.encode()
    body = b"".join(
        line
        + b"\r\nContent-Disposition: form-data; "
        + name
        + b"\r\nContent-Type: "
        + kind
        + b"\r\n\r\n"
        + data
        + b"\r\n"
        for name, kind, data in parts
    )
    return body + line + b"--\r\n", f"multipart/form-data; boundary={boundary}"
