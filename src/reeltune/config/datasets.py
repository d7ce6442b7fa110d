"""The dataset file (`multidatabackend.json`): datasets of clips and one store of text embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from reeltune.config.option import Section, option
from reeltune.config.places import Place

_LOCAL_ONLY: Mapping[str, str] = {
    "aws": "fetch the files into a local folder first",
    "csv": "put the files into a local folder first, each caption in a text file beside its clip",
    "huggingface": "fetch the files first: hf download OWNER/NAME --repo-type dataset --local-dir datasets/NAME",
}


class VideoOptions(Section):
    """Which frames of a clip are trained."""

    num_frames: int = option(81, "Frames per sample at the training rate; rounded down to 4k+1.", unit="frames", ge=1)
    min_frames: int | None = option(
        None, "Shorter clips are left out; unset means num_frames.", unit="frames at the training rate", ge=1
    )
    max_frames: int | None = option(
        None, "Longer clips are left out; unset keeps all.", unit="frames at the training rate", ge=1
    )
    fps: Annotated[float, Field(gt=0)] | Literal["native", "model"] = option(
        "model",
        "Training rate: model = what the model was trained at; native = the clip's own frames one by one; or a number.",
        unit="frames per second",
    )


class ClipDataset(Section):
    """A folder of captioned clips, whatever it is used for."""

    id: str = option(..., "Unique name of the dataset.", min_length=1, example="my-clips")
    type: Literal["local"] = option("local", "Where the files are: local folders.", refused=_LOCAL_ONLY)
    disabled: bool = option(False, "Leave this dataset out of the run.", also=("disable",))
    instance_data_dir: Place = option(..., "Folder of the clips, searched with its subfolders; never written to.")
    cache_dir_vae: Place = option(..., "Folder for the encoded clips.", example="cache/vae/wan/my-clips")
    caption_strategy: Literal["textfile", "filename", "instanceprompt"] = option(
        "textfile",
        "Where captions come from: textfile = clip.txt beside clip.mp4, one caption per line; filename = the file's "
        "name; instanceprompt = instance_prompt for all.",
        refused={
            "instance_prompt": "it is written instanceprompt here",
            "parquet": "tables of captions are not available yet; put each into a text file beside its clip",
            "csv": "tables of captions are not available yet; put each into a text file beside its clip",
            "huggingface": "captions of hub datasets are not available yet; put each into a text file beside its clip",
        },
    )
    instance_prompt: str | None = option(None, "The caption of every clip with caption_strategy instanceprompt.")
    allow_missing_captions: bool = option(
        False, "Go on when more than a tenth of the captions are missing; those clips are left out either way."
    )
    metadata_backend: Literal["discovery", "json"] = option(
        "discovery",
        "How clips are listed: by looking at the files; json means the same.",
        refused={
            "parquet": "tables are not available yet; clips are found by looking at the files",
            "huggingface": "hub datasets are not available yet; fetch the files first",
        },
    )
    repeats: int = option(0, "Extra passes over the dataset in each epoch; 0 shows each clip once.", ge=0)
    crop: Literal[False] = option(
        False,
        "false: resize at the source's aspect, then trim to the bucket; other croppings are not available yet.",
        refused={"True": "cropping to other shapes is not available yet; false keeps the clip's own aspect"},
    )
    resolution: float | None = option(None, "Size of the training frames; unset takes the global resolution.", gt=0)
    resolution_type: Literal["pixel", "area", "pixel_area"] | None = option(
        None, "How resolution and minimum_image_size are read; unset takes the global resolution_type."
    )
    minimum_image_size: float | None = option(
        None, "Smaller clips are left out, in the unit of resolution_type; unset takes the global value.", ge=0
    )
    maximum_image_size: float | None = option(None, "Only with crop: true; no effect otherwise.", ge=0)
    target_downsample_size: float | None = option(None, "Only with crop: true; no effect otherwise.", ge=0)
    video: VideoOptions = option(VideoOptions(), "Which frames of a clip are trained.")

    @property
    def times(self) -> int:
        """Return how often an epoch shows each clip."""
        return self.repeats + 1


class VideoDataset(ClipDataset):
    """Clips that are trained."""

    dataset_type: Literal["video"] = option("video", "video: clips that are trained.")


class EvalDataset(ClipDataset):
    """Clips that are held out of training, and measured."""

    dataset_type: Literal["eval"] = option("eval", "eval: clips that are held out of training, and measured.")


class TextEmbeds(Section):
    """Where encoded captions are kept."""

    id: str = option(..., "Unique name of the store.", min_length=1, example="text-embeds")
    type: Literal["local"] = option("local", "Where the store is: a local folder.", refused=_LOCAL_ONLY)
    dataset_type: Literal["text_embeds"] = option("text_embeds", "Marks this entry as the store of text embeddings.")
    default: bool = option(True, "The store that captions go to.")
    disabled: bool = option(False, "Leave this entry out.", also=("disable",))
    cache_dir: Place = option(..., "Folder for the encoded captions.", example="cache/text/wan")


KINDS: Mapping[str, type[Section]] = {"video": VideoDataset, "eval": EvalDataset, "text_embeds": TextEmbeds}
"""The entries of a dataset file by their dataset_type."""

KINDS_NOT_YET: Mapping[str, str] = {
    "image": "pictures are not trained yet; clips with num_frames 1 are",
    "conditioning": "text-to-video is what is trained",
    "image_embeds": "encoded clips lie in cache_dir_vae of their dataset",
    "conditioning_image_embeds": "text-to-video is what is trained",
    "audio": "Wan makes no sound",
    "caption": "captions belong to clips",
}
"""Kinds of entries that files in use have, with what there is."""


def _kind(entry: Any) -> str:
    return str(entry.get("dataset_type", "video")) if isinstance(entry, dict) else "video"


DatasetEntry = Annotated[
    Annotated[VideoDataset, Tag("video")]
    | Annotated[EvalDataset, Tag("eval")]
    | Annotated[TextEmbeds, Tag("text_embeds")],
    Discriminator(_kind),
]


class Datasets(Section):
    """What is trained on, after checks that span entries: disabled ones are gone, defaults are filled in."""

    videos: tuple[VideoDataset, ...]
    text: TextEmbeds
    held_out: tuple[EvalDataset, ...] = ()

    @property
    def clips(self) -> tuple[ClipDataset, ...]:
        """Return all datasets of clips, trained and held out."""
        return (*self.videos, *self.held_out)
