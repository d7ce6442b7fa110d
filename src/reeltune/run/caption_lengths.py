"""How long captions are for the text encoder, and which of them it cuts. No torch."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reeltune.config.root import Config
from reeltune.families import family_facts, family_token_counter


@dataclass(frozen=True)
class Lengths:
    """tokens: of each caption, at least one. limit: how many the text encoder reads."""

    tokens: Mapping[str, int]
    limit: int

    @property
    def cut(self) -> list[str]:
        """Return the captions of which the end is not read."""
        return [caption for caption, number in self.tokens.items() if number > self.limit]

    def in_words(self) -> str:
        """Say how long captions are and how many are cut."""
        median, longest = statistics.median(self.tokens.values()), max(self.tokens.values())
        spread = f"half of the captions have {median:g} tokens or fewer, the longest has {longest}"
        cut = len(self.cut)
        return f"{spread}; {cut or 'none'} {'are' if cut > 1 else 'is'} cut at the {self.limit} that the model reads"


def caption_lengths(captions: Iterable[str], config: Config) -> Lengths | None:
    """Count the tokens of captions, each once; None without captions, or where the tokenizer is not here yet."""
    different = list(dict.fromkeys(captions))
    count = family_token_counter(config.model)
    if count is None or not different:
        return None
    tokens = dict(zip(different, count(different), strict=True))
    return Lengths(tokens, family_facts(config.model).text_length)
