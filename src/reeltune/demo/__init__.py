"""A tiny Wan and a few cartoon clips, made on the spot, so that a first run needs no download."""
