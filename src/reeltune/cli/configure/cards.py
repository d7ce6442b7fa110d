"""Values that suit a model on a GPU, each with its reason in words for the user.

By `estimate.memory`, no stage takes more than 87 % of the GPU, with an adapter of rank 32 and samples of full length.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reeltune.config.model import FLAVOURS

SMALL, LARGE = "1.3b", "14b"

MODELS: Mapping[str, str] = {SMALL: FLAVOURS["t2v-480p-1.3b-2.1"], LARGE: FLAVOURS["t2v-480p-14b-2.1"]}
"""The released models by the short names that are asked for."""


@dataclass(frozen=True)
class Card:
    """What suits a model on a GPU of so many GB. num_frames: the most. whys: the reason of each value, by option."""

    gb: int
    whys: Mapping[str, str]
    train_batch_size: int = 1
    base_model_precision: str = "no_change"
    text_encoder_1_precision: str = "no_change"
    resolution: int = 640
    num_frames: int = 81
    offload_during_startup: bool = True


_NATIVE = "the size that the model was trained at: 832x480, or its like for the shape of your clips"
_THIRD = "640x352, or its like for the shape of your clips: about a third of the time of 832x480"
_KEPT = "there is room for the text encoder and the autoencoder beside the model, so videos start at once"
_QUANT = 'pip install "reeltune[quant]"'


def _whys(**own: str) -> Mapping[str, str]:
    """Return the reasons of a row: its own, and the usual ones for what it leaves as it is."""
    usual = {
        "train_batch_size": "as many as fit",
        "base_model_precision": "no need to round: 2.8 GB",
        "text_encoder_1_precision": "11 GB fit, as nothing else is there yet",
        "resolution": _NATIVE,
        "offload_during_startup": "the text encoder (11 GB) leaves the GPU before training begins",
    }
    return usual | own


CARDS: Mapping[str, tuple[Card, ...]] = {
    SMALL: (
        Card(
            12,
            _whys(
                base_model_precision=f"8 bits leave 1.3 GB more for the clips; needs {_QUANT}",
                text_encoder_1_precision="its 11 GB do not fit beside a desktop; 8 bits halve them",
                resolution=_THIRD,
            ),
            base_model_precision="int8-quanto",
            text_encoder_1_precision="int8-quanto",
            resolution=480,
        ),
        Card(
            16,
            _whys(
                train_batch_size="two clips would fit, but each step would take twice as long",
                base_model_precision="2.8 GB in full precision fit",
                resolution=_THIRD,
            ),
            resolution=480,
        ),
        Card(24, _whys(train_batch_size="one clip of full size keeps the steps short")),
        Card(
            48,
            _whys(
                train_batch_size="two clips a step make a calmer gradient",
                text_encoder_1_precision="no need to round",
                offload_during_startup=_KEPT,
            ),
            train_batch_size=2,
            offload_during_startup=False,
        ),
        Card(
            80,
            _whys(
                train_batch_size="four clips a step make a calm gradient, and fit twice over",
                text_encoder_1_precision="no need to round",
                offload_during_startup=_KEPT,
            ),
            train_batch_size=4,
            offload_during_startup=False,
        ),
    ),
    LARGE: (
        Card(
            24,
            _whys(
                base_model_precision=f"28.6 GB of weights fit with 8 bits only: 14.5 GB; needs {_QUANT}",
                resolution="640x352, or its like for the shape of your clips: more does not fit",
            ),
            base_model_precision="int8-quanto",
            resolution=480,
            num_frames=17,
        ),
        Card(
            48,
            _whys(base_model_precision="28.6 GB in full precision fit with clips of three seconds", resolution=_THIRD),
            resolution=480,
            num_frames=49,
        ),
        Card(
            80,
            _whys(
                train_batch_size="one clip of full size and five seconds takes 54 of 80 GB",
                base_model_precision="28.6 GB in full precision fit",
                text_encoder_1_precision="no need to round",
            ),
        ),
    ),
}
"""By model, smallest GPU first."""

CARD_SIZES = tuple(card.gb for card in CARDS[SMALL])
PRECISE = 0.92
"""Part of its nominal memory that a GPU shows at least: some have less, as a 48 GB card with error correction."""


def card_for(model: str, memory_gb: float) -> tuple[Card, bool]:
    """Return the largest row that fits a GPU, and whether one does: else it is the smallest there is.

    memory_gb: in units of 2^30 bytes, as GPUs are sold.
    """
    fitting = [card for card in CARDS[model] if memory_gb >= PRECISE * card.gb]
    return (fitting[-1], True) if fitting else (CARDS[model][0], False)


def recommended_model(memory_gb: float) -> str:
    """Return the model that a GPU trains without compromises."""
    return LARGE if memory_gb >= PRECISE * 48 else SMALL
