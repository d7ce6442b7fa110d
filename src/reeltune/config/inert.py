"""Settings that are accepted and change nothing in a run, each with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reeltune.config.adapter_inert import inert_adapter_options
from reeltune.config.dataset_inert import inert_keys
from reeltune.config.datasets import Datasets
from reeltune.config.lycoris import inert_lycoris_keys
from reeltune.config.optimizer_checks import overruled_settings
from reeltune.config.root import Config
from reeltune.contracts.notes import Note


def inert_settings(config: Config, datasets: Datasets) -> list[Note]:
    """Return a note for each option and key that was set and that nothing depends on, given the others."""
    given = config.given()
    options = {name: reason for rule in _RULES for names, reason in rule(config) for name in names if name in given}
    return [
        *(_note(name, reason) for name, reason in options.items()),
        *_described(config),
        *_inherited(given, datasets),
        *_unmeasured(config, datasets),
        *_alone(given, datasets),
        *_unmasked(given, datasets),
        *(note for dataset in datasets.clips for note in inert_keys(dataset)),
    ]


def _note(name: str, reason: str) -> Note:
    # A description of an adapter that is not made looks as if it were trained: worth more than a remark.
    return Note("trap" if name == "lycoris_config" else "inert", name, reason)


def _described(config: Config) -> list[Note]:
    """Return what changes nothing in the description of an adapter, where one is read."""
    adapter = config.adapter
    is_read = config.model.model_type == "lora" and adapter.lora_type == "lycoris"
    return inert_lycoris_keys(adapter.lycoris_config) if is_read and adapter.lycoris_config else []


CROP_SIZES = ("maximum_image_size", "target_downsample_size")
"""What is cropped is first resized by these."""

Rule = Iterator[tuple[Iterable[str], str]]


def _precision(config: Config) -> Rule:
    model = config.model
    if model.base_model_precision == "no_change":
        yield ("base_model_default_dtype",), "base_model_precision is no_change: mixed_precision says the number type"
        if model.text_encoder_1_precision == "no_change":
            yield ("quantize_via",), "nothing is quantized (base_model_precision is no_change)"
    else:
        yield ("mixed_precision",), "base_model_default_dtype says the number type beside a quantized base"


def _model(config: Config) -> Rule:
    if "pretrained_model_name_or_path" in config.model.model_fields_set:
        yield ("model_flavour",), "pretrained_model_name_or_path names the model"
    if not config.model.pretrained_transformer_model_name_or_path:
        yield ("pretrained_transformer_subfolder",), "pretrained_transformer_model_name_or_path is not set"
    if not config.model.attention_mechanism.startswith("sageattention"):
        yield ("sageattention_usage",), f"attention_mechanism is {config.model.attention_mechanism}"


def _recomputation(config: Config) -> Rule:
    if not config.training.gradient_checkpointing:
        yield ("gradient_checkpointing_interval",), "gradient_checkpointing is false: no block is recomputed"


def _length(config: Config) -> Rule:
    if not config.training.num_train_epochs:
        yield ("ignore_final_epochs",), "num_train_epochs is 0, so max_train_steps alone ends the run"


def _average(config: Config) -> Rule:
    if not config.average.use_ema:
        names = ("ema_decay", "ema_update_interval", "ema_device", "ema_foreach_disable", "ema_validation")
        yield names, "use_ema is false: no average is kept"


def _schedule(config: Config) -> Rule:
    name = config.optimization.lr_scheduler
    if name in ("constant", "constant_with_warmup"):
        yield ("lr_end",), f"the rate of lr_scheduler {name} does not fall"
    if name != "polynomial":
        yield ("lr_power",), f"lr_scheduler is {name}, not polynomial"
    if name != "cosine_with_restarts":
        yield ("lr_num_cycles",), f"lr_scheduler is {name}, not cosine_with_restarts"
    if not config.optimization.lr_scale:
        yield ("lr_scale_sqrt",), "lr_scale is false: the rate is not scaled"
    if config.optimization.max_grad_norm == 0:
        yield ("grad_clip_method",), "max_grad_norm is 0: nothing is clipped"


def _objective(config: Config) -> Rule:
    chosen = config.objective
    if chosen.flow_schedule_auto_shift:
        yield ("flow_schedule_shift",), "flow_schedule_auto_shift sets the shift from the frame size"
    for switch in ("flow_use_uniform_schedule", "flow_use_beta_schedule"):
        if getattr(chosen, switch):
            yield ("flow_sigmoid_scale", "flow_sigmoid_mean"), f"{switch} is true: no normal variable is drawn"
    if not chosen.flow_use_beta_schedule:
        yield ("flow_beta_schedule_alpha", "flow_beta_schedule_beta"), "flow_use_beta_schedule is false"
    if chosen.loss_type == "l2":
        yield ("huber_c", "huber_schedule"), "loss_type is l2, which squares errors of any size"


def _rendering(config: Config) -> Rule:
    rendering = config.rendering
    prompts = rendering.validation_prompt or rendering.validation_prompt_library or rendering.user_prompt_library
    if rendering.validation_disable or not prompts:
        names = [name for name in type(rendering).model_fields if name != "validation_disable"]
        yield names, "validation_disable is true" if rendering.validation_disable else "there is no prompt to render"
        yield ("attention_mechanism",), "it is for videos, and none are rendered"
    elif rendering.validation_guidance == 1:
        yield (
            ("validation_negative_prompt", "validation_guidance_skip_layers"),
            "validation_guidance is 1: there is no pass for the negative prompt",
        )
    if not rendering.validation_guidance_skip_layers:
        names = ("validation_guidance_skip_layers_start", "validation_guidance_skip_layers_stop")
        yield names, "validation_guidance_skip_layers is not set"


def _evaluation(config: Config) -> Rule:
    if config.evaluation.evaluation_type == "clip":
        yield ("evaluation_type",), "scores by CLIP judge pictures and say nothing about motion; none are computed"
    if not config.evaluation.eval_steps_interval:
        names = ("eval_timesteps", "num_eval_images", "eval_dataset_id", "eval_dataset_pooling")
        yield names, "eval_steps_interval is 0: nothing is measured"
    elif config.evaluation.eval_dataset_id:
        yield ("eval_dataset_pooling",), "eval_dataset_id names the only dataset that is measured"


def _reporting(config: Config) -> Rule:
    reporting = config.reporting
    if config.model.model_type == "full":
        yield ("weight_change_interval",), "model_type is full: no copy of the start is kept to measure from"
    pushes = reporting.push_to_hub or reporting.push_checkpoints_to_hub
    if not pushes:
        yield ("hub_model_id", "model_card_private"), "nothing is pushed to the hub"
    if not (reporting.report_to or pushes or reporting.webhook_config):
        yield ("tracker_project_name", "tracker_run_name"), "report_to names no tracker"


_RULES = (
    inert_adapter_options,
    _precision,
    _model,
    _recomputation,
    _length,
    _average,
    _schedule,
    overruled_settings,
    _objective,
    _rendering,
    _evaluation,
    _reporting,
)


def _inherited(given: Iterable[str], datasets: Datasets) -> Iterator[Note]:
    """Yield the defaults for datasets that no dataset takes."""
    takers = {
        **dict.fromkeys(("resolution", "resolution_type", "minimum_image_size", "vae_batch_size"), datasets.clips),
        **dict.fromkeys(CROP_SIZES, tuple(dataset for dataset in datasets.clips if dataset.crop)),
    }
    for name, several in takers.items():
        if name in given and all(getattr(dataset, name) is not None for dataset in several):
            yield Note("inert", name, "every dataset sets its own" if several else "no dataset has crop true")


def _alone(given: Iterable[str], datasets: Datasets) -> Iterator[Note]:
    """Yield what weighs datasets against each other where there is one."""
    if len(datasets.trained) != 1:
        return
    (only,) = datasets.trained
    reason = "one dataset is trained, so there is nothing to weigh it against"
    if "data_backend_sampling" in given:
        yield Note("inert", "data_backend_sampling", reason)
    if only.probability != 1:
        yield Note("inert", f"{only.id}.probability", reason)


def _unmasked(given: Iterable[str], datasets: Datasets) -> Iterator[Note]:
    """Yield what is about masks where no clip has any."""
    if "masked_loss_probability" in given and not any(map(datasets.masks_of, datasets.trained)):
        yield Note("inert", "masked_loss_probability", "no dataset names masks with conditioning_data")


def _unmeasured(config: Config, datasets: Datasets) -> Iterator[Note]:
    """Yield a note for each dataset of type eval when nothing is measured, and for a split that an id rules out."""
    wanted = config.evaluation.eval_dataset_id
    if config.evaluation.eval_split and wanted in [dataset.id for dataset in datasets.held_out]:
        yield Note("inert", "eval_split", f"eval_dataset_id is {wanted}, so no file of another dataset is held out")
    if not config.evaluation.eval_steps_interval:
        for dataset in datasets.held_out:
            text = "its clips are held out of training, and not measured either: eval_steps_interval is 0"
            yield Note("inert", dataset.id, text)
