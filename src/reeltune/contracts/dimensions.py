"""The size of a video transformer: what its cost in operations and memory follows from. Arithmetic only; no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Dimensions:
    """The dimensions of a transformer of blocks with self-attention, cross-attention to text, and a feed-forward.

    ffn: inner width of the feed-forward. text_width: of the text encoder's embeddings. text_tokens: padding included.
    time_width: of the sinusoids of the noise level. channels, patch: of the latents, as in `LatentGeometry`.
    """

    layers: int
    heads: int
    head_width: int
    ffn: int
    text_width: int = 4096
    text_tokens: int = 512
    time_width: int = 256
    channels: int = 16
    patch: tuple[int, int, int] = (1, 2, 2)

    @property
    def width(self) -> int:
        return self.heads * self.head_width
