"""Composition: the only library room that sees the whole configuration and every other room."""
