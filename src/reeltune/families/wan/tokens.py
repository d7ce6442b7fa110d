"""How many tokens a caption has for Wan's text encoder, counted without loading it. No torch."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from pathlib import Path

from reeltune.errors import ModelError


class TokenCounter:
    """Counts with the tokenizer's own file. file: tokenizer.json. Raises ModelError where it is damaged."""

    def __init__(self, file: Path) -> None:
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_file(str(file))
        # All of them: the library raises Exception itself.
        except Exception as error:
            raise ModelError(f"{file} cannot be read as a tokenizer: {error}") from error
        # The file may say that texts are cut and filled up, and what is cut off is what is asked for.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def __call__(self, captions: Sequence[str]) -> list[int]:
        """Return the tokens of each caption, its end mark counted, nothing cut off."""
        cleaned = [clean(caption) for caption in captions]
        return [len(encoding.ids) for encoding in self._tokenizer.encode_batch(cleaned)]


def clean(caption: str) -> str:
    """Return a caption as the stock pipeline hands it to the tokenizer.

    Source: prompt_clean of diffusers' Wan pipeline: broken encodings mended, HTML's escapes undone twice, blanks
    joined.
    """
    import ftfy

    text = html.unescape(html.unescape(ftfy.fix_text(caption))).strip()
    return re.sub(r"\s+", " ", text).strip()
