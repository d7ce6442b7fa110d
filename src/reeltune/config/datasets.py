"""The dataset file (`multidatabackend.json`): a list of video datasets and one store of text embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from reeltune.config.option import Section, option


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


class VideoDataset(Section):
    """A folder of captioned clips."""

    id: str = option(..., "Unique name of the dataset.", min_length=1, example="my-clips")
    type: Literal["local"] = option("local", "Where the files are: local folders.")
    dataset_type: Literal["video"] = option("video", "What kind of files this dataset holds.")
    disabled: bool = option(False, "Leave this dataset out of the run.")
    instance_data_dir: str = option(..., "Folder of the clips, searched with its subfolders; never written to.")
    cache_dir_vae: str = option(..., "Folder for the encoded clips.", example="cache/vae/wan/my-clips")
    caption_strategy: Literal["textfile", "filename", "instanceprompt"] = option(
        "textfile",
        "Where captions come from: textfile = clip.txt beside clip.mp4, one caption per line; filename = the file's "
        "name; instanceprompt = instance_prompt for all.",
    )
    instance_prompt: str | None = option(None, "The caption of every clip with caption_strategy instanceprompt.")
    allow_missing_captions: bool = option(
        False, "Go on when more than a tenth of the captions are missing; those clips are left out either way."
    )
    metadata_backend: Literal["discovery"] = option("discovery", "How clips are listed: by looking at the files.")
    repeats: int = option(0, "Extra passes over the dataset in each epoch; 0 shows each clip once.", ge=0)
    crop: Literal[False] = option(
        False, "false: resize at the source's aspect, then trim to the bucket; other croppings are not available yet."
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


class TextEmbeds(Section):
    """Where encoded captions are kept."""

    id: str = option(..., "Unique name of the store.", min_length=1, example="text-embeds")
    type: Literal["local"] = option("local", "Where the store is: a local folder.")
    dataset_type: Literal["text_embeds"] = option("text_embeds", "Marks this entry as the store of text embeddings.")
    default: bool = option(True, "The store that captions go to.")
    disabled: bool = option(False, "Leave this entry out.")
    cache_dir: str = option(..., "Folder for the encoded captions.", example="cache/text/wan")
    write_batch_size: int = option(128, "Accepted for old files; entries are written one by one, whole.", ge=1)


def _kind(entry: Any) -> str:
    return str(entry.get("dataset_type", "video")) if isinstance(entry, dict) else "video"


DatasetEntry = Annotated[
    Annotated[VideoDataset, Tag("video")] | Annotated[TextEmbeds, Tag("text_embeds")], Discriminator(_kind)
]


class Datasets(Section):
    """What is trained on, after checks that span entries: disabled ones are gone, defaults are filled in."""

    videos: tuple[VideoDataset, ...]
    text: TextEmbeds


WITHOUT_EFFECT: Mapping[str, str] = {
    "maximum_image_size": "it limits what crop: true crops from, and crop is false",
    "target_downsample_size": "it prepares what crop: true crops from, and crop is false",
    "write_batch_size": "entries are written one by one, each whole",
}
"""Keys that are accepted for old files and change nothing, with the reason."""


def settings_without_effect(datasets: Datasets) -> list[str]:
    """Return a sentence for each setting that a dataset file gives and that changes nothing."""
    return [
        f"{entry.id}: {name} has no effect: {reason}."
        for entry in (*datasets.videos, datasets.text)
        for name, reason in WITHOUT_EFFECT.items()
        if name in entry.model_fields_set and getattr(entry, name) is not None
    ]
