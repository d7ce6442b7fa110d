"""How pixels become latents and latents become tokens. Arithmetic only; no torch.

Letters used throughout: F pixel frames, H W pixels, T h w latent frames and sides, C latent channels, N video tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

from reeltune.contracts.clip import Bucket


@dataclass(frozen=True)
class LatentGeometry:
    """The shape rules of one autoencoder and one patch embedding.

    channels: latent channels C.
    spatial: pixels per latent side.
    temporal: pixel frames per latent frame, after the first frame, which stands alone.
    patch: latent (frames, height, width) per token.
    """

    channels: int
    spatial: int
    temporal: int
    patch: tuple[int, int, int]

    @property
    def side_multiple(self) -> int:
        """Pixels that each side must be a multiple of."""
        return self.spatial * max(self.patch[1], self.patch[2])

    def usable_frames(self, frames: int) -> int:
        """Largest count of the form temporal * k + 1 that is <= frames; frames >= 1."""
        assert frames >= 1, frames
        return (frames - 1) // self.temporal * self.temporal + 1

    def latent_shape(self, *, frames: int, height: int, width: int) -> tuple[int, int, int, int]:
        """Return (C, T, h, w) for a clip of usable frames and aligned sides."""
        return (self.channels, 1 + (frames - 1) // self.temporal, height // self.spatial, width // self.spatial)

    def shape_of(self, bucket: Bucket) -> tuple[int, int, int, int]:
        """Return (C, T, h, w) of a bucket's samples."""
        return self.latent_shape(frames=bucket.frames, height=bucket.height, width=bucket.width)

    def tokens_of(self, bucket: Bucket) -> int:
        """Return N of a bucket's samples."""
        return self.tokens(frames=bucket.frames, height=bucket.height, width=bucket.width)

    def tokens(self, *, frames: int, height: int, width: int) -> int:
        """Return N, the length of the sequence that the transformer sees."""
        _, latent_frames, latent_height, latent_width = self.latent_shape(frames=frames, height=height, width=width)
        along_t, along_h, along_w = self.patch
        return (latent_frames // along_t) * (latent_height // along_h) * (latent_width // along_w)
