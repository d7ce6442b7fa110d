"""What no message may show: access tokens, and what is secret in an address."""

from __future__ import annotations

import re

SIGNED = re.compile(r"(https?://)(?:[^\s/@'\"]+@)?([^\s?'\"]+)(?:\?[^\s'\"]*)?")
TOKEN = re.compile(r"\b(?:hf_|api_org_)[A-Za-z0-9]{16,}|\b[Bb]earer\s+\S+")


def without_secrets(text: str) -> str:
    """Return a text without access tokens, and with addresses cut before their query and after their user."""
    return TOKEN.sub("***", SIGNED.sub(r"\1\2", text))
