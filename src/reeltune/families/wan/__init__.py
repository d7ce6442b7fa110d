"""Wan 2.1 text-to-video, through the diffusers classes as they are."""
