from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reeltune.config.webhooks import DiscordWebhook, RawWebhook, is_inline, load_webhooks, parse_webhooks
from reeltune.errors import ConfigError

SECRET = "s3cr3t"
DISCORD = {"webhook_type": "discord", "webhook_url": f"https://discord.example/api/{SECRET}"}
RAW = {"webhook_type": "raw", "callback_url": f"https://host.example/{SECRET}"}


@pytest.mark.parametrize(
    "value",
    [
        [DISCORD, RAW],
        json.dumps([DISCORD, RAW]),
        f"[{{'webhook_type': 'discord', webhook_url: '{DISCORD['webhook_url']}'}}, {json.dumps(RAW)},] // two",
    ],
)
def test_lists_and_texts_of_lists_are_read(value: Any) -> None:
    chat, program = parse_webhooks(value)
    assert isinstance(chat, DiscordWebhook)
    assert isinstance(program, RawWebhook)
    assert chat.address.get_secret_value() == DISCORD["webhook_url"]
    assert program.address.get_secret_value() == RAW["callback_url"]


@pytest.mark.parametrize("value", [RAW, json.dumps(RAW)])
def test_a_single_object_is_one_webhook_with_defaults(value: Any) -> None:
    (only,) = parse_webhooks(value)
    assert (only.message_prefix, only.log_level, only.ssl_no_verify) == (None, "info", False)


def test_an_empty_list_is_no_webhook(tmp_path: Path) -> None:
    assert parse_webhooks([]) == ()
    (tmp_path / "webhook.json").write_text("[]", encoding="utf-8")
    assert load_webhooks(tmp_path / "webhook.json") == ()


def test_records_do_not_show_their_address() -> None:
    for webhook in parse_webhooks([DISCORD, RAW]):
        shown = [repr(webhook), str(webhook), str(webhook.model_dump()), webhook.model_dump_json()]
        assert SECRET not in "".join(shown)


def test_a_file_with_problems_names_all_of_them_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "webhook.json"
    path.write_text(
        f"""[
  {{"webhook_type": "discord"}},
  {{"webhook_type": "raw",
    "callback_url": "ftp://{SECRET}",
    "log_levle": "info"}},
  {{"webhook_type": "slack", "url": "https://{SECRET}"}},
  {{"callback_url": "https://{SECRET}",
    "callback_url": "https://{SECRET}"}},
  {{"webhook_type": "raw", "callback_url": "https://host", "log_level": "loud"}},
  "https://{SECRET}"
]""",
        encoding="utf-8",
    )
    with pytest.raises(ConfigError) as caught:
        load_webhooks(path)
    lines = [line.strip().replace(str(path), "FILE") for line in str(caught.value).splitlines()]
    assert lines == [
        "FILE: 8 problems",
        "entry 4.callback_url (FILE, line 8): is also in line 7; keep one",
        "entry 1.webhook_url (FILE, line 2): this option is needed",
        "entry 2.callback_url (FILE, line 4): an address is needed: https://...",
        "entry 2.log_levle (FILE, line 5): unknown key; nearest is log_level",
        "entry 3.webhook_type (FILE, line 6): is 'slack'; 'discord', 'raw' is needed",
        "entry 4.webhook_type (FILE, line 7): is needed: discord or raw",
        "entry 5.log_level (FILE, line 9): is 'loud'; 'debug', 'info', 'warning', 'error' or 'critical' is needed",
        "entry 6 (FILE, line 10): an object is needed: { ... }",
    ]


@pytest.mark.parametrize(
    "value",
    [
        f'{{"webhook_type": "raw", "callback_url": "https://h/{SECRET}"',
        {**RAW, "callback_url": f"//{SECRET}"},
        {**RAW, "callback_url": f"https://h/ {SECRET}"},
        {**RAW, "callback_url": f"https://h:{SECRET}/"},
        {**RAW, "callback_url": [SECRET]},
        {**RAW, "webhook_url": f"https://h/{SECRET}"},
        {"callback_url": f"https://h/{SECRET}"},
        [f"https://h/{SECRET}"],
    ],
)
def test_no_problem_shows_an_address(value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_webhooks(value)
    assert SECRET not in str(caught.value)
    assert "webhook_config" in str(caught.value)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"webhook\.json does not exist"):
        load_webhooks(tmp_path / "webhook.json")


def test_a_name_is_told_from_webhooks_themselves() -> None:
    assert is_inline(' {"webhook_type": "raw"}')
    assert is_inline("[]")
    assert not is_inline("config/webhook.json")
