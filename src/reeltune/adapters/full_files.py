"""The files of a fine-tuned model: the transformer for diffusers and for ComfyUI, and a whole pipeline around it.

transformer/                    for `from_pretrained`, and as the base of another run
comfyui/<run name>.safetensors  one file, Wan's own names behind the prefix that ComfyUI gives whole models
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from reeltune.adapters.about import About, written_metadata
from reeltune.adapters.transformer_files import SHARD_BYTES, save_single_file, save_transformer
from reeltune.whole_files import duplicate, replaced_folder, write_json

FOLDER = "transformer"
COMFYUI_PREFIX = "model.diffusion_model."


@dataclass(frozen=True)
class ModelPublisher:
    """Writes a whole transformer as others read it; a `Publisher`.

    release_name: how a tensor of the transformer is called in the model's own release. about: what the files say of
    themselves, by the step.
    """

    transformer: nn.Module
    release_name: Callable[[str], str]
    about: Callable[[int], About]
    shard_bytes: int = SHARD_BYTES

    def write(self, folder: Path, run_name: str, *, step: int) -> None:
        """Write both layouts of what acts now below a folder, read each back, and compare.

        Raises CheckpointError when a file does not hold what acts.
        """
        metadata = model_metadata(self.about(step))
        in_diffusers, in_comfyui = (folder / place for place in self.places(run_name))
        save_transformer(in_diffusers, self.transformer, metadata=metadata, shard_bytes=self.shard_bytes)
        save_single_file(in_comfyui, self.transformer, self._comfyui_name, metadata=metadata)

    def prove(self, scratch: Path) -> None:
        """Do nothing: a whole model is compared with its files at each save, and writing one more takes its size."""

    def places(self, run_name: str) -> tuple[Path, ...]:
        """Return the transformer's folder, and the file for ComfyUI."""
        return Path(FOLDER), Path("comfyui", f"{run_name}.safetensors")

    def _comfyui_name(self, name: str) -> str:
        return COMFYUI_PREFIX + self.release_name(name)


def model_metadata(about: About) -> dict[str, str]:
    """Return the metadata of a whole model's files: one key, in either layout."""
    return written_metadata(about, "comfyui", {})


def write_pipeline(
    folder: Path, transformer_folder: Path, parts: Mapping[str, Path], index: Path | Mapping[str, Any]
) -> None:
    """Put a whole pipeline in the diffusers layout together, whole or not at all; an older one in its place goes.

    parts: the folders of all but the transformer, by their names in the pipeline. index: model_index.json, or what it
    says. Files on the same disk are not copied: they get a second name.
    """
    content = json.loads(index.read_text(encoding="utf-8")) if isinstance(index, Path) else dict(index)
    with replaced_folder(folder) as draft:
        for name, part in {**parts, FOLDER: transformer_folder}.items():
            _duplicate_folder(part, draft / name)
        write_json(draft / "model_index.json", content)


def _duplicate_folder(source: Path, target: Path) -> None:
    """Let all files below a folder stand at another place too; the hub's cache holds links to files elsewhere."""
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        place = target / file.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        duplicate(file, place)
