"""The dataset file (`multidatabackend.json`): datasets of clips, masks of them, and one store of text embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from reeltune.config.masks import MaskDataset
from reeltune.config.option import Section, option
from reeltune.config.places import Place

_STORE_IS_LOCAL: Mapping[str, str] = {
    "aws": "encoded captions are read at every step, so they lie in a local folder",
    "csv": "encoded captions are read at every step, so they lie in a local folder",
    "huggingface": "encoded captions are read at every step, so they lie in a local folder",
}


class VideoOptions(Section):
    """Which frames of a clip are trained."""

    num_frames: int = option(81, "Frames per sample at the training rate; rounded down to 4k+1.", unit="frames", ge=1)
    min_frames: int | None = option(
        None,
        "Shorter clips are left out; unset means num_frames, or 1 with bucket_strategy resolution_frames.",
        unit="frames at the training rate",
        ge=1,
    )
    max_frames: int | None = option(
        None, "Longer clips are left out; unset keeps all.", unit="frames at the training rate", ge=1
    )
    fps: Annotated[float, Field(gt=0)] | Literal["native", "model"] = option(
        "model",
        "Training rate: model = what the model was trained at; native = the clip's own frames one by one; or a number.",
        unit="frames per second",
    )
    frame_selection: Literal["first", "middle", "random", "uniform", "slide"] = option(
        "first",
        "Which part of a longer clip is trained: first, middle or random = one window there; uniform = windows spread "
        "evenly from its start to its end; slide = one window after the other.",
    )
    windows: int | None = option(
        None,
        "Windows per clip with frame_selection uniform or random, and the most with slide; unset means as many as fit "
        "without overlap, and 1 with random.",
        ge=1,
    )
    window_stride: int | None = option(
        None,
        "Frames from the start of one window to the next with frame_selection slide; unset means the window's length.",
        unit="frames at the training rate",
        ge=1,
    )
    bucket_strategy: Literal["aspect_ratio", "resolution_frames"] = option(
        "aspect_ratio",
        "aspect_ratio = each clip gives num_frames, shorter ones only down to min_frames; resolution_frames = each "
        "clip gives as many frames as it has, up to num_frames, and clips are grouped by that too.",
    )
    frame_interval: int | None = option(
        None,
        "With bucket_strategy resolution_frames: lengths are rounded down to multiples of this first, so that fewer "
        "groups are made.",
        unit="frames at the training rate",
        ge=1,
    )


class CropAspect(Section):
    """One aspect ratio that crops may have."""

    aspect: float = option(..., "Width over height.", gt=0)
    weight: float = option(1.0, "How often it is drawn with crop_aspect random, against the others.", gt=0)


Column = str | tuple[str, ...]
"""The name of a table's column, or of several in the order in which they are looked at."""


class TableOptions(Section):
    """A table that says what files show: one row per file."""

    path: Place = option(..., "Table of captions: .parquet, .jsonl, .csv or .tsv.", min_length=1)
    filename_column: str = option("id", "Column that names the file, below the dataset's folder.", min_length=1)
    caption_column: Column = option("description", "Column of the caption, or several: each gives a caption.")
    fallback_caption_column: str | None = option(None, "Column that is read where the caption is empty.")
    width_column: str | None = option(None, "Column of the width; the file itself counts.")
    height_column: str | None = option(None, "Column of the height; the file itself counts.")
    identifier_includes_extension: bool = option(
        False, "Whether names in filename_column end with the file's extension."
    )


SourceKind = Literal["local", "aws", "csv", "huggingface"]
CaptionStrategy = Literal["textfile", "filename", "instanceprompt", "parquet", "csv", "huggingface"]


