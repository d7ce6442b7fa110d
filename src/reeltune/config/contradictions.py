"""What is wrong between options that are each right by themselves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from reeltune.config.adapter_contradictions import trained_contradictions, trained_contradictions_with_data
from reeltune.config.datasets import Datasets
from reeltune.config.optimizer_checks import optimizer_contradictions
from reeltune.config.optimizer_names import SCHEDULE_FREE
from reeltune.config.problems import nearest
from reeltune.config.release_checks import release_contradictions
from reeltune.config.root import Config
from reeltune.config.scaled_rate import scaled_rate
from reeltune.config.size_checks import sizes_at_odds


def contradictions(config: Config) -> list[str]:
    """Return a sentence for each."""
    return [problem for check in _CHECKS for problem in check(config)]


def contradictions_with_data(config: Config, datasets: Datasets) -> list[str]:
    """Return a sentence for each between the options and the dataset file."""
    return [
        *_written_among_clips(config, datasets),
        *sizes_at_odds(config, datasets),
        *_unmeasurable(config, datasets),
        *trained_contradictions_with_data(config, datasets),
    ]


def _written_among_clips(config: Config, datasets: Datasets) -> Iterator[str]:
    """Refuse to write into a folder of clips: what is written there would be taken for clips at the next start."""
    for dataset in datasets.clips:
        # The other types of datasets name their files: nothing is found by looking.
        if dataset.type != "local" or not dataset.instance_data_dir:
            continue
        clips = _absolute(dataset.instance_data_dir)
        for name, folder in _written(config, datasets).items():
            if _absolute(folder).is_relative_to(clips):
                yield (
                    f"{name} is {folder!r}, which lies in the clips of {dataset.id} ({dataset.instance_data_dir}): "
                    "nothing is written among clips; name a folder elsewhere"
                )


def _written(config: Config, datasets: Datasets) -> dict[str, str]:
    """Return the folders that are written to, by the key that names each."""
    clips = datasets.clips
    return {
        "output_dir": config.reporting.output_dir,
        f"{datasets.text.id}.cache_dir": datasets.text.cache_dir,
        **{f"{dataset.id}.cache_dir_vae": dataset.cache_dir_vae for dataset in clips},
        **{f"{dataset.id}.csv_cache_dir": dataset.csv_cache_dir for dataset in clips if dataset.csv_cache_dir},
    }


def _absolute(folder: str) -> Path:
    # Where links lead: a folder of clips may be reached by several names.
    return Path(os.path.realpath(Path(folder).expanduser()))


def _unmeasurable(config: Config, datasets: Datasets) -> list[str]:
    options = config.evaluation
    interval, share, wanted = options.eval_steps_interval, options.eval_split, options.eval_dataset_id
    if not interval:
        return []
    split = [dataset.id for dataset in datasets.trained if share and not dataset.is_regularisation_data]
    there = [*(dataset.id for dataset in datasets.held_out), *split]
    if not there:
        return [
            f"eval_steps_interval is {interval} and no dataset of type eval is in use: add an entry with "
            '"dataset_type": "eval" to the dataset file, set eval_split=0.05, or set eval_steps_interval=0'
        ]
    if wanted and wanted not in there:
        hint = nearest(wanted, there) or f"; there are {', '.join(there)}"
        other = " and none that is split" if share else ""
        return [f"eval_dataset_id is {wanted!r}, which is no dataset of type eval in use{other}{hint}"]
    return []


def _has_an_end(config: Config) -> Iterator[str]:
    training = config.training
    if not training.max_train_steps and not training.num_train_epochs:
        yield "max_train_steps and num_train_epochs are both 0: set one of them, such as max_train_steps=2000"
    elif not training.max_train_steps and training.ignore_final_epochs:
        yield "ignore_final_epochs is true and max_train_steps is 0: nothing would end the run; set max_train_steps"


def _skipping_has_a_span(config: Config) -> Iterator[str]:
    rendering = config.rendering
    start, stop = rendering.validation_guidance_skip_layers_start, rendering.validation_guidance_skip_layers_stop
    if rendering.validation_guidance_skip_layers and start >= stop:
        yield (
            f"validation_guidance_skip_layers_start {start:g} is not below validation_guidance_skip_layers_stop "
            f"{stop:g}: the layers would never be left out; write start=0.0 and stop=1.0 for all steps"
        )


def _one_kind_of_quantization(config: Config) -> Iterator[str]:
    libraries = {
        name.rpartition("-")[2]
        for name in (config.model.base_model_precision, config.model.text_encoder_1_precision)
        if name != "no_change"
    }
    if len(libraries) > 1:
        yield (
            "base_model_precision and text_encoder_1_precision name two libraries: use quanto for both, or torchao, "
            "such as int8-torchao"
        )


def _split_is_measured(config: Config) -> Iterator[str]:
    options = config.evaluation
    if options.eval_split and not options.eval_steps_interval:
        yield (
            f"eval_split is {options.eval_split:g} and eval_steps_interval is 0: files would be held out and never "
            "measured; set eval_steps_interval=100, or eval_split=0"
        )


def _rate_falls(config: Config) -> Iterator[str]:
    chosen = config.optimization
    rate = scaled_rate(chosen, config.training.samples_per_step)
    decays = chosen.lr_scheduler not in ("constant", "constant_with_warmup") and chosen.optimizer not in SCHEDULE_FREE
    if decays and chosen.lr_end > rate:
        yield (
            f"lr_end {chosen.lr_end:g} is above learning_rate {rate:g}: the rate would rise; "
            "set lr_end=0 or a higher learning_rate"
        )


def _one_density(config: Config) -> Iterator[str]:
    if config.objective.flow_use_uniform_schedule and config.objective.flow_use_beta_schedule:
        yield (
            "flow_use_uniform_schedule and flow_use_beta_schedule are both true: noise levels are drawn from one of "
            "them; set the other to false"
        )


def _pipeline_has_folders(config: Config) -> Iterator[str]:
    vae = config.model.pretrained_vae_model_name_or_path
    pipeline = config.model.model_type == "full" and config.adapter.full_output == "pipeline"
    if pipeline and vae and vae.lower().endswith(".safetensors"):
        yield (
            "full_output is pipeline and pretrained_vae_model_name_or_path is a single file: a pipeline holds folders; "
            "name a folder of the autoencoder, or set full_output=transformer"
        )


_CHECKS = (
    _has_an_end,
    _skipping_has_a_span,
    _one_kind_of_quantization,
    _rate_falls,
    _split_is_measured,
    _one_density,
    _pipeline_has_folders,
    trained_contradictions,
    release_contradictions,
    optimizer_contradictions,
)
