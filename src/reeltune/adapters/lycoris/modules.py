"""lycoris' own modules, one for each layer, on the host in float32 with seeded starting values."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from reeltune.adapters.layers import is_quantized, linear_of, plain_weight
from reeltune.config.lycoris import LayerSettings
from reeltune.config.lycoris_choice import LycorisLayer
from reeltune.errors import ConfigError
from reeltune.machine.packages import missing

PREFIX = "lycoris"
"""What lycoris puts before the names of layers."""


def lycoris_name(layer: str) -> str:
    """Return what lycoris calls a layer: `blocks.0.attn1.to_q` is `lycoris_blocks_0_attn1_to_q`."""
    return f"{PREFIX}_{layer}".replace(".", "_")


def make_modules(transformer: nn.Module, chosen: Sequence[LycorisLayer], *, seed: int) -> dict[str, nn.Module]:
    """Return a module for each layer, by the layers' dotted names; the same numbers on every device and base.

    Raises ConfigError when the package is missing.
    """
    kinds = _kinds()
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.manual_seed(seed)
        return {one.layer.name: _made(kinds, linear_of(transformer, one.layer.name), one) for one in chosen}


def _kinds() -> dict[str, Any]:
    if problem := missing("lycoris-lora"):
        raise ConfigError(f"lora_type lycoris cannot be used: {problem}. Install that, or set lora_type to standard.")
    from lycoris.wrapper import network_module_dict

    # It writes to the standard output, a line for each layer, what the plan says already.
    logging.getLogger("LyCORIS").setLevel(logging.ERROR)
    return network_module_dict


def _made(kinds: dict[str, Any], layer: nn.Linear, one: LycorisLayer) -> nn.Module:
    settings = one.settings
    # Nothing but DoRA reads the weight: for the rest, memory that is never touched stands in for it.
    stand_in: Any = nn.utils.skip_init(nn.Linear, layer.in_features, layer.out_features, bias=layer.bias is not None)
    if settings.weight_decompose:
        _refuse_quantized(layer, one.layer.name)
        with torch.no_grad():
            stand_in.weight.copy_(plain_weight(layer))
    module = kinds[str(settings.algo)](lycoris_name(one.layer.name), stand_in, **_arguments(settings))
    # What it keeps of the layer is not read here, and would hold a second copy of the base.
    module.org_module, module.org_forward = [], None
    for copies in ("_org_weight", "org_bias"):
        if hasattr(module, copies):
            setattr(module, copies, [])
    return module.float().requires_grad_(True)


def _arguments(settings: LayerSettings) -> dict[str, Any]:
    """Return the settings by lycoris' own names. Its dropouts stay off: ours act on any base."""
    passed = settings.model_dump(exclude={"algo", "dim", "wd_on_output"})
    return {**passed, "lora_dim": settings.dim, "wd_on_out": settings.wd_on_output}


def _refuse_quantized(layer: nn.Linear, name: str) -> None:
    if is_quantized(layer):
        raise ConfigError(
            f"weight_decompose (DoRA) cannot be trained on {name}, which is quantized: the lengths of its rows would "
            "be those of rounded weights. Set base_model_precision to no_change, or leave weight_decompose out."
        )


@torch.no_grad()
def perturb_lokr(
    transformer: nn.Module, modules: dict[str, nn.Module], chosen: Sequence[LycorisLayer], norm: float, *, seed: int
) -> None:
    """Start LoKr from small changes: left all ones, right drawn with mean and deviation of the base's weight.

    norm: what is drawn is multiplied by it. Raises ConfigError when a layer's larger factor is a product, or there is
    no LoKr.
    """
    layers = [one.layer.name for one in chosen if one.settings.algo == "lokr"]
    if not layers:
        raise ConfigError("init_lokr_norm is set, and lycoris_config has no layer with algo lokr; leave it out")
    generator = torch.Generator().manual_seed(seed)
    for name in layers:
        module: Any = modules[name]
        if not (module.use_w1 and module.use_w2):
            raise ConfigError(
                f"init_lokr_norm needs whole factors, and those of {name} are products; "
                'set "full_matrix": true in lycoris_config, or leave init_lokr_norm out'
            )
        weight = plain_weight(linear_of(transformer, name)).float()
        drawn = torch.randn(module.lokr_w2.shape, generator=generator)
        module.lokr_w2.copy_((drawn * weight.std().cpu() + weight.mean().cpu()) * norm)
        module.lokr_w1.fill_(1)
        if isinstance(module.scalar, nn.Parameter):
            module.scalar.fill_(1)
