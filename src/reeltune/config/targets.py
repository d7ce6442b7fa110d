"""Which linear layers a LoRA adapts: groups, endings of names, patterns, and ranges of blocks. Without torch.

An entry of `peft_lora_target_modules` is one of
- `attention`, `ffn`, `all-linear`: attention's layers, the other layers of the blocks, every linear layer there is;
- the end of layers' names, whole parts of it: `to_q`, `attn1.to_q`, `ffn.net.2`, `proj_out`;
- a pattern of whole names with `*`, `?` or `[...]`, as in a shell; `*` goes over dots: `blocks.1?.attn1.*`.

With `lora_blocks` only layers in those blocks are adapted, and none outside the blocks.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from reeltune.config.adapter import AdapterOptions
from reeltune.config.block_ranges import kept_blocks, parse_ranges
from reeltune.config.document import read_document
from reeltune.config.json_text import parse_json
from reeltune.config.problems import nearest, shortened
from reeltune.contracts.facts import Facts
from reeltune.contracts.layers import LinearLayer
from reeltune.errors import ConfigError, listed

GROUPS = ("attention", "ffn", "all-linear")

TARGETS = "peft_lora_target_modules"


@dataclass(frozen=True)
class Entry:
    """One target as it was written, and where."""

    text: str
    where: str


def check_targets(options: AdapterOptions) -> None:
    """Raise ConfigError for targets or blocks that no model could have: what can be told without the layers."""
    _entries(options)
    if options.lora_blocks is not None:
        parse_ranges(options.lora_blocks)


def target_entries(options: AdapterOptions) -> tuple[str, ...]:
    """Return the targets as they are written, in the option or in the file that it names. Raises ConfigError."""
    return tuple(entry.text for entry in _entries(options))


def chosen_layers(layers: Sequence[LinearLayer], options: AdapterOptions, facts: Facts) -> tuple[LinearLayer, ...]:
    """Return the layers that a LoRA adapts, in the order of the model.

    layers: all linear layers of the transformer.
    Raises ConfigError that lists the entries that match no layer, and ranges without blocks.
    """
    entries = _entries(options)
    kept = _kept(layers, options, facts)
    within = [layer for layer in layers if kept is None or _block_of(layer.name, facts) in kept]
    problems = [
        f"{entry.where}: {_unmatched(entry.text, layers, within, facts)}"
        for entry in entries
        if not any(_matches(entry.text, layer.name, facts) for layer in within)
    ]
    if problems:
        raise ConfigError(listed("layers that the LoRA adapts", problems))
    return tuple(layer for layer in within if any(_matches(entry.text, layer.name, facts) for entry in entries))


def _entries(options: AdapterOptions) -> tuple[Entry, ...]:
    """Return the targets; unset is attention. Raises ConfigError."""
    value = options.peft_lora_target_modules
    if value is None:
        return (Entry("attention", TARGETS),)
    entries = _from_text(value) if isinstance(value, str) else tuple(Entry(text, TARGETS) for text in value)
    if not entries:
        raise ConfigError(f"{TARGETS} is empty: nothing would be trained. Name layers, or leave it out for attention.")
    for entry in entries:
        if not entry.text.strip("."):
            raise ConfigError(f"{entry.where}: an entry is empty. Write attention, ffn, or the end of a layer's name.")
    return entries


def _from_text(text: str) -> tuple[Entry, ...]:
    """Read a JSON list, a file's name, or names with commas."""
    if text.lstrip().startswith("["):
        try:
            return tuple(Entry(one, TARGETS) for one in _texts(parse_json(text), TARGETS))
        except ValueError as error:
            raise ConfigError(f"{TARGETS} is {shortened(text)}, which is no JSON list: {error}") from error
    place = os.path.expanduser(text)
    if text.endswith(".json") or os.path.isfile(place):
        return _from_file(Path(place))
    return tuple(Entry(part.strip(), TARGETS) for part in text.split(",")) if text.strip() else ()


def _from_file(path: Path) -> tuple[Entry, ...]:
    document = read_document(path)
    texts = _texts(document.content, str(path))
    return tuple(Entry(text, document.where((place,))) for place, text in enumerate(texts))


def _texts(content: object, where: str) -> list[str]:
    if not isinstance(content, list) or not all(isinstance(one, str) for one in content):
        raise ConfigError(f'{where}: a list of names is needed, such as ["attention", "ffn"]')
    return content


def _matches(entry: str, name: str, facts: Facts) -> bool:
    """Return whether an entry means the layer of a name."""
    if entry == "all-linear":
        return True
    if entry in ("attention", "ffn"):
        if _block_of(name, facts) is None:
            return False
        attention = any(_ends(name, ending) for ending in facts.adapter_targets)
        return attention if entry == "attention" else not attention
    return fnmatchcase(name, entry) if _is_pattern(entry) else _ends(name, entry)


def _ends(name: str, ending: str) -> bool:
    return name == ending or name.endswith(f".{ending}")


def _is_pattern(entry: str) -> bool:
    return any(sign in entry for sign in "*?[")


def _unmatched(entry: str, layers: Sequence[LinearLayer], within: Sequence[LinearLayer], facts: Facts) -> str:
    """Say why an entry is nothing, and what is nearest to it."""
    if len(within) < len(layers) and any(_matches(entry, layer.name, facts) for layer in layers):
        return f"{entry!r} matches no layer in blocks that lora_blocks keeps; unset lora_blocks, or name others"
    if _is_pattern(entry):
        whole = f"; a pattern is for whole names, such as {layers[0].name}" if layers else ""
        return f"{entry!r} matches no layer{whole}"
    known = dict.fromkeys([*GROUPS, *facts.block_layers, *facts.outer_layers, *_endings(layers)])
    return f"no layer's name ends in {entry!r}{nearest(entry, known)}"


def _endings(layers: Sequence[LinearLayer]) -> list[str]:
    """Return the names of layers and all their endings."""
    parts = [layer.name.split(".") for layer in layers]
    return [".".join(one[start:]) for one in parts for start in range(len(one))]


def _kept(layers: Sequence[LinearLayer], options: AdapterOptions, facts: Facts) -> frozenset[int] | None:
    """Return the numbers of the blocks that are adapted; None for no restriction."""
    if options.lora_blocks is None:
        return None
    numbers = (_block_of(layer.name, facts) for layer in layers)
    count = 1 + max((number for number in numbers if number is not None), default=-1)
    return kept_blocks(parse_ranges(options.lora_blocks), count)


def _block_of(name: str, facts: Facts) -> int | None:
    """Return the number of the block that a layer is in; None outside the blocks."""
    start, _, rest = name.partition(f"{facts.blocks}.")
    number = rest.partition(".")[0]
    return int(number) if not start and number.isdecimal() else None
