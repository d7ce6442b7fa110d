"""Who is told of a run's progress over HTTP: checked records, from an object, a list, a JSON text or a file.

An address is a secret, since whoever has it may post there: no message, and no text of a record, shows one.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Discriminator, SecretStr, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from reeltune.config.document import KeyPath, read_document
from reeltune.config.json_text import parse_json
from reeltune.config.option import Section, option
from reeltune.config.problems import Problems, explain, nearest
from reeltune.errors import ConfigError

Level = Literal["debug", "info", "warning", "error", "critical"]

LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error", "critical")
"""From what is hardly worth a word to what must be seen."""


def check_address(address: SecretStr) -> SecretStr:
    """Return an http or https address as it is. Raises ValueError that does not show it."""
    text = address.get_secret_value()
    try:
        parts = urlsplit(text)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        raise ValueError(WANTED) from None
    plain = text.isascii() and text.isprintable() and " " not in text
    if not (plain and port_is_fine and parts.scheme in ("http", "https") and parts.hostname):
        raise ValueError(WANTED)
    return address


WANTED = "an address is needed: https://..."

Address = Annotated[SecretStr, AfterValidator(check_address)]


class Webhook(Section):
    """What all kinds of webhook have."""

    message_prefix: str | None = option(
        None, "What every message begins with; unset takes the names of project and run."
    )
    log_level: Level = option("info", "The least important messages that are sent.")
    ssl_no_verify: bool = option(False, "Do not check the certificate of the server.")

    @property
    def address(self) -> SecretStr:
        """Where messages are posted to."""
        raise NotImplementedError


class DiscordWebhook(Webhook):
    """Short texts and videos, for people in a chat."""

    webhook_type: Literal["discord"] = option(..., "discord: texts and videos for a chat.")
    webhook_url: Address = option(..., "discord: address that the chat gives for its webhook.")

    @property
    def address(self) -> SecretStr:
        return self.webhook_url


class RawWebhook(Webhook):
    """JSON objects, for programs."""

    webhook_type: Literal["raw"] = option(..., "raw: JSON for a program.")
    callback_url: Address = option(..., "raw: address that JSON is posted to.")

    @property
    def address(self) -> SecretStr:
        return self.callback_url


KINDS: dict[str, type[Webhook]] = {"discord": DiscordWebhook, "raw": RawWebhook}

ENTRY: TypeAdapter[Any] = TypeAdapter(Annotated[DiscordWebhook | RawWebhook, Discriminator("webhook_type")])


def is_inline(text: str) -> bool:
    """Tell whether a text is webhooks themselves, as JSON, and not the name of a file that has them."""
    return text.lstrip()[:1] in ("{", "[")


def parse_webhooks(value: Any) -> tuple[Webhook, ...]:
    """Check webhooks: an object, a list of them, or either as a JSON text.

    Raises ConfigError that lists every problem.
    """
    if isinstance(value, str):
        try:
            value = parse_json(value)
        except ValueError:
            # The parser's own words may quote the text, and with it an address.
            raise ConfigError("webhook_config is not JSON. Mend it, or name a file that has it.") from None
    problems = Problems("webhook_config")
    found = _check(value, problems, lambda key: "webhook_config")
    problems.raise_if_any()
    return found


def load_webhooks(path: Path) -> tuple[Webhook, ...]:
    """Read a file with one webhook or a list of them. Raises ConfigError that lists every problem with its line."""
    document = read_document(path)
    problems = Problems(str(path))
    for repeat in document.repeats:
        problems.add(_name(repeat.key), document.where(repeat.key), f"is also in line {repeat.earlier}; keep one")
    found = _check(document.content, problems, document.where)
    problems.raise_if_any()
    return found


def _check(value: Any, problems: Problems, where: Callable[[KeyPath], str]) -> tuple[Webhook, ...]:
    """Return the webhooks that are right, and note what is wrong with the others."""
    several = isinstance(value, list)
    found: list[Webhook] = []
    for index, entry in enumerate(value if several else [value]):
        top: KeyPath = (index,) if several else ()
        if not isinstance(entry, dict):
            problems.add(_name(top), where(top), "an object is needed: { ... }")
            continue
        try:
            found.append(ENTRY.validate_python(entry))
        except ValidationError as error:
            for key, details in groupby(error.errors(), key=lambda detail: (*top, *_own_key(detail))):
                problems.add(_name(key), where(key), _problem(list(details), key, entry))
    return tuple(found)


def _own_key(detail: ErrorDetails) -> KeyPath:
    """Return the key that pydantic means: its path names the kind first, except where there is none."""
    if detail["type"].startswith("union_tag"):
        return ("webhook_type",)
    return tuple(detail["loc"][1:2])


def _problem(details: list[ErrorDetails], key: KeyPath, entry: dict[str, Any]) -> str:
    """Say what is wrong; the value is shown only where it can be no secret."""
    kind = details[0]["type"]
    if kind == "union_tag_not_found":
        return f"is needed: {' or '.join(KINDS)}"
    name = str(key[-1])
    if kind == "extra_forbidden":
        return f"unknown key{nearest(name, KINDS[entry['webhook_type']].model_fields)}"
    if name in ("webhook_url", "callback_url") and kind != "missing":
        return WANTED
    return explain(details)


def _name(key: KeyPath) -> str:
    """Return a key for people: `entry 2.callback_url`, or `callback_url` where there is one webhook only."""
    parts = [f"entry {part + 1}" if isinstance(part, int) else part for part in key]
    return ".".join(parts) or "webhook"
