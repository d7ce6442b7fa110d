"""The keys of SimpleTuner's Wan 2.1 quickstart (version 3.0.0), with what reeltune makes of each. Only tables.

What a key's status is, effective or not, is not written here: `compatibility.py` asks the loader.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

File = Literal["configuration", "clips", "text"]
"""Where a key stands: in the configuration, in the dataset of clips, in the store of text embeddings."""


@dataclass(frozen=True)
class Row:
    """Keys that belong together, as the quickstart sets them, and what reeltune does with them."""

    given: Mapping[str, Any]
    sentence: str
    place: File = "configuration"


@dataclass(frozen=True)
class Snippet:
    """A part of the quickstart that adds keys to its configuration."""

    title: str
    rows: tuple[Row, ...]


QUICKSTART = (
    Row(
        {"resume_from_checkpoint": "latest"},
        "The newest whole checkpoint is continued, bit for bit on the CPU; with none there the run starts at step 0.",
    ),
    Row({"quantize_via": "cpu"}, "Says where weights are quantized; the page's configuration quantizes none."),
    Row(
        {"attention_mechanism": "sageattention"},
        "Validation videos use SageAttention where it is installed, else PyTorch's own with one warning; training "
        "always uses an attention that has a backward pass.",
    ),
    Row(
        {"data_backend_config": "config/wan/multidatabackend.json"},
        "The dataset file; where only config/multidatabackend.json exists, as the page's text has it, that one is read "
        "and the plan says so.",
    ),
    Row({"aspect_bucket_rounding": 2}, "Decimals of the aspect ratio by which clips are put into buckets."),
    Row({"seed": 42}, "All noise, order and dropout follow from it and from the position in the run."),
    Row({"minimum_image_size": 0}, "The default for datasets; the page's dataset sets its own."),
    Row(
        {"offload_during_startup": True},
        "Text encoder and autoencoder leave the memory as soon as captions and clips are encoded.",
    ),
    Row(
        {"disable_benchmark": False},
        "The prompts are rendered once with the bare base model before the first step, for comparison.",
    ),
    Row({"output_dir": "output/wan"}, "The folder of the run; its last part names the adapter file."),
    Row({"lora_type": "standard"}, "LoRA as PEFT defines it; `lycoris` trains what lycoris_config describes."),
    Row(
        {"lycoris_config": "config/wan/lycoris_config.json"},
        "Not read beside lora_type standard, which the plan points out.",
    ),
    Row({"max_train_steps": 400000}, "Optimizer steps of the run; enough by itself to end it."),
    Row({"num_train_epochs": 0}, "0 leaves the end to max_train_steps; with both set, whichever comes first."),
    Row({"checkpointing_steps": 1000}, "A whole, resumable checkpoint every 1000 steps, and one at the end."),
    Row(
        {"checkpoints_total_limit": 5},
        "Exactly five are kept; the oldest goes once the new one stands. Deepened later: keeping the best as well.",
    ),
    Row({"hub_model_id": "wan-disney"}, "The repository under your own account, made private where it is new."),
    Row(
        {"push_to_hub": "true"},
        "The finished adapter, its model card and videos are uploaded beside the run; without a login they stay local, "
        "with a warning.",
    ),
    Row(
        {"push_checkpoints_to_hub": "true"},
        "Each checkpoint's adapter is uploaded too; this works with and without push_to_hub.",
    ),
    Row(
        {"tracker_project_name": "lora-training", "tracker_run_name": "wan-adamW"},
        "How trackers and webhooks file the run.",
    ),
    Row(
        {"report_to": "wandb"},
        "Losses and videos go to Weights & Biases; without a login the run is kept on disk, without the package losses "
        "go to metrics.csv. Deepened later: videos in tensorboard.",
    ),
    Row({"model_type": "lora"}, "An adapter is trained; `full` trains all weights of the transformer."),
    Row(
        {"pretrained_model_name_or_path": "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"},
        "The base model: a hub repository, a folder, or one .safetensors file.",
    ),
    Row(
        {"pretrained_t5_model_name_or_path": "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"},
        "Text encoder and tokenizer really come from here.",
    ),
    Row({"model_family": "wan"}, "Wan 2.1 is the family that there is."),
    Row({"train_batch_size": 2}, "Two clips of one bucket go through the model together."),
    Row({"gradient_checkpointing": True}, "Each block is recomputed in the backward pass; false is honoured too."),
    Row({"gradient_accumulation_steps": 1}, "Micro-batches in one optimizer step."),
    Row(
        {"caption_dropout_probability": 0.1},
        "One sample in ten is trained with an empty caption; measured losses never are.",
    ),
    Row(
        {"resolution_type": "pixel_area", "resolution": 480},
        "Defaults for datasets; the page's dataset sets the same values itself.",
    ),
    Row({"validation_seed": 42}, "Noise of the videos, drawn on the host, so equal on every device; 0 is a seed."),
    Row({"validation_steps": 100}, "Videos every 100 steps and at the end; the plan says what share of time that is."),
    Row(
        {"validation_resolution": "832x480"},
        "The size of the videos; the page's dataset trains smaller frames, which the plan points out.",
    ),
    Row(
        {"validation_prompt": "(a prompt in Chinese)", "validation_negative_prompt": "(a list of faults in Chinese)"},
        "What is rendered and what is avoided, in any language; encoded once and cached.",
    ),
    Row({"validation_guidance": 5.2}, "Strength of the prompt: two passes of the model for each denoising step."),
    Row({"validation_num_inference_steps": 40}, "Denoising steps of each video."),
    Row({"validation_num_video_frames": 81}, "Frames of each video: five seconds at Wan's 16 a second."),
    Row(
        {"mixed_precision": "bf16"},
        "The frozen base computes in bfloat16; adapter, noise, loss and average are float32.",
    ),
    Row({"optimizer": "optimi-lion"}, "Lion of the library optimi, on float32 weights, without weight decay."),
    Row({"learning_rate": 0.00005}, "The rate that the schedule starts from."),
    Row(
        {"max_grad_norm": 0.01, "grad_clip_method": "value"},
        "Each element of the gradient is clamped to 0.01; the plan says that this is no norm.",
    ),
    Row(
        {"lr_scheduler": "cosine", "lr_warmup_steps": 400000},
        "A warm-up as long as the run: taken as a decay over the whole run, at the full rate from the first step; the "
        "plan prints the rates.",
    ),
    Row({"base_model_precision": "no_change"}, "The base is not quantized."),
    Row(
        {"vae_batch_size": 1},
        "Clips are encoded one by one, each exactly as alone; larger batches are halved where memory runs out.",
    ),
    Row(
        {"webhook_config": "config/wan/webhook.json"},
        "Webhooks named in that file hear of the run; an example lies there, and a missing file is one warning.",
    ),
    Row(
        {"compress_disk_cache": True},
        "Cache entries are compressed with zstd; both kinds can always be read.",
    ),
    Row({"use_ema": True}, "A float32 average of the adapter is kept, saved and resumed."),
    Row(
        {"ema_validation": "ema_only"},
        "Videos show the averaged weights, and so does the result file: what was seen is what is delivered.",
    ),
    Row(
        {"ema_update_interval": 2},
        "The average moves every second step, with the shares of both steps, so that its horizon stays the same.",
    ),
    Row(
        {"delete_problematic_images": "true"},
        "No file is ever deleted: clips that cannot be read are left out, and listed in quarantine.jsonl in the run "
        "folder; `reeltune data quarantine` names them with the reason.",
    ),
    Row({"disable_bucket_pruning": True}, "Buckets with fewer clips than a batch are trained, and counted."),
    Row(
        {
            "validation_guidance_skip_layers": [9],
            "validation_guidance_skip_layers_start": 0.0,
            "validation_guidance_skip_layers_stop": 1.0,
        },
        "The pass for the negative prompt leaves out block 9 in every denoising step.",
    ),
    Row({"lora_rank": 16}, "Inner width of the adapter; alpha is the same unless set, and stored in the file."),
    Row(
        {"flow_schedule_shift": 3},
        "Noise levels of training are shifted by 3; videos keep the model's own shift unless validation_flow_shift is "
        "set.",
    ),
    Row({"validation_prompt_library": False}, "True would render a dozen built-in prompts as well."),
    Row(
        {"ignore_final_epochs": True},
        "Keeps num_train_epochs from ending the run; there is nothing to keep from with 0 epochs.",
    ),
)
"""The configuration on the page, key by key, in its order."""

SNIPPETS = (
    Snippet(
        "Token routing (TREAD)",
        (
            Row(
                {"tread_config": {"routes": [{"selection_ratio": 0.1, "start_layer_idx": 2, "end_layer_idx": -2}]}},
                "selection_ratio is the share of video tokens that is left out: 0.1 keeps 90 %, where the page's text "
                "says half. One route or several, as an object or as a text; blocks may not be in two routes.",
            ),
        ),
    ),
    Snippet(
        "Prompt library",
        (
            Row(
                {"--user_prompt_library": "config/user_prompt_library.json"},
                "Each prompt is rendered beside validation_prompt; nicknames become safe file names.",
            ),
        ),
    ),
    Snippet(
        "Loss on held-out clips",
        (
            Row(
                {"eval_steps_interval": 100, "eval_timesteps": 28, "num_eval_images": 4},
                "Datasets of type eval are measured at fixed noise and evenly spread noise levels, videos included. "
                "Deepened later: keeping the checkpoint whose loss is lowest.",
            ),
            Row({"evaluation_type": "clip"}, "The page advises against it for videos, and no such score is computed."),
        ),
    ),
    Snippet(
        "Shift of the noise schedule",
        (Row({"flow_schedule_shift": 0.1}, "Any number above 0; unset or 0 is no shift, as the page's text says."),),
    ),
    Snippet(
        "Shift by the size of the frames",
        (Row({"flow_schedule_auto_shift": True}, "The shift follows the frame size, and wins over a fixed one."),),
    ),
    Snippet(
        "Quantized training",
        (
            Row(
                {"base_model_precision": "int8-quanto"},
                "The blocks' attention and feed-forward weights have 8 bits; all else keeps its type.",
            ),
            Row({"text_encoder_1_precision": "no_change"}, "The text encoder can be quantized as well."),
            Row({"text_encoder_2_precision": "no_change"}, "Wan has no second text encoder."),
            Row({"lora_rank": 16}, "As above."),
            Row({"max_grad_norm": 1.0}, "As above; grad_clip_method says whether it clamps elements or scales."),
            Row({"base_model_default_dtype": "bf16"}, "The type of what is not quantized."),
        ),
    ),
    Snippet(
        "Lowest memory",
        (
            Row({"base_model_precision": "int8-quanto"}, "As above."),
            Row({"optimizer": "bnb-lion8bit-paged"}, "Lion of bitsandbytes, its state in 8 bits, paged to the host."),
            Row({"train_batch_size": 1}, "One clip at a time."),
            Row({"gradient_checkpointing": True}, "On by default."),
            Row({"offload_during_startup": True}, "On by default."),
            Row(
                {"num_frames": 1}, "Single frames of clips are trained; written in the dataset's video.", place="clips"
            ),
            Row({"base_model_precision": "nf4-bnb"}, "The page says that Wan does not take 4 bits; this is enforced."),
        ),
    ),
    Snippet(
        "Notes on SageAttention, solvers, masks and shapes",
        (
            Row({"attention_mechanism": "sageattention"}, "As above: for videos, inside the transformer only."),
            Row({"sageattention_usage": "training"}, "Its kernels have no backward pass, so it is refused."),
            Row({"validation_noise_scheduler": "unipc"}, "The page's default; euler uses beta-distributed levels."),
            Row(
                {"masked_loss_probability": 0.5},
                "The page advises against it for Wan; conditioning_data of a dataset names masks.",
            ),
            Row(
                {"crop": True, "crop_aspect": "random", "crop_aspect_buckets": [0.5625, 1.0, 1.7778]},
                "One of the shapes is drawn for each clip; without crop, clips keep their own.",
                place="clips",
            ),
        ),
    ),
    Snippet(
        "Custom models",
        (
            Row(
                {"pretrained_transformer_model_name_or_path": "path/to-the-other-model"},
                "A repository, folder or file.",
            ),
            Row({"pretrained_transformer_subfolder": "none"}, "The weights lie at the top of that place."),
            Row({"pretrained_vae_model_name_or_path": "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"}, "Where the autoencoder is."),
        ),
    ),
    Snippet(
        "A name with a word missing",
        (
            Row(
                {"pretrained_transformer_name_or_path": "path/to/model.safetensors"},
                "The page's note drops a word from the name; both are read, and of the two only one may be given.",
            ),
        ),
    ),
)
"""The page's other keys, by the place where it speaks of them."""

