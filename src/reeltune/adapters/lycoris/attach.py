"""Putting a LyCORIS adapter on a transformer."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from reeltune.adapters.layers import linear_of
from reeltune.adapters.lycoris.adapter import Adapted, Lycoris
from reeltune.adapters.lycoris.dropouts import Dropouts
from reeltune.adapters.lycoris.modules import make_modules, perturb_lokr
from reeltune.config.lycoris import LycorisConfig
from reeltune.config.lycoris_choice import LycorisLayer


def attach_lycoris(
    transformer: nn.Module,
    config: LycorisConfig,
    chosen: Sequence[LycorisLayer],
    *,
    seed: int,
    lokr_norm: float | None = None,
) -> Lycoris:
    """Add an adapter to the chosen layers, and freeze the base. At first it changes nothing, to the bit.

    To be done where the base has its place and its number type. seed: of the random halves, drawn on the host in
    float32. lokr_norm: LoKr starts from small changes instead, this many times as large as the base's weights.
    Raises ConfigError when the package is missing, or a layer cannot carry its algorithm.
    """
    modules = make_modules(transformer, chosen, seed=seed)
    if lokr_norm is not None:
        perturb_lokr(transformer, modules, chosen, lokr_norm, seed=seed)
    transformer.requires_grad_(False)
    adapted = {}
    for one in chosen:
        layer = linear_of(transformer, one.layer.name)
        adapted[one.layer.name] = Adapted(layer, modules[one.layer.name].to(layer.weight.device), one.settings)
    dropouts = Dropouts(config.dropout, config.rank_dropout, config.module_dropout)
    return Lycoris(transformer, adapted, config.multiplier, dropouts)