class MediaDataset(Section):
    """Captioned clips or pictures, whatever they are used for."""

    id: str = option(..., "Unique name of the dataset.", min_length=1, example="my-clips")
    type: SourceKind = option(
        "local",
        "Where the files are: local = a folder; aws = S3 or what speaks its language; csv = paths or addresses in a "
        "table; huggingface = a dataset on the Hub.",
    )
    disabled: bool = option(False, "Leave this dataset out of the run.", also=("disable",))
    instance_data_dir: Place | None = option(
        None,
        "Folder of the clips, searched with its subfolders; never written to. Needed with type local; with type csv "
        "the folder that paths in the table start from, unset meaning the table's own.",
    )
    cache_dir_vae: Place = option(
        "{cache_dir}/vae/{model_family}/{id}", "Folder for the encoded clips.", example="cache/vae/wan/my-clips"
    )
    caption_strategy: CaptionStrategy = option(
        "textfile",
        "Where captions come from: textfile = clip.txt beside clip.mp4, one caption per line; filename = the file's "
        "name; instanceprompt = instance_prompt for all; parquet = the table that `parquet` describes; csv = a column "
        "of csv_file; huggingface = a column of the hub dataset. With type csv and huggingface, their own column is "
        "the default.",
        refused={"instance_prompt": "it is written instanceprompt here"},
    )
    instance_prompt: str | None = option(
        None, "The caption of every clip with caption_strategy instanceprompt, or words in front of every caption."
    )
    prepend_instance_prompt: bool = option(False, "Put instance_prompt in front of every caption.")
    only_instance_prompt: bool = option(False, "Use instance_prompt as the only caption, whatever caption_strategy is.")
    allow_missing_captions: bool = option(
        False, "Go on when more than a tenth of the captions are missing; those clips are left out either way."
    )
    metadata_backend: Literal["discovery", "json", "parquet", "huggingface"] = option(
        "discovery",
        "How clips are listed: discovery (json means the same) = by looking at the files; parquet = those named in the "
        "table that `parquet` describes; huggingface = as the hub dataset lists them.",
    )
    parquet: TableOptions | None = option(None, "The table for caption_strategy or metadata_backend parquet.")
    csv_file: Place | None = option(
        None, "Table of the files with type csv: .csv, .tsv, .jsonl or .parquet; paths, or addresses of http or https."
    )
    csv_path_column: str | None = option(
        None,
        "Column of the paths or addresses; unset takes the first of url, path, file, filename, file_name, video, "
        "image.",
    )
    csv_caption_column: Column = option(
        "caption", "Column of the caption in csv_file, or several: each gives a caption."
    )
    csv_cache_dir: Place | None = option(
        None, "Folder for files that are fetched from addresses; unset means a folder in cache_dir_vae."
    )
    dataset_name: str | None = option(None, "The dataset on the Hub with type huggingface.", example="owner/name")
    split: str = option("train", "Split of the hub dataset.")
    revision: str | None = option(None, "Branch, tag or commit of the hub dataset; unset means the newest.")
    video_column: str | None = option(None, "Column of the clips in the hub dataset; unset finds it.")
    image_column: str | None = option(None, "Column of the pictures in the hub dataset; unset finds it.")
    caption_column: Column | None = option(
        None, "Column of the captions in the hub dataset, or several; unset finds it."
    )
    aws_bucket_name: str | None = option(None, "Bucket with type aws.", example="my-bucket")
    aws_data_prefix: str = option("", "Folder inside the bucket; empty means all of it.")
    aws_endpoint_url: str | None = option(
        None,
        "Address of the server, for other stores than Amazon's.",
        example="https://ACCOUNT.r2.cloudflarestorage.com",
    )
    aws_region_name: str | None = option(None, "Region of the bucket.")
    aws_access_key_id: str | None = option(
        None, "Name of the access key; unset takes AWS_ACCESS_KEY_ID or the usual files of AWS.", secret=True
    )
    aws_secret_access_key: str | None = option(
        None, "The access key; unset takes AWS_SECRET_ACCESS_KEY or the usual files of AWS.", secret=True
    )
    max_num_samples: int | None = option(None, "Use at most so many files, always the same ones; unset uses all.", ge=1)
    resolution: float | None = option(None, "Size of the training frames; unset takes the global resolution.", gt=0)
    resolution_type: Literal["pixel", "area", "pixel_area"] | None = option(
        None, "How the sizes of this dataset are read; unset takes the global resolution_type."
    )
    minimum_image_size: float | None = option(
        None, "Smaller clips are left out, in the unit of resolution_type; unset takes the global value.", ge=0
    )
    minimum_aspect_ratio: float | None = option(None, "Clips of a smaller width over height are left out.", gt=0)
    maximum_aspect_ratio: float | None = option(None, "Clips of a larger width over height are left out.", gt=0)
    crop: bool = option(
        False, "false: the clip's own aspect, trimmed to the bucket; true: cropped to the shape that crop_aspect names."
    )
    crop_style: Literal["center", "random", "corner"] = option(
        "center",
        "Which part stays where something is cut off: the middle, a random part that is the same at every start, or "
        "the top left corner. centre is center too.",
        refused={"face": "faces are not looked for; center, random and corner are there"},
    )
    crop_aspect: Literal["square", "preserve", "closest", "random"] = option(
        "square",
        "Shape of crops with crop true: square; preserve = the clip's own; closest = the nearest of "
        "crop_aspect_buckets; random = one of them, drawn for each clip.",
    )
    crop_aspect_buckets: tuple[Annotated[float, Field(gt=0)] | CropAspect, ...] = option(
        (), "Shapes for crop_aspect closest and random: numbers, width over height, or {aspect, weight}."
    )
    maximum_image_size: float | None = option(
        None,
        "With crop true: larger clips are first resized to target_downsample_size, and a part of that is cropped; "
        "unset takes the global value. In the unit of resolution_type.",
        ge=0,
    )
    target_downsample_size: float | None = option(
        None, "What clips larger than maximum_image_size are resized to before the crop, in the same unit.", ge=0
    )
    vae_batch_size: int | None = option(None, "Clips encoded at once; unset takes the global vae_batch_size.", ge=1)

    @property
    def cache_folder(self) -> Path:
        """Return where the encoded clips lie, and what was found out about the files."""
        return Path(self.cache_dir_vae).expanduser()

    @property
    def place(self) -> str:
        """Return where the files are, as a person would look for them."""
        places = {
            "local": self.instance_data_dir,
            "aws": f"s3://{self.aws_bucket_name}/{self.aws_data_prefix}",
            "csv": self.csv_file,
            "huggingface": self.dataset_name,
        }
        return places[self.type] or ""

    @property
    def times(self) -> int:
        """Return how often an epoch shows each clip."""
        return 1


