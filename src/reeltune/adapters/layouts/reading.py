"""Adapter files of any layout, read by their keys alone: our own, and those of other trainers.

Every tensor must belong to a change that is known here; one that does not is an error, since what is passed over in
silence is missing from every picture.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from reeltune.adapters.about import Layout, read_metadata
from reeltune.adapters.changes import Butterfly, Change, Decomposed, Rotation
from reeltune.adapters.layouts.forms import DORA, ENDINGS, FORMS, Form, Parts
from reeltune.adapters.layouts.names import PREFIXES, Names
from reeltune.adapters.layouts.sizes import require_whole
from reeltune.adapters.layouts.stretched import Stretched
from reeltune.contracts.facts import Facts
from reeltune.errors import ModelError

OVER_BASE = "dora_scale_over_base"
"""What our own files say of DoRA's lengths where they are to be divided by those of the base's rows."""

_PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")
_ONLY_LYCORIS = ("weight", "on_input")
_SHOWN = 4


@dataclass(frozen=True)
class AdapterFile:
    """What an adapter file holds.

    changes: by the layers' dotted names in diffusers. about: what it says of itself. keys: of its tensors.
    """

    path: Path
    layout: Layout
    changes: dict[str, Change]
    about: dict[str, Any]
    keys: tuple[str, ...]


@dataclass(frozen=True)
class _Key:
    """A tensor's key, taken apart."""

    key: str
    prefix: str
    layer: str
    ending: str


def read_adapter(path: Path, facts: Facts) -> AdapterFile:
    """Return the changes in an adapter file, in float32, whatever its layout.

    Raises ModelError for what is no safetensors file, empty, not finite, incomplete, or has tensors that no rule knows.
    """
    tensors, metadata = _read(path)
    if not tensors:
        raise ModelError(f"{path} holds no tensors")
    _require_finite(path, tensors)
    keys = [_taken_apart(path, key) for key in tensors]
    names, about = Names(facts), read_metadata(metadata)
    layout = _layout(path, keys, names)
    layers = _by_layer(path, keys, tensors, names)
    scale_of = _scales(about)
    changes = {name: _change(path, name, parts, scale_of, layout, about) for name, parts in layers.items()}
    return AdapterFile(path, layout, changes, about, tuple(tensors))


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if path.suffix.lower() in _PICKLES:
        raise ModelError(
            f"{path} is a pickled file, which can run any program when it is opened; only .safetensors files are read"
        )
    if not path.is_file():
        raise ModelError(f"{path} is no file here; give the path of a .safetensors file")
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in sorted(file.keys())}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is not a whole safetensors file: {error}") from error


def _require_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    for key, tensor in tensors.items():
        if not tensor.numel():
            raise ModelError(f"{path}: tensor {key} is empty")
        if tensor.is_floating_point() and not tensor.float().isfinite().all():
            raise ModelError(f"{path}: tensor {key} holds NaN or infinite numbers; the training that made it diverged")


def _taken_apart(path: Path, key: str) -> _Key:
    prefix = next((prefix for prefix in PREFIXES if key.startswith(prefix)), "")
    for ending in ENDINGS:
        known = ending not in _ONLY_LYCORIS or PREFIXES.get(prefix) == "lycoris"
        if known and key.endswith(f".{ending}"):
            return _Key(key, prefix, key.removeprefix(prefix).removesuffix(f".{ending}"), ending)
    # PEFT's own state has one more word behind DoRA's lengths.
    if key.endswith(f".{DORA[1]}.weight"):
        return _Key(key, prefix, key.removeprefix(prefix).removesuffix(f".{DORA[1]}.weight"), DORA[1])
    raise ModelError(
        f"{path}: tensor {key} belongs to no kind of adapter that is known here (LoRA, DoRA, LoHa, LoKr, GLoRA, full "
        "differences, OFT, BOFT, IA3 on linear layers)"
    )


