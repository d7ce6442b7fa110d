"""What a whole transformer is, by its configuration and its headers. No torch; nothing is loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from reeltune.config.model import FLAVOURS, ModelOptions
from reeltune.contracts.adapter_report import TransformerReport
from reeltune.contracts.facts import Facts
from reeltune.errors import ModelError, listed
from reeltune.families import family_dimensions
from reeltune.families.weight_files import file_problems, variants_alone, weight_files
from reeltune.run.adapter_files.base_model import base_options
from reeltune.run.adapter_files.header import Stored, contents_of, read_stored
from reeltune.run.adapter_files.places import layout_of_transformer, width_of_block


def transformer_report(path: Path, facts: Facts) -> TransformerReport:
    """Return what a transformer is. path: its file or its folder. Raises ModelError for another kind, or damage."""
    files = _files(path)
    stored = read_stored(files)
    layout = layout_of_transformer(stored, facts)
    if layout is None:
        raise ModelError(f"{path} holds weights, but no transformer that is known.")
    size = _size(stored, facts)
    if path.is_dir() or size in _released().values():
        # Of a kind that is not supported, it is named. A file of another size has no configuration to tell by.
        family_dimensions(base_options(str(path)))
    where = "a folder" if path.is_dir() else "one file"
    return TransformerReport(contents_of(path, files), f"{where}, {layout}", _in_words(size), *size, files=len(files))


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    variant = next(iter(variants_alone(path, None)), None)
    if problems := file_problems(path, variant):
        raise ModelError(listed(str(path), problems))
    return weight_files(path, variant)


def _size(stored: Mapping[str, Stored], facts: Facts) -> tuple[int, int]:
    """Return blocks and width by the shapes of what every block has."""
    numbers = [re.search(rf"(?:^|\.){re.escape(facts.blocks)}\.(\d+)\.", name) for name in stored]
    blocks = 1 + max(int(found[1]) for found in numbers if found)
    return blocks, width_of_block(stored, facts)


def _released() -> dict[str, tuple[int, int]]:
    """Return blocks and width of the released models by their places."""
    sizes = {place: family_dimensions(ModelOptions(pretrained_model_name_or_path=place)) for place in FLAVOURS.values()}
    return {place: (size.layers, size.width) for place, size in sizes.items() if size}


def _in_words(size: tuple[int, int]) -> str:
    """Name the released model of this size, or the size alone."""
    same = [f"the size of {place}: " for place, released in _released().items() if released == size]
    return f"{''.join(same)}{size[1]} wide, {size[0]} blocks"
