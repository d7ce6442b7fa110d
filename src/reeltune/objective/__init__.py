"""The mathematics of flow matching: noise levels, the path from clean to noise, and the loss."""
