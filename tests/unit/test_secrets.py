"""Tokens and signatures stay out of what is said."""

from __future__ import annotations

import pytest

from reeltune.secrets import without_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abc.def", "Authorization: ***"),
        ("at https://hub.co/a/b?X-Amz=1&t=2 today", "at https://hub.co/a/b today"),
        ("https://user:word@host/path", "https://host/path"),
        ("from huggingface_hub import hf_hub_download", "from huggingface_hub import hf_hub_download"),
    ],
)
def test_secrets_are_cut_out_of_texts(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
