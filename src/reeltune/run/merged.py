"""An adapter merged into its base: a whole transformer that needs no adapter any more, proven to be their sum."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import linear

from reeltune.adapters.changes import Change
from reeltune.adapters.full_files import COMFYUI_PREFIX, model_metadata
from reeltune.adapters.layers import exact_base, layers_of, linear_of
from reeltune.adapters.layouts import AdapterFile, check_fit
from reeltune.adapters.merge import merge
from reeltune.adapters.transformer_files import save_single_file, save_transformer
from reeltune.contracts.adapter_report import Exported
from reeltune.contracts.progress import Track
from reeltune.errors import ConfigError
from reeltune.families.opening import name_in_release, open_transformer
from reeltune.run.base_model import base_options
from reeltune.run.convert import about_of
from reeltune.run.exported_names import MERGED
from reeltune.run.preflight import require_room
from reeltune.run.same_change import PROBES, SUMS, require_within, unit_roundoff
from reeltune.whole_files import whole_file, whole_folder


def export_merged(
    file: AdapterFile,
    output: Path,
    *,
    format: str,
    base: str,
    strength: float,
    number_type: torch.dtype | None,
    track: Track,
) -> Exported:
    """Write base + strength * adapter as a whole transformer, and make sure that it is that.

    number_type: None is the base's own. Each weight is summed in float32 and rounded once.
    Raises ModelError where the adapter does not fit, ShortageError where the disk has no room.
    """
    options = base_options(base)
    transformer = open_transformer(options)
    check_fit(file, layers_of(transformer))
    number_type = number_type or _most(transformer)
    require_room(output.parent, _bytes(transformer, number_type), "the merged transformer")
    off = whole = 0.0
    for name, change in track(file.changes.items(), "merging", len(file.changes), "layers"):
        error, size = _merge_one(transformer, name, change, strength, number_type, output)
        off, whole = off + error**2, whole + size**2
    _round_the_rest(transformer, number_type)
    metadata = model_metadata(about_of(file))
    if format == MERGED:
        with whole_folder(output) as draft:
            save_transformer(draft, transformer, metadata=metadata)
    else:
        with whole_file(output) as draft:
            save_single_file(
                draft, transformer, lambda name: COMFYUI_PREFIX + name_in_release(options, name), metadata=metadata
            )
    return Exported(
        str(output),
        format=format,
        base=base,
        changed=len(file.changes),
        error=math.sqrt(off / whole) if whole else 0.0,
        number_type=str(number_type).removeprefix("torch."),
        size_bytes=sum(path.stat().st_size for path in [output, *output.rglob("*")] if path.is_file()),
        transformer_class=type(transformer).__name__,
    )


@torch.no_grad()
def _merge_one(
    transformer: nn.Module, name: str, change: Change, strength: float, number_type: torch.dtype, output: Path
) -> tuple[float, float]:
    """Merge the change of one layer and ask the layer before and after; return the error and the size of its answer.

    Raises CheckpointError for an error that is not that of rounding each weight once.
    """
    layer = linear_of(transformer, name)
    x = torch.randn(PROBES, layer.in_features, generator=torch.Generator().manual_seed(0))
    base, bias = exact_base(layer, x), 0 if layer.bias is None else layer.bias.float()
    added = strength * change.added(base)
    # In float32 first, also where the base is in another type than the result: rounded once, at the end.
    layer.float()
    merge(transformer, {name: change}, strength=strength)
    layer.to(own := _type_of(transformer, name, number_type))
    after = linear(x, layer.weight.float(), None if layer.bias is None else layer.bias.float() - bias)
    error = (after - base.product - added).norm().item()
    rounding = 2 * unit_roundoff(own) * layer.weight.float().norm().item() * math.sqrt(PROBES)
    sums = SUMS * (base.product.norm().item() + added.norm().item())
    require_within(output, name, error, rounding + sums)
    return error, added.norm().item()


def _round_the_rest(transformer: nn.Module, number_type: torch.dtype) -> None:
    for name, parameter in transformer.named_parameters():
        parameter.data = parameter.data.to(_type_of(transformer, name, number_type))
        if not parameter.data.isfinite().all():
            raise ConfigError(f"{name} holds numbers that are too large for {number_type}. Type: --dtype bf16")


def _type_of(transformer: nn.Module, name: str, number_type: torch.dtype) -> torch.dtype:
    """Return the type of a weight: float32 for the parts that diffusers keeps in it."""
    kept = getattr(transformer, "_keep_in_fp32_modules", None) or ()
    return torch.float32 if set(kept) & set(name.split(".")) else number_type


def _most(transformer: nn.Module) -> torch.dtype:
    """Return the number type that most of a transformer's numbers are in."""
    counts: Counter[torch.dtype] = Counter()
    for parameter in transformer.parameters():
        counts[parameter.dtype] += parameter.numel()
    return counts.most_common(1)[0][0]


def _bytes(transformer: nn.Module, number_type: torch.dtype) -> int:
    return sum(
        parameter.numel() * _type_of(transformer, name, number_type).itemsize
        for name, parameter in transformer.named_parameters()
    )
