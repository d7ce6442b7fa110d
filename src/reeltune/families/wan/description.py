"""What can be told of a Wan model before anything is fetched or loaded. No torch, no network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from reeltune.config.model import ModelOptions
from reeltune.contracts.dimensions import Dimensions
from reeltune.contracts.layers import LinearLayer
from reeltune.families.sources import Location, local_folder, locate, read_config, read_layout, require_present
from reeltune.families.wan.layers import linear_layers
from reeltune.families.wan.sources import single_file, sources_of, vae_file
from reeltune.families.wan.tokens import TokenCounter
from reeltune.families.wan.variants import RELEASED, WAN_21, refuse_other_autoencoders, refuse_relatives

FACTS = WAN_21


def check(options: ModelOptions) -> None:
    """Refuse what is missing, and a relative by its configuration or its file, where that is on this machine.

    Raises ModelError.
    """
    for source in sources_of(options).all():
        require_present(source)
    sources = sources_of(options)
    folder = local_folder(sources.transformer)
    if single_file(options) is None and folder:
        refuse_relatives(sources.transformer.place, read_config(folder), read_layout(folder))
    folder = local_folder(sources.vae)
    if vae_file(options) is None and folder:
        refuse_other_autoencoders(str(folder), read_config(folder))


def dimensions(options: ModelOptions) -> Dimensions | None:
    """Return the transformer's size: by its configuration or its shapes, by the name of its release, or not at all."""
    source = sources_of(options).transformer
    if file := single_file(options):
        return _configured(file.config())
    folder = local_folder(source)
    return _configured(read_config(folder)) if folder else RELEASED.get(source.place)


def layers(options: ModelOptions) -> tuple[LinearLayer, ...]:
    """Return the transformer's linear layers; none where its size is not known."""
    size = dimensions(options)
    return linear_layers(size) if size else ()


def locations(options: ModelOptions) -> list[Location]:
    """Return where each part is now."""
    return [locate(source) for source in sources_of(options).all()]


def token_counter(options: ModelOptions) -> Callable[[Sequence[str]], list[int]] | None:
    """Return what counts tokens with the model's own tokenizer; None where its file is not on this machine."""
    folder = local_folder(sources_of(options).tokenizer)
    file = folder / "tokenizer.json" if folder else None
    return TokenCounter(file) if file and file.is_file() else None


def _configured(config: dict[str, Any]) -> Dimensions:
    return Dimensions(
        layers=config["num_layers"],
        heads=config["num_attention_heads"],
        head_width=config["attention_head_dim"],
        ffn=config["ffn_dim"],
        text_width=config["text_dim"],
        text_tokens=WAN_21.text_length,
        time_width=config["freq_dim"],
        channels=config["in_channels"],
        patch=tuple(config["patch_size"]),
    )
