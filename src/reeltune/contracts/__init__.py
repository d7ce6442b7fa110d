"""The nouns: records that travel between rooms, and the protocols that rooms plug into."""
