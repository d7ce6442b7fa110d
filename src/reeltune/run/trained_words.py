"""What is trained, in words: for the plan's page and for model cards. No torch."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise

from reeltune.config.lycoris import Algo, LayerSettings, LycorisConfig, lycoris_of
from reeltune.config.lycoris_choice import LycorisLayer
from reeltune.config.root import Config
from reeltune.contracts.facts import Facts
from reeltune.contracts.layers import LinearLayer
from reeltune.contracts.outcome import ResultKind

ALGORITHMS: Mapping[str, str] = {
    "lora": "LoRA",
    "loha": "LoHa",
    "lokr": "LoKr",
    "full": "full differences",
    "ia3": "IA3",
    "dylora": "DyLoRA",
    "diag-oft": "diagonal OFT",
    "boft": "BOFT",
    "glora": "GLoRA",
}
"""LyCORIS' algorithms as people call them."""

RANKED: Collection[Algo] = ("lora", "loha", "dylora", "glora")
"""Those whose size is a rank, and whose alpha counts."""

STARTS = {"default": "", "gaussian": "", "pissa": ", started as PiSSA", "olora": ", started as OLoRA"}


def kind_in_words(config: Config) -> str:
    """Return what is trained and how large it is."""
    adapter = config.adapter
    if config.model.model_type == "full":
        return "the whole transformer"
    if adapter.lora_type == "lycoris":
        assert adapter.lycoris_config
        return _lycoris(lycoris_of(adapter.lycoris_config))
    alpha = adapter.lora_rank if adapter.lora_alpha is None else adapter.lora_alpha
    return f"{short_name(config)}, rank {adapter.lora_rank}, alpha {alpha:g}{STARTS[adapter.lora_init_type]}"


def short_name(config: Config) -> str:
    """Return the kind of adapter in a word or two. The configuration must be for an adapter."""
    adapter = config.adapter
    if adapter.lora_type == "lycoris":
        assert adapter.lycoris_config
        return f"LyCORIS {ALGORITHMS[lycoris_of(adapter.lycoris_config).algo]}"
    return "DoRA" if adapter.use_dora else "LoRA"


def result_kind(config: Config) -> ResultKind:
    """Return what kind of files a run leaves behind."""
    if config.model.model_type == "full":
        return "full"
    if config.adapter.lora_type != "lycoris":
        return "lora"
    assert config.adapter.lycoris_config
    described = lycoris_of(config.adapter.lycoris_config)
    all_settings = (described, *_own_settings(described))
    return "lycoris-to-merge" if any(map(_without_loader, all_settings)) else "lycoris"


def _without_loader(settings: LayerSettings) -> bool:
    """Tell what lycoris-lora 4.1.3 writes and cannot load from a file alone: IA3, and lengths of columns."""
    return settings.algo == "ia3" or bool(settings.weight_decompose and settings.wd_on_output is False)


def not_in_comfyui(one: LycorisLayer) -> str | None:
    """Return what of a layer's change ComfyUI has no rule for; `adapters.layouts` decides when files are written."""
    settings = one.settings
    assert settings.algo
    if settings.algo == "ia3":
        return ALGORITHMS[settings.algo]
    return "diagonal OFT with rescaled" if settings.algo == "diag-oft" and settings.rescaled else None


def _lycoris(config: LycorisConfig) -> str:
    own = [algo for algo in _others(config) if algo != config.algo]
    also = f", with {' and '.join(ALGORITHMS[algo] for algo in own)} for some layers" if own else ""
    return f"LyCORIS {', '.join([ALGORITHMS[config.algo], *_sizes(config)])}{also}"


def _factor(factor: int | None) -> str:
    return "as even as possible" if factor in (None, -1) else str(factor)


def _others(config: LycorisConfig) -> list[Algo]:
    """Return the algorithms that are set for some layers apart from the others."""
    return list(dict.fromkeys(settings.algo for settings in _own_settings(config) if settings.algo))


def _own_settings(config: LycorisConfig) -> tuple[LayerSettings, ...]:
    preset = config.apply_preset
    return (*preset.module_algo_map.values(), *preset.name_algo_map.values())


def _sizes(config: LycorisConfig) -> Iterator[str]:
    if config.algo == "lokr":
        factors = list(dict.fromkeys([config.factor, *(one.factor for one in _own_settings(config) if one.factor)]))
        yield f"factor{'s' * (len(factors) > 1)} {' and '.join(map(_factor, factors))}"
    if config.algo in RANKED or (config.algo == "lokr" and not config.full_matrix):
        yield f"rank {config.linear_dim}"
    if config.algo in RANKED:
        yield f"alpha {config.linear_alpha:g}"
    if config.algo in ("diag-oft", "boft"):
        yield f"blocks of {config.linear_dim}"
    if config.weight_decompose:
        yield "decomposed as in DoRA"


def layers_in_words(layers: Sequence[LinearLayer], facts: Facts, *, blocks: int) -> str:
    """Return which kinds of layers these are, and of which blocks. blocks: how many the transformer has."""
    found: dict[str, set[int]] = {}
    outer = []
    for layer in layers:
        index, _, name = layer.name.removeprefix(f"{facts.blocks}.").partition(".")
        if layer.name.startswith(f"{facts.blocks}.") and index.isdecimal():
            found.setdefault(name, set()).add(int(index))
        else:
            outer.append(layer.name)
    inside = f"{', '.join(_kinds(found, facts))} of {_places(set().union(*found.values()), blocks)}" if found else ""
    outside = "all outside the blocks" if set(outer) == set(facts.outer_layers) else ", ".join(outer)
    return "; ".join(filter(None, [inside, outside]))


def _kinds(names: Collection[str], facts: Facts) -> Iterator[str]:
    """Yield attention and feed-forward where all of their layers are there, else the layers' names."""
    attention = set(facts.adapter_targets)
    for kind, group in (("attention", attention), ("feed-forward", set(facts.block_layers) - attention)):
        there = [name for name in names if name in group]
        yield from [kind] if len(there) == len(group) else there


def _places(indices: Collection[int], blocks: int) -> str:
    if len(indices) == blocks:
        return "all blocks"
    ordered = sorted(indices)
    starts = [ordered[0], *(b for a, b in pairwise(ordered) if b != a + 1)]
    ends = [*(a for a, b in pairwise(ordered) if b != a + 1), ordered[-1]]
    ranges = [str(a) if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True)]
    return f"block{'s' * (len(ordered) > 1)} {', '.join(ranges)}"
