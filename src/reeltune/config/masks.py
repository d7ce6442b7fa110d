"""An entry of the dataset file that holds masks: which part of each clip of another entry counts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from reeltune.config.option import Section, option
from reeltune.config.places import Place

_LOCAL = "masks are found beside each other by name, in a local folder"
_NO_CONDITION = "text-to-video is what is trained: only masks are read, which say what of a clip counts"
_REFUSED_KINDS: Mapping[str, str] = dict.fromkeys(
    ("controlnet", "reference_strict", "reference_loose", "canny", "edges", "depth", "pose", "i2v", "inpainting"),
    _NO_CONDITION,
)


class MaskDataset(Section):
    """Masks of the clips of the entries that name it: white counts, black does not."""

    id: str = option(..., "Unique name of the masks, which conditioning_data of clips names.", min_length=1)
    dataset_type: Literal["conditioning"] = option("conditioning", "conditioning: masks of the clips of other entries.")
    conditioning_type: Literal["mask", "segmentation"] = option(
        ...,
        "mask and segmentation mean the same: white counts, black does not, grey counts in part.",
        refused=_REFUSED_KINDS,
    )
    type: Literal["local"] = option(
        "local", "Where the masks are: a folder.", refused=dict.fromkeys(("aws", "csv", "huggingface"), _LOCAL)
    )
    disabled: bool = option(False, "Leave this entry out.", also=("disable",))
    instance_data_dir: Place = option(
        ...,
        "Folder of the masks: each has the name of its clip, with any extension of a picture or video.",
        min_length=1,
        example="datasets/my-masks",
    )

    @property
    def folder(self) -> Path:
        """Return where the masks lie."""
        return Path(self.instance_data_dir).expanduser()
