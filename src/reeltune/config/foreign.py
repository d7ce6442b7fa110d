"""Keys that configuration files in use carry and that are no options here: what is said about each.

`INERT` keys are accepted, change nothing, and are reported with the reason. `NOT_YET` keys would change the training
if they were there, so they are an error that says what to do instead.
"""

from __future__ import annotations

from collections.abc import Mapping

_ONE_ENCODER = "Wan has one text encoder"
_BY_POSITION = "randomness is a function of seed and position here, on every device"
_ATOMIC = "everything is written beside its place and renamed, always"
_NAMED_BY_CONTENT = "cache entries are named by what made them, so a stale one cannot be found"
_ONE_BY_ONE = "entries are written one by one, each whole"
_AHEAD = "files are looked at and decoded side by side, as many as the machine has room for"
_PER_START = "what is found out about a file is kept until the file changes"
_NEVER_DELETED = "no file is ever deleted; what cannot be used is left out, and named"
_FLOW = "it belongs to models that predict noise; Wan predicts a velocity"
_LIKE_FILES = "files are found by looking, at each start"

INERT: Mapping[str, str] = {
    "text_encoder_2_precision": _ONE_ENCODER,
    "text_encoder_3_precision": _ONE_ENCODER,
    "text_encoder_4_precision": _ONE_ENCODER,
    "seed_for_each_device": _BY_POSITION,
    "checkpointing_use_tempdir": _ATOMIC,
    "override_dataset_config": "the dataset file as it is now always counts",
    "vae_cache_scan_behaviour": _NAMED_BY_CONTENT,
    "scan_for_errors": "entries carry a checksum and are verified at each start",
    "write_batch_size": _ONE_BY_ONE,
    "read_batch_size": _AHEAD,
    "image_processing_batch_size": _AHEAD,
    "max_workers": _AHEAD,
    "dataloader_prefetch": "batches are always read ahead",
    "dataloader_prefetch_qlen": "batches are always read ahead",
    "metadata_update_interval": _PER_START,
    "preserve_data_backend_cache": _LIKE_FILES,
    "skip_file_discovery": _LIKE_FILES,
    "cache_clear_validation_prompts": _NAMED_BY_CONTENT,
    "ema_cpu_only": "the average is updated where ema_device keeps it",
    "lora_format": "both layouts, diffusers' and ComfyUI's, are always written",
    "set_grads_to_none": "gradients are always freed after a step",
    "validation_guidance_skip_scale": "skip-layer guidance for Wan has no scale: the blocks are left out or not",
    "validation_disable_unconditional": "the empty prompt is not rendered",
    "validation_seed_source": "noise of videos is drawn on the host, so that it is the same on every device",
    "validation_method": "one way of rendering is used: the stock pipeline on the trained weights",
    "snr_gamma": _FLOW,
    "offset_noise": _FLOW,
    "noise_offset": _FLOW,
    "prediction_type": "the model's own is used: velocity",
    "rescale_betas_zero_snr": _FLOW,
    "training_scheduler_timestep_spacing": _FLOW,
    "inference_scheduler_timestep_spacing": "the model's own scheduler configuration is used",
    "aspect_ratio_bucketing": "clips are always grouped by their shape",
    "vae_enable_slicing": "vae_batch_size says how many clips are encoded at once",
    "disable_multi_gpu": "one GPU is used",
    "print_filenames": "reeltune data manifest, and manifest.jsonl in the run folder, say what became of every file",
    "delete_unwanted_images": _NEVER_DELETED,
    "aspect_bucket_disable_rebuild": "groups of one shape stay the same in all epochs",
    "print_sampler_statistics": "plan shows the buckets",
    "skip_version_check": "no version is checked over the network",
    "i_know_what_i_am_doing": "no check can be switched off",
    "webhook_reporting_interval": "a webhook hears of progress once a second at most",
    "tracker_image_layout": "trackers are sent videos",
    "validation_stitch_input_location": "it belongs to editing models",
    "enable_xformers_memory_efficient_attention": "PyTorch's own attention is as fast, and has no limits on shapes",
}
"""Options of other trainers that change nothing here, with the reason."""

