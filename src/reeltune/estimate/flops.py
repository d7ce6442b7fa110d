"""How many operations a step needs: a multiplication and its addition are two.

Letters: d width, f inner width of the feed-forward, N video tokens, M text tokens. Everything is for one sample. Left
out are the softmax, norms, patches, text and time embeddings, modulation, the head and the adapter: together one or two
percent at real shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from reeltune.contracts.dimensions import Dimensions

TrainedPart = Literal["adapter", "full"]
"""What is trained: an adapter on a frozen base, or the base itself."""

Recomputation = Literal["full", "selective", "none"]
"""What the backward pass computes anew: whole blocks; blocks without their attention, whose result is kept; nothing."""

Block = TypeVar("Block")

Tokens = int | Sequence[int]
"""Video tokens of a sample. A sequence gives each block its own number, as under token routing."""

_RECOMPUTED: dict[Recomputation, tuple[int, int]] = {"full": (1, 1), "selective": (1, 0), "none": (0, 0)}
"""Further forward passes of the linear layers, and of attention."""

_LINEAR_PASSES: dict[TrainedPart, int] = {"adapter": 2, "full": 3}
"""Forward, gradient of the input, and gradient of the weight where it is trained."""


@dataclass(frozen=True)
class Operations:
    """Operations by what they run on, for a GPU multiplies matrices faster than it attends."""

    linear: int
    attention_forward: int
    attention_backward: int = 0

    @property
    def total(self) -> int:
        return self.linear + self.attention_forward + self.attention_backward

    def times(self, count: int) -> Operations:
        """Return the operations of doing the same so often."""
        return Operations(self.linear * count, self.attention_forward * count, self.attention_backward * count)


def linear_forward(dimensions: Dimensions, tokens: Tokens) -> int:
    """Return the operations of the blocks' linear layers.

    Per video token 12 d^2 + 4 d f: q, k, v, o of self-attention, q and o of cross-attention, the feed-forward. Per text
    token 4 d^2: k and v of cross-attention.
    """
    return _linear(dimensions, tokens_by_block(dimensions, tokens))


def attention_forward(dimensions: Dimensions, tokens: Tokens) -> int:
    """Return the operations of the blocks' self- and cross-attention: 4 N (N + M) d, scores and values."""
    return _attention(dimensions, tokens_by_block(dimensions, tokens))


def forward_operations(dimensions: Dimensions, tokens: Tokens) -> Operations:
    """Return the operations of one forward pass, as in rendering."""
    return Operations(linear_forward(dimensions, tokens), attention_forward(dimensions, tokens))


def step_operations(
    dimensions: Dimensions,
    tokens: Tokens,
    *,
    trained: TrainedPart = "adapter",
    recomputation: Recomputation = "full",
    every: int = 1,
) -> Operations:
    """Return the operations of forward and backward, with what is recomputed.

    every: only each so-many-th block is recomputed, the first among them. Attention's backward counts 2.5 forwards: it
    computes the scores again, and four products more.
    Source: Dao 2023, arXiv:2307.08691, section 4.1.
    """
    linear, attention = linear_forward(dimensions, tokens), attention_forward(dimensions, tokens)
    linear_again, attention_again = _RECOMPUTED[recomputation]
    recomputed = recomputed_blocks(tokens_by_block(dimensions, tokens), every)
    return Operations(
        linear=linear * _LINEAR_PASSES[trained] + _linear(dimensions, recomputed) * linear_again,
        attention_forward=attention + _attention(dimensions, recomputed) * attention_again,
        attention_backward=attention * 5 // 2,
    )


def model_operations(dimensions: Dimensions, tokens: Tokens, *, trained: TrainedPart = "adapter") -> Operations:
    """Return what forward and backward need when nothing is computed twice: the measure of utilisation.

    Source: Chowdhery et al. 2022, arXiv:2204.02311, appendix B.
    """
    attention = attention_forward(dimensions, tokens)
    return Operations(linear_forward(dimensions, tokens) * _LINEAR_PASSES[trained], attention, 2 * attention)


def recomputed_blocks(by_block: Sequence[Block], every: int) -> Sequence[Block]:
    """Return what belongs to the blocks that are recomputed: those numbered 0, `every`, twice `every` and so on."""
    return by_block[::every]


def tokens_by_block(dimensions: Dimensions, tokens: Tokens) -> Sequence[int]:
    """Return the video tokens that each block sees."""
    if isinstance(tokens, int):
        return [tokens] * dimensions.layers
    assert len(tokens) == dimensions.layers, (len(tokens), dimensions.layers)
    return tokens


def _linear(dimensions: Dimensions, tokens: Sequence[int]) -> int:
    d, f = dimensions.width, dimensions.ffn
    text = dimensions.text_tokens * 4 * d**2
    return sum(n * (12 * d**2 + 4 * d * f) + text for n in tokens)


def _attention(dimensions: Dimensions, tokens: Sequence[int]) -> int:
    d, m = dimensions.width, dimensions.text_tokens
    return sum(4 * n * (n + m) * d for n in tokens)
