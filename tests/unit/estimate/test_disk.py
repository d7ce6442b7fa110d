"""Sizes on the disk: against files that are really written."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from reeltune.cache.store import TensorStore
from reeltune.estimate.disk import checkpoint_bytes, checkpoints_to_come, latent_entry_bytes, text_entry_bytes

HEADER_BYTES = 1000


def test_cache_entries_have_the_size_of_their_files(tmp_path: Path) -> None:
    store = TensorStore(tmp_path)
    for key, tensor, expected in (
        ("aa", torch.zeros(16, 3, 8, 12), latent_entry_bytes((16, 3, 8, 12))),
        ("bb", torch.zeros(37, 64, dtype=torch.bfloat16), text_entry_bytes(37, 64)),
        ("cc", torch.zeros(37, 64), text_entry_bytes(37, 64, value_bytes=4)),
    ):
        store.write(key, tensor)
        assert 0 < store.path(key).stat().st_size - expected < HEADER_BYTES


def test_a_clip_of_480p_has_the_size_worked_out_by_hand() -> None:
    # 21 latent frames of 60x104 with 16 channels.
    assert latent_entry_bytes((16, 21, 60, 104)) / 1e6 == pytest.approx(8.39, abs=0.01)


def test_a_checkpoint_holds_weights_states_and_both_layouts() -> None:
    # 11.8 million weights: itself and two layouts, 4 bytes each, and Adam's 8.
    count = 11_796_480
    assert checkpoint_bytes(count, state_bytes=8, averaged=False) == count * (3 * 4 + 8)
    assert checkpoint_bytes(count, state_bytes=8, averaged=True) == count * (6 * 4 + 8)


def test_a_whole_model_s_checkpoint_holds_its_weights_as_they_compute_twice() -> None:
    # Per weight: the master, Adam's two moments, and bfloat16 for diffusers and for ComfyUI: 16 bytes.
    assert checkpoint_bytes(14_300_000_000, state_bytes=8, averaged=False, published_bytes=2) / 1e9 == pytest.approx(
        228.8
    )


@pytest.mark.parametrize(
    ("done", "every", "limit", "there", "count"),
    [
        # All that are written, where all are kept; one more than are kept, where they are not.
        (0, 30, 5, 0, 4),
        (0, 30, 2, 0, 3),
        (0, 10, 1, 0, 2),
        (0, 0, 5, 0, 1),
        (0, 500, 5, 0, 1),
        # Those that lie there have their room, and some of the rest is done.
        (40, 30, 5, 1, 3),
        (60, 10, 5, 5, 1),
        (90, 10, 5, 2, 1),
        # Fewer are to be kept than lie there: the next comes before they go.
        (60, 10, 1, 5, 1),
        (100, 10, 5, 3, 0),
    ],
)
def test_room_is_for_the_checkpoints_that_are_there_at_once(
    done: int, every: int, limit: int, there: int, count: int
) -> None:
    assert checkpoints_to_come(100, done=done, every=every, limit=limit, there=there) == count
