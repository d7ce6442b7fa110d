"""An adapter file in another form: `export`. What it is about is read once, and nothing is replaced."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from reeltune.adapters.layouts import AdapterFile, read_adapter
from reeltune.config.model import ModelOptions
from reeltune.contracts.adapter_report import Exported
from reeltune.contracts.progress import Track
from reeltune.errors import ConfigError, ModelError
from reeltune.families import family_facts
from reeltune.run.adapter_files.base_model import base_near, base_options
from reeltune.run.adapter_files.header import read_stored
from reeltune.run.adapter_files.places import layout_of_transformer, weights_in
from reeltune.run.adapter_files.said import base_in
from reeltune.run.exporting.convert import LAYOUTS, convert
from reeltune.run.exporting.merged import export_merged
from reeltune.run.exporting.names import output_for, require_free

NUMBER_TYPES: Mapping[str, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16, "float32": torch.float32}


def export(
    place: Path,
    *,
    format: str,
    output: Path | None,
    base: str | None,
    strength: float,
    number_type: str | None,
    track: Track,
) -> Exported:
    """Write an adapter in another layout, or merged into its base, and make sure that it does the same.

    place: a file, a run folder or a checkpoint. output: None is the usual place. base: None is the one that the file
    names. number_type: a name of NUMBER_TYPES; None is float32 for an adapter, and the base's own for a merged model.
    """
    file = _adapter_at(place)
    output = output_for(file.path, format) if output is None else output
    require_free(output, format)
    dtype = NUMBER_TYPES[number_type] if number_type else None
    if format in LAYOUTS:
        return convert(file, format, output, base=base, strength=strength, number_type=dtype or torch.float32)
    merged_into = base or _named_base(file)
    return export_merged(
        file, output, format=format, base=merged_into, strength=strength, number_type=dtype, track=track
    )


def _named_base(file: AdapterFile) -> str:
    """Return the base that a file names. Raises ConfigError where it names none, or one that is not found here."""
    if not (named := base_in(file.about)):
        raise ConfigError(
            f"{file.path} does not name the base that it was trained on. Type: --base with its folder, file or "
            "repository"
        )
    place = base_near(file.path, named)
    try:
        base_options(place)
    except ModelError as error:
        raise ConfigError(
            f"{file.path} was trained on a base called {named}, which is not found here. Type: --base with its folder, "
            "file or repository"
        ) from error
    return place


def _adapter_at(place: Path) -> AdapterFile:
    facts, path = family_facts(ModelOptions()), weights_in(place)
    if path.is_dir() or layout_of_transformer(read_stored([path]), facts):
        raise ModelError(f"{path} is a whole transformer; an adapter file is needed")
    return read_adapter(path, facts)