CLIPS = (
    Row({"id": "disney-black-and-white"}, "The name of the dataset in every message.", "clips"),
    Row({"type": "local"}, "Clips lie in a folder; aws, csv and huggingface are there too.", "clips"),
    Row({"dataset_type": "video"}, "Clips that are trained; image is for pictures, eval for held-out ones.", "clips"),
    Row({"crop": False}, "The clip is resized at its own aspect, and what is left over is trimmed.", "clips"),
    Row({"resolution": 480, "resolution_type": "pixel_area"}, "Frames have about 480 x 480 pixels.", "clips"),
    Row({"minimum_image_size": 480}, "Clips with fewer pixels are left out, and named in the manifest.", "clips"),
    Row({"maximum_image_size": 480}, "Belongs to cropping, which is off.", "clips"),
    Row({"target_downsample_size": 480}, "Belongs to cropping, which is off.", "clips"),
    Row({"cache_dir_vae": "cache/vae/wan/disney-black-and-white"}, "Where encoded clips are kept.", "clips"),
    Row(
        {"instance_data_dir": "datasets/disney-black-and-white"}, "Read with its subfolders, never written to.", "clips"
    ),
    Row({"disabled": False}, "True leaves the entry out; disable means the same.", "clips"),
    Row(
        {"caption_strategy": "textfile"},
        "Captions come from the text file beside each clip, a line each.",
        "clips",
    ),
    Row({"metadata_backend": "discovery"}, "Clips are found by looking at the files.", "clips"),
    Row({"repeats": 0}, "Extra passes in each epoch; 0 shows each clip once.", "clips"),
    Row(
        {"num_frames": 75, "min_frames": 75},
        "Frames at the model's 16 a second, rounded down to 73, since the autoencoder takes 4k+1; min_frames follows.",
        "clips",
    ),
    Row({"max_frames": 400}, "Longer clips are left out.", "clips"),
    Row({"id": "text-embeds"}, "The name of the store.", "text"),
    Row({"dataset_type": "text_embeds", "default": True}, "The one store of encoded captions.", "text"),
    Row({"cache_dir": "cache/text/wan"}, "Where encoded captions are kept.", "text"),
    Row({"write_batch_size": 128}, "Entries are written one by one, each whole.", "text"),
)
"""The dataset file on the page."""

VIDEO_KEYS = ("num_frames", "min_frames", "max_frames")
"""Keys that stand inside a dataset's `video`."""

OWN = (
    "strict",
    "lora_blocks",
    "full_output",
    "validation_flow_shift",
    "text_encoder_batch_size",
    "allow_missing_captions",
    "csv_path_column",
    "fps",
    "frame_selection",
    "windows",
    "window_stride",
)
"""Options that only reeltune has."""
