"""Frozen weights in eight bits: which layers, and how."""
