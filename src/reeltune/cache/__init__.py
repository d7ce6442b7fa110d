"""Encode once: clips and captions as tensors on disk, named by everything that made them."""
