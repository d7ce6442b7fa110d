"""How many operations a LoRA step of Wan needs, and how many a GPU can do."""

from __future__ import annotations

from dataclasses import dataclass

from reeltune.families.wan.family import FACTS

PEAK_TFLOPS = {"H100 80GB HBM3": 989.0, "H200": 989.0, "A100": 312.0, "RTX 4090": 165.0}
"""Dense bfloat16 with float32 sums, by part of the GPU's name. Source: NVIDIA's data sheets."""


@dataclass(frozen=True)
class Size:
    """The dimensions of a Wan transformer. text_width: of the text encoder's embeddings."""

    heads: int
    head_width: int
    layers: int
    ffn: int
    text_width: int = 4096
    time_width: int = 256

    @property
    def width(self) -> int:
        return self.heads * self.head_width


SIZES = {
    "1.3B": Size(heads=12, head_width=128, layers=30, ffn=8960),
    "14B": Size(heads=40, head_width=128, layers=40, ffn=13824),
    "tiny": Size(heads=4, head_width=16, layers=2, ffn=128, text_width=32),
}


def linear_forward_flop(size: Size, *, tokens: int, text_tokens: int = FACTS.text_length) -> int:
    """Return the operations of the blocks' linear layers for one sample, a multiplication and its addition being two.

    Per token: q, k, v, o of the self-attention and q, o of the cross-attention, 2 d^2 each; the feed-forward, 4 d f.
    Per text token: k, v of the cross-attention. Left out: patches, text and time embeddings, modulation and the head,
    together a thousandth at real shapes.
    """
    d, f = size.width, size.ffn
    return size.layers * (tokens * (12 * d**2 + 4 * d * f) + text_tokens * 4 * d**2)


def attention_forward_flop(size: Size, *, tokens: int, text_tokens: int = FACTS.text_length) -> int:
    """Return the operations of the blocks' self- and cross-attention for one sample.

    Scores and values, 2 N M d each, for N queries and M keys; the softmax is left out.
    """
    return size.layers * 4 * tokens * (tokens + text_tokens) * size.width


def lora_step_flop(size: Size, *, tokens: int, text_tokens: int = FACTS.text_length) -> int:
    """Return the operations of forward and backward for one sample: what the model needs, not what is recomputed.

    Linear layers twice, for a frozen weight needs no gradient of its own; attention three times. The adapter, one or
    two percent of the linear layers, is left out.
    Source of counting without recomputation: Chowdhery et al. 2022, arXiv:2204.02311, appendix B.
    """
    linear = linear_forward_flop(size, tokens=tokens, text_tokens=text_tokens)
    return 2 * linear + 3 * attention_forward_flop(size, tokens=tokens, text_tokens=text_tokens)


def known_peak_tflops(gpu: str) -> float | None:
    """Return the peak of a GPU by its name, None for one that is not in the table."""
    return next((peak for part, peak in PEAK_TFLOPS.items() if part in gpu), None)