_ONE_GPU = "one process on one device is what runs today"
_DENSITIES = "noise levels follow a sigmoid of a normal variable, are uniform, or follow a beta distribution"
_OPTIMIZER = "its state stays beside the weights; that of bnb-*-paged moves to the host when the GPU is full"
_COMPILE = "nothing is compiled"
_SERIES = "checkpointing_steps and checkpoints_total_limit keep one series"
_IN_DATASET = "set it in the dataset file, for each dataset"
_TEXT_TO_VIDEO = "text-to-video is what is trained"

NOT_YET: Mapping[str, str] = {
    "train_text_encoder": "the transformer alone is trained",
    "optimizer_cpu_offload_method": _OPTIMIZER,
    "prodigy_steps": "optimizer_config=prodigy_steps=1000 sets it",
    "flux_fast_schedule": _DENSITIES,
    "flow_cubic_schedule_weights": _DENSITIES,
    "flow_custom_timesteps": _DENSITIES,
    "input_perturbation": "no noise is added beside the one of the flow",
    "checkpointing_rolling_steps": _SERIES,
    "checkpoints_rolling_total_limit": _SERIES,
    "caption_strategy": _IN_DATASET,
    "instance_prompt": _IN_DATASET,
    "prepend_instance_prompt": _IN_DATASET,
    "only_instance_prompt": _IN_DATASET,
    "instance_data_dir": _IN_DATASET,
    "cache_dir_text": _IN_DATASET,
    "cache_dir_vae": _IN_DATASET,
    "aspect_ratio_bucket_min": "minimum_aspect_ratio of a dataset leaves out what is narrower",
    "aspect_ratio_bucket_max": "maximum_aspect_ratio of a dataset leaves out what is wider",
    "vae_cache_disable": "what is encoded is kept; vae_cache_ondemand=true encodes as it is needed",
    "keep_vae_loaded": "offload_during_startup=false keeps it",
    "tokenizer_max_length": "captions are cut at the model's own 512 tokens",
    "t5_padding": "padding is as the model was trained with",
    "framerate": "set video.fps in the dataset; videos have the model's own rate",
    "validation_guidance_rescale": "validation_guidance is used as it is",
    "validation_guidance_real": "validation_guidance is used as it is",
    "validation_torch_compile": _COMPILE,
    "validation_on_startup": "disable_benchmark=false renders before the first step",
    "validation_using_datasets": "videos are made from prompts",
    "validation_num_inference_frames": "validation_num_video_frames is meant",
    "eval_epoch_interval": "eval_steps_interval counts steps",
    "accelerator_cache_clear_interval": "the GPU's memory cache is left alone",
    "deepspeed_config": _ONE_GPU,
    "accelerate_config": _ONE_GPU,
    "accelerate_extra_args": _ONE_GPU,
    "num_processes": _ONE_GPU,
    "num_machines": _ONE_GPU,
    "main_process_ip": _ONE_GPU,
    "main_process_port": _ONE_GPU,
    "machine_rank": _ONE_GPU,
    "fsdp_enable": _ONE_GPU,
    "fsdp_version": _ONE_GPU,
    "fsdp_reshard_after_forward": _ONE_GPU,
    "fsdp_state_dict_type": _ONE_GPU,
    "fsdp_auto_wrap_policy": _ONE_GPU,
    "fsdp_transformer_layer_cls_to_wrap": _ONE_GPU,
    "context_parallel_size": _ONE_GPU,
    "dynamo_backend": _COMPILE,
    "dynamo_mode": _COMPILE,
    "control": _TEXT_TO_VIDEO,
    "controlnet": _TEXT_TO_VIDEO,
    "conditioning_multidataset_sampling": _TEXT_TO_VIDEO,
    "webhook_reporting_format": "webhook_type in the webhook's own file is meant",
    "model_card_note": "the model card is written from the run's own settings",
    "model_card_safe_for_work": "the model card is written from the run's own settings",
}
"""Options of other trainers that are missing here, with what there is."""

