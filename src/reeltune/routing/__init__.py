"""Token routing (TREAD): which blocks see how many video tokens, and which tokens a step keeps."""
