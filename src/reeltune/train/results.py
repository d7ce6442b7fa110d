"""Which adapter files a run leaves, for people and for other programs.

    pytorch_lora_weights.safetensors   the result, as diffusers reads it
    comfyui/<run name>.safetensors     the same weights, as ComfyUI reads them
    raw/ or ema/                       the other of raw and averaged weights, when an average is kept

The result holds the averaged weights when renders show only those, so that what was looked at is what is published.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from reeltune.train.state import Weights
from reeltune.whole_files import whole_file

FILE_NAME = "pytorch_lora_weights.safetensors"

SaveFile = Callable[[Path, Mapping[str, Tensor]], None]


@dataclass(frozen=True)
class Results:
    """How the adapter's tensors become files. main: which weights are the result."""

    run_name: str
    main: Weights
    save_diffusers: SaveFile
    save_comfyui: SaveFile

    def write(self, folder: Path, weights: Mapping[Weights, Mapping[str, Tensor]]) -> None:
        """Write all adapter files below a folder. weights: by raw and ema; ema only when there is one."""
        for kind, tensors in weights.items():
            place = folder if kind == self._main_of(weights) else folder / kind
            self.save_diffusers(place / FILE_NAME, tensors)
            self.save_comfyui(place / "comfyui" / f"{self.run_name}.safetensors", tensors)

    def publish(self, checkpoint: Path, folder: Path) -> None:
        """Copy a checkpoint's adapter files to the run folder, each whole or not at all.

        What an earlier part of the run left of weights that are no longer kept apart goes: it is of another step.
        """
        names = [file.relative_to(checkpoint) for file in sorted(checkpoint.rglob("*.safetensors"))]
        for name in names:
            if name.name == FILE_NAME or name.parent.name == "comfyui":
                with whole_file(folder / name) as draft:
                    shutil.copyfile(checkpoint / name, draft)
        for kind in {"raw", "ema"} - {name.parts[0] for name in names}:
            shutil.rmtree(folder / kind, ignore_errors=True)

    def _main_of(self, weights: Mapping[Weights, Mapping[str, Tensor]]) -> Weights:
        return self.main if self.main in weights else "raw"
