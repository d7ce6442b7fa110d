"""Options that name blocks of the transformer, against the number of blocks that it has. No torch."""

from __future__ import annotations

from collections.abc import Iterator

from reeltune.config.root import Config
from reeltune.errors import ConfigError
from reeltune.run.plan import segments_of


def check_depth(config: Config, layers: int) -> None:
    """Raise ConfigError, naming all of them, for blocks that a transformer of so many does not have."""
    if problems := [*_routes(config, layers), *_skipped(config, layers)]:
        raise ConfigError("\n".join(problems))


def _routes(config: Config, layers: int) -> Iterator[str]:
    try:
        segments_of(config, layers)
    except ConfigError as error:
        yield str(error)


def _skipped(config: Config, layers: int) -> Iterator[str]:
    missing = [layer for layer in config.rendering.validation_guidance_skip_layers or () if layer >= layers]
    if missing:
        yield (
            f"validation_guidance_skip_layers names {', '.join(map(str, missing))}, and the transformer has {layers} "
            f"blocks, counted from 0 to {layers - 1}."
        )
