"""What a published adapter's card says of its run, from the options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reeltune.config.prompts import file_safe
from reeltune.config.root import Config
from reeltune.contracts.facts import Facts
from reeltune.families import family_layers
from reeltune.families.sources import is_repository
from reeltune.report.model_card import CardFacts, Sampling
from reeltune.run.adapter_record import adapter_record
from reeltune.run.rendering_plan import made_sizes, plan_rendering, prompts_of
from reeltune.run.trained_layers import lycoris_among
from reeltune.run.trained_words import not_in_comfyui, result_kind, short_name

LORA = (
    "lora_rank",
    "lora_alpha",
    "lora_dropout",
    "lora_init_type",
    "use_dora",
    "peft_lora_target_modules",
    "lora_blocks",
)
"""The options that a card shows of a plain LoRA."""

SETTINGS = (
    "optimizer",
    "learning_rate",
    "lr_scheduler",
    "lr_warmup_steps",
    "train_batch_size",
    "gradient_accumulation_steps",
    "max_train_steps",
    "num_train_epochs",
    "max_grad_norm",
    "grad_clip_method",
    "use_ema",
    "ema_decay",
    "flow_schedule_shift",
    "flow_schedule_auto_shift",
    "caption_dropout_probability",
    "mixed_precision",
    "base_model_precision",
    "tread_config",
    "seed",
)
"""The options that a card shows whatever is trained."""


def card_facts(config: Config, facts: Facts) -> CardFacts:
    """Return what the card of a run says."""
    rendering = config.rendering
    prompts = prompts_of(rendering)
    width, height = next(iter(made_sizes(rendering, facts).values()))
    return CardFacts(
        title=config.reporting.run_name,
        base_model=_published(config.model.base_model),
        settings=_settings(config),
        sampling=Sampling(
            prompt=prompts[-1].prompt if prompts else "",
            negative_prompt=rendering.validation_negative_prompt,
            width=width,
            height=height,
            frames=plan_rendering(config, facts).frames,
            fps=facts.fps,
            steps=rendering.validation_num_inference_steps,
            guidance=rendering.validation_guidance,
            sampler=rendering.validation_noise_scheduler,
            flow_shift=rendering.validation_flow_shift,
        ),
        prompts={file_safe(prompt.name): prompt.prompt for prompt in prompts},
        kind=result_kind(config),
        words=_words(config),
        comfyui=_is_in_comfyui(config, facts),
    )


def _words(config: Config) -> str:
    return "A fully trained transformer" if config.model.model_type == "full" else f"A {short_name(config)} adapter"


def _settings(config: Config) -> dict[str, Any]:
    """Return what was trained and how; of LyCORIS the description's content, not the name of its file."""
    options = config.flat()
    kind = result_kind(config)
    if kind == "lora":
        own = {name: options[name] for name in LORA}
    elif kind == "full":
        own = {"model_type": "full"}
    else:
        own = {name: value for name, value in adapter_record(config).items() if name != "kind"}
    return {**own, **{name: options[name] for name in SETTINGS}}


def _is_in_comfyui(config: Config, facts: Facts) -> bool:
    """Tell whether there is a file for ComfyUI."""
    if config.model.model_type == "full" or config.adapter.lora_type != "lycoris":
        return True
    return not any(not_in_comfyui(one) for one in lycoris_among(config, family_layers(config.model), facts))


def _published(base: str) -> str | None:
    """Return the name of a base model on the hub; None for a place on this machine, however it looks."""
    return base if is_repository(base) and not Path(base).expanduser().exists() else None