class TrainedDataset(MediaDataset):
    """What is trained."""

    repeats: int = option(0, "Extra passes over the dataset in each epoch; 0 shows each clip once.", ge=0)
    probability: float = option(
        1.0,
        "How often the dataset is drawn, against the others; the one drawn most often is shown whole in each epoch.",
        gt=0,
    )
    is_regularisation_data: bool = option(
        False,
        "Train what the base model answers on these clips instead of the clips themselves, so that it keeps what it "
        "knows.",
        also=("is_regularization_data",),
    )
    vae_cache_clear_each_epoch: bool = option(
        False, "Draw random windows and crops anew in each epoch, and encode them again."
    )
    timestep_sampling_offset: float = option(
        0.0,
        "Train this dataset at more noise (above 0) or less (below 0): added to the logit of each of its noise levels "
        "before the shift, so that 1 is a shift by 2.72.",
        ge=-10,
        le=10,
    )
    conditioning_data: str | None = option(
        None,
        "The id of the entry with dataset_type conditioning that holds masks of these clips, by name: what is white in "
        "a mask is trained, what is black is not. A clip without a mask is trained whole.",
        example="my-masks",
        min_length=1,
    )

    @property
    def times(self) -> int:
        """Return how often an epoch shows each clip."""
        return self.repeats + 1


