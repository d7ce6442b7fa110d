"""From a folder of clips to exact frames: find, probe, place, list, decode. Knows nothing of models."""