def _layout(path: Path, keys: Sequence[_Key], names: Names) -> Layout:
    firsts = {key.prefix: key for key in reversed(keys)}
    if len(firsts) > 1:
        examples = " and ".join(sorted(key.key for key in firsts.values())[:2])
        raise ModelError(f"{path} mixes layouts: {examples}")
    key = keys[0]
    if key.prefix:
        return PREFIXES[key.prefix]
    return "diffusers" if names.ours(key.layer, underscored=False) == key.layer else "comfyui"


def _by_layer(
    path: Path, keys: Sequence[_Key], tensors: Mapping[str, Tensor], names: Names
) -> dict[str, dict[str, Tensor]]:
    layers: dict[str, dict[str, Tensor]] = defaultdict(dict)
    unknown = []
    for key in keys:
        name = names.ours(key.layer, underscored=key.prefix.endswith("_"))
        if name is None or key.ending in layers[name]:
            unknown.append(key.key)
        else:
            layers[name][key.ending] = _plain(tensors[key.key])
    if unknown:
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        raise ModelError(f"{path}: the model has no layers of these names: {', '.join(unknown[:_SHOWN])}{more}")
    return dict(sorted(layers.items()))


def _plain(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _scales(about: Mapping[str, Any]) -> Callable[[str, int], float]:
    """Return what gives a layer's scale by its name and rank, from the settings of PEFT in a file's metadata."""
    settings = {
        key.removeprefix("transformer."): value for key, value in about.items() if key.startswith("transformer.")
    }
    alpha, patterns = settings.get("lora_alpha"), settings.get("alpha_pattern") or {}

    def scale_of(name: str, rank: int) -> float:
        own = next((value for pattern, value in patterns.items() if re.match(rf"(.*\.)?({pattern})$", name)), alpha)
        return 1.0 if own is None else own / (math.sqrt(rank) if settings.get("use_rslora") else rank)

    return scale_of


def _change(
    path: Path,
    name: str,
    parts: Parts,
    scale_of: Callable[[str, int], float],
    layout: Layout,
    about: Mapping[str, Any],
) -> Change:
    form, needed = _form(path, name, parts)
    missing, extra = set(needed) - parts.keys(), parts.keys() - set(needed) - set(form.may)
    if missing or extra:
        what = f"lacks {', '.join(sorted(missing))}" if missing else f"has {', '.join(sorted(extra))} as well"
        raise ModelError(f"{path}: layer {name} has {', '.join(needed)} of a change, but {what}")
    try:
        change = _in_our_units(form.read(parts, scale_of(name, parts[needed[0]].shape[0])), layout)
        change = _with_lengths(change, parts, over_base=bool(about.get(OVER_BASE)))
        require_whole(change)
    except (RuntimeError, IndexError, ValueError) as error:
        raise ModelError(f"{path}: layer {name} has tensors of other shapes than its kind needs: {error}") from error
    return change


def _form(path: Path, name: str, parts: Parts) -> tuple[Form, tuple[str, ...]]:
    for form in FORMS:
        if needed := form.chosen(parts):
            return form, needed
    raise ModelError(f"{path}: layer {name} has only {', '.join(sorted(parts))}, which is no whole change")


def _in_our_units(change: Change, layout: Layout) -> Change:
    """Return a rotation with its limit for each output: ComfyUI's is that of all outputs together."""
    if layout == "comfyui" and isinstance(change, Rotation | Butterfly) and change.constraint:
        outputs = math.prod(change.blocks.shape[-3:-1])
        return type(change)(change.blocks, change.constraint / outputs, change.rescale)
    return change


def _with_lengths(change: Change, parts: Parts, *, over_base: bool) -> Change:
    lengths = next((parts[name] for name in DORA if name in parts), None)
    if lengths is None:
        return change
    magnitude = lengths.reshape(-1, 1) if lengths.ndim == 1 else torch.flatten(lengths, 1)
    return Stretched(change, magnitude) if over_base and magnitude.shape[1] == 1 else Decomposed(change, magnitude)