class VideoDataset(TrainedDataset):
    """Clips that are trained."""

    dataset_type: Literal["video"] = option("video", "video: clips that are trained.")
    video: VideoOptions = option(VideoOptions(), "Which frames of a clip are trained.")


class ImageDataset(TrainedDataset):
    """Pictures that are trained, as clips of one frame."""

    dataset_type: Literal["image"] = option("image", "image: pictures that are trained, as clips of one frame.")

    @property
    def video(self) -> VideoOptions:
        """Return what makes a picture a clip."""
        return ONE_FRAME


class EvalDataset(MediaDataset):
    """Clips and pictures that are held out of training, and measured."""

    dataset_type: Literal["eval"] = option(
        "eval", "eval: clips or pictures that are held out of training, and measured."
    )
    video: VideoOptions = option(VideoOptions(), "Which frames of a clip are measured.")


ONE_FRAME = VideoOptions(num_frames=1, fps="native")
"""How pictures are trained: whole, as clips of one frame."""

ClipDataset = VideoDataset | ImageDataset | EvalDataset
"""Any dataset of clips or pictures."""


def shows_random_parts(dataset: ClipDataset) -> bool:
    """Tell whether anything is drawn of which part of a clip is trained."""
    return dataset.video.frame_selection == "random" or dataset.crop_style == "random"


class TextEmbeds(Section):
    """Where encoded captions are kept."""

    id: str = option(..., "Unique name of the store.", min_length=1, example="text-embeds")
    type: Literal["local"] = option("local", "Where the store is: a local folder.", refused=_STORE_IS_LOCAL)
    dataset_type: Literal["text_embeds"] = option("text_embeds", "Marks this entry as the store of text embeddings.")
    default: bool = option(True, "The store that captions go to.")
    disabled: bool = option(False, "Leave this entry out.", also=("disable",))
    cache_dir: Place = option(
        "{cache_dir}/text/{model_family}", "Folder for the encoded captions.", example="cache/text/wan"
    )
    caption_filter_list: tuple[str, ...] | Place = option(
        (),
        "What is taken out of captions: a list, or a .txt or .json file of it. Plain words are removed; s/this/that/ "
        "replaces; anything else that reads as a regular expression is one.",
    )

    @property
    def cache_folder(self) -> Path:
        """Return where the encoded captions lie."""
        return Path(self.cache_dir).expanduser()


KINDS: Mapping[str, type[Section]] = {
    "video": VideoDataset,
    "image": ImageDataset,
    "eval": EvalDataset,
    "conditioning": MaskDataset,
    "text_embeds": TextEmbeds,
}
"""The entries of a dataset file by their dataset_type."""

KINDS_NOT_YET: Mapping[str, str] = {
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
    | Annotated[ImageDataset, Tag("image")]
    | Annotated[EvalDataset, Tag("eval")]
    | Annotated[MaskDataset, Tag("conditioning")]
    | Annotated[TextEmbeds, Tag("text_embeds")],
    Discriminator(_kind),
]


class Datasets(Section):
    """What is trained on, after checks that span entries: disabled ones are gone, defaults are filled in."""

    trained: tuple[VideoDataset | ImageDataset, ...]
    text: TextEmbeds
    held_out: tuple[EvalDataset, ...] = ()
    masks: tuple[MaskDataset, ...] = ()

    @property
    def clips(self) -> tuple[ClipDataset, ...]:
        """Return all datasets of clips and pictures, trained and held out."""
        return (*self.trained, *self.held_out)

    def masks_of(self, dataset: ClipDataset) -> MaskDataset | None:
        """Return the masks of a dataset's clips; None where it names none. What is measured is measured whole."""
        wanted = dataset.conditioning_data if isinstance(dataset, TrainedDataset) else None
        return next((masks for masks in self.masks if masks.id == wanted), None)
