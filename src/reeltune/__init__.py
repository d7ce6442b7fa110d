"""reeltune: fine-tune Wan 2.1 text-to-video models from a folder of captioned clips."""

__version__ = "0.1.0"
