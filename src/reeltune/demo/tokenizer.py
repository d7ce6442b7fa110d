"""A T5 tokenizer for the tiny model: the words of the captions, and single characters for everything else.

The vocabulary is counted, not trained, so that it is the same every time. Chinese prompts are covered character by
character: 3755 of them write 99.7 % of ordinary text.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Sequence
from itertools import chain

from transformers import T5Tokenizer

# The first three are where T5 has them: padding 0, end of text 1, unknown 2. The last one stands for a space.
SPECIAL = ("<pad>", "</s>", "<unk>", "▁")
# GB 2312 puts Chinese punctuation in row A1, wide Latin in A3, and the characters in common use in B0 to D7.
ROWS = (0xA1, 0xA3, *range(0xB0, 0xD8))
# Below any word, so that a word is never spelled out when it is known.
LETTER_SCORE = -20.0


def make_tokenizer(captions: Sequence[str]) -> T5Tokenizer:
    """Return a tokenizer that writes the captions without <unk>, ends with </s>, and pads on the right."""
    words = Counter(f"▁{word}" for caption in captions for word in re.findall(r"\w+", caption))
    total = max(1, words.total())
    ranked = sorted(words, key=lambda word: (-words[word], word))
    letters = dict.fromkeys(sorted(set(chain(*captions))) + alphabet())
    vocabulary = [(piece, 0.0) for piece in SPECIAL[:3]] + [(SPECIAL[3], LETTER_SCORE)]
    vocabulary += [(word, math.log(words[word] / total)) for word in ranked]
    vocabulary += [(letter, LETTER_SCORE) for letter in letters if not letter.isspace() and letter not in SPECIAL]
    return T5Tokenizer(vocab=vocabulary, extra_ids=0, model_max_length=512)


def alphabet() -> list[str]:
    """Return printable ASCII, the accented letters of western Europe, and common Chinese, in that order."""
    latin = [*string.ascii_letters, *string.digits, *string.punctuation, *map(chr, range(0xC0, 0x100))]
    # A few cells of the rows are empty.
    chinese = (bytes((row, cell)).decode("gb2312", "ignore") for row in ROWS for cell in range(0xA1, 0xFF))
    return [*latin, *filter(None, chinese)]