DATASET_INERT: Mapping[str, str] = {
    "write_batch_size": _ONE_BY_ONE,
    "read_batch_size": _AHEAD,
    "image_processing_batch_size": _AHEAD,
    "max_workers": _AHEAD,
    "aws_max_pool_connections": "files are fetched by a few threads",
    "hash_filenames": _NAMED_BY_CONTENT,
    "cache_file_suffix": _NAMED_BY_CONTENT,
    "preserve_data_backend_cache": _LIKE_FILES,
    "skip_file_discovery": _LIKE_FILES,
    "metadata_update_interval": _PER_START,
    "scan_for_errors": "entries carry a checksum and are verified at each start",
    "disable_validation": "videos are made from prompts, not from datasets",
    "delete_unwanted_images": _NEVER_DELETED,
    "delete_problematic_images": _NEVER_DELETED,
    "text_embeds": "one store of text embeddings serves all datasets",
    "text_embed_cache": "one store of text embeddings serves all datasets",
}
"""Keys of datasets that change nothing here, with the reason."""

_MEASURED = "it is about training; measured clips are each measured once"

OF_CLIPS = (
    *("caption_strategy", "instance_prompt", "prepend_instance_prompt", "only_instance_prompt"),
    *("allow_missing_captions", "metadata_backend", "parquet", "max_num_samples", "video", "vae_batch_size"),
    *("resolution", "resolution_type", "minimum_image_size", "maximum_image_size", "target_downsample_size"),
    *("minimum_aspect_ratio", "maximum_aspect_ratio", "crop", "crop_style", "crop_aspect", "crop_aspect_buckets"),
    *("repeats", "probability", "is_regularisation_data", "is_regularization_data", "vae_cache_clear_each_epoch"),
    "timestep_sampling_offset",
)
"""Keys of clips that entries of masks often repeat."""

DATASET_INERT_BY_KIND: Mapping[str, Mapping[str, str]] = {
    "image": {"video": "a picture has one frame"},
    "eval": {
        "repeats": _MEASURED,
        "probability": _MEASURED,
        "is_regularisation_data": _MEASURED,
        "is_regularization_data": _MEASURED,
        "vae_cache_clear_each_epoch": _MEASURED,
        "timestep_sampling_offset": _MEASURED,
        "conditioning_data": "held-out clips are measured whole, masks or not",
    },
    "conditioning": {
        **dict.fromkeys(OF_CLIPS, "a mask follows the clip that it belongs to"),
        "cache_dir_vae": "masks are kept in cache_dir_vae of the clips that they belong to",
    },
}
"""By dataset_type, keys of other datasets that change nothing there."""

HUB_INERT: Mapping[str, str] = {
    "streaming": "files are fetched as they are needed, and kept",
    "num_proc": _AHEAD,
}
"""Keys inside `huggingface` of a dataset that change nothing here, with the reason."""

HUB_NOT_YET: Mapping[str, str] = {
    "filter_func": "all rows of the dataset are used; max_num_samples takes fewer",
    "composite_image_config": "each row is one picture or clip",
}
"""Keys inside `huggingface` that are missing here, with what there is."""

_EQUAL = "every dataset is drawn in every epoch, as probability and repeats say"

DATASET_NOT_YET: Mapping[str, str] = {
    "disable_after_epoch_step": _EQUAL,
    "start_epoch": _EQUAL,
    "start_step": _EQUAL,
    "end_epoch": _EQUAL,
    "end_step": _EQUAL,
    "train_batch_size": "the configuration's train_batch_size is used for all",
    "image_embeds": "encoded clips lie in cache_dir_vae",
    "vae_cache_ondemand": "set it in the configuration, for all datasets",
    "vae_cache_disable": "what is encoded is kept; the option vae_cache_ondemand encodes as it is needed",
    "text_cache_ondemand": "all captions are encoded before training",
    "text_cache_disable": "encoded captions are kept",
    "disable_multiline_split": "each line of a text file is a caption of its own; write a caption in one line",
    "caption_shuffle": "captions are trained as they are written",
    "max_upscale_threshold": "minimum_image_size leaves small clips out",
    "conditioning": _TEXT_TO_VIDEO,
    "source_dataset_id": _TEXT_TO_VIDEO,
    "huggingface": "write what it holds into the dataset itself: dataset_name, split, caption_column",
    "slider_strength": _TEXT_TO_VIDEO,
    "is_i2v": _TEXT_TO_VIDEO,
}
"""Keys of datasets that are missing here, with what there is."""
