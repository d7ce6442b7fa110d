"""A LoRA's starting weights from an adapter file: what fits, and how it is taken over."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from peft.tuners.lora import Linear as LoraLinear

from reeltune.adapters.changes import Change, Decomposed, LowRank
from reeltune.adapters.lora_layers import ADAPTER, down_of, lengths_of, up_of
from reeltune.errors import ConfigError


@torch.no_grad()
def take_over(layers: Mapping[str, LoraLinear], changes: Mapping[str, Change]) -> None:
    """Let the layers act as the changes of the same names say, from where training goes on.

    A file's own scale is put into B. Raises ConfigError that names the first layer that does not fit, and changes
    nothing then.
    """
    require_lora(changes)
    _require_the_same_layers(layers, changes)
    fitting = {name: _fitting(name, layer, changes[name]) for name, layer in layers.items()}
    for name, layer in layers.items():
        pair, lengths = fitting[name], lengths_of(layer)
        down_of(layer).weight.copy_(pair.down)
        up_of(layer).weight.copy_(pair.up * (pair.scale / layer.scaling[ADAPTER]))
        change = changes[name]
        if lengths is not None and isinstance(change, Decomposed):
            lengths.copy_(change.magnitude.flatten())


def refuse_two_starts(kind: str) -> None:
    """Refuse a file beside another start, which would be lost."""
    raise ConfigError(
        f"init_lora and lora_init_type={kind} each say where the LoRA starts: keep one. With a file: "
        "lora_init_type=default."
    )


def require_lora(changes: Mapping[str, Change]) -> None:
    """Refuse changes of another kind than LoRA and DoRA. Raises ConfigError."""
    for name, change in changes.items():
        pair = change.inner if isinstance(change, Decomposed) else change
        if not isinstance(pair, LowRank):
            raise ConfigError(
                f"init_lora: the file's change of {name} is no LoRA but of the kind {type(pair).__name__}. Train with "
                "lora_type=lycoris and the settings that it was made with, or name a LoRA."
            )


def _require_the_same_layers(layers: Mapping[str, LoraLinear], changes: Mapping[str, Change]) -> None:
    lacking = [name for name in layers if name not in changes]
    superfluous = [name for name in changes if name not in layers]
    for names, problem in ((lacking, "has nothing for"), (superfluous, "changes")):
        if names:
            others = f" and {len(names) - 1} more" if len(names) > 1 else ""
            because = "which this run adapts" if names is lacking else "which this run does not adapt"
            raise ConfigError(
                f"init_lora: the file {problem} {names[0]}{others}, {because}. Let peft_lora_target_modules and "
                f"lora_blocks choose the file's {len(changes)} layers."
            )


def _fitting(name: str, layer: LoraLinear, change: Change) -> LowRank:
    """Return a change's pair. Raises ConfigError where it is of another kind or size than the layer's own."""
    is_dora = lengths_of(layer) is not None
    if isinstance(change, Decomposed) != is_dora:
        there, here = ("DoRA", "plain LoRA") if isinstance(change, Decomposed) else ("plain LoRA", "DoRA")
        setting = "false" if is_dora else "true"
        raise ConfigError(f"init_lora: the file is {there}, and this run trains {here}. Set use_dora={setting}.")
    if isinstance(change, Decomposed) and not change.by_rows:
        raise ConfigError(f"init_lora: {name} keeps the lengths of columns; LoRA's DoRA here keeps those of rows.")
    pair = change.inner if isinstance(change, Decomposed) else change
    assert isinstance(pair, LowRank)
    _require_size(name, layer, pair)
    return pair


def _require_size(name: str, layer: LoraLinear, pair: LowRank) -> None:
    rank, own = pair.down.shape[0], layer.r[ADAPTER]
    if rank != own:
        raise ConfigError(f"init_lora: the file has rank {rank} at {name}, this run {own}. Set lora_rank={rank}.")
    there = (pair.down.shape[1], pair.up.shape[0])
    if there != (layer.in_features, layer.out_features):
        raise ConfigError(
            f"init_lora: the file was made for {name} with {there[0]} inputs and {there[1]} outputs; this base has "
            f"{layer.in_features} and {layer.out_features}. Name a file that was trained on a base of this size."
        )
