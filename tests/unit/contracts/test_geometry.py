"""The geometry of a bucket is that of its frames and sides."""

from __future__ import annotations

from reeltune.contracts.clip import Bucket
from reeltune.contracts.geometry import LatentGeometry


def test_a_bucket_has_the_shape_and_tokens_of_its_frames_and_sides() -> None:
    # 9 frames are 1 + 2; 64 x 96 pixels are 8 x 12, in patches of 2 x 3 by 1: 4 x 4 of each frame.
    geometry = LatentGeometry(channels=5, spatial=8, temporal=4, patch=(1, 2, 3))
    bucket = Bucket(width=96, height=64, frames=9)
    assert geometry.shape_of(bucket) == (5, 3, 8, 12)
    assert geometry.tokens_of(bucket) == 3 * 4 * 4
