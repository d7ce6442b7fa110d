"""What a published adapter's card says of its run, from the options."""

from __future__ import annotations

from pathlib import Path

from reeltune.config.prompts import file_safe
from reeltune.config.root import Config
from reeltune.contracts.facts import Facts
from reeltune.families.sources import is_repository
from reeltune.report.model_card import CardFacts, Sampling
from reeltune.run.rendering_plan import made_sizes, plan_rendering, prompts_of

SETTINGS = (
    "lora_rank",
    "lora_alpha",
    "lora_dropout",
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
"""The options that a card shows."""


def card_facts(config: Config, facts: Facts) -> CardFacts:
    """Return what the card of a run says."""
    rendering = config.rendering
    prompts = prompts_of(rendering)
    width, height = next(iter(made_sizes(rendering, facts).values()))
    options = config.flat()
    return CardFacts(
        title=config.reporting.run_name,
        base_model=_published(config.model.base_model),
        settings={name: options[name] for name in SETTINGS},
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
    )


def _published(base: str) -> str | None:
    """Return the name of a base model on the hub; None for a place on this machine, however it looks."""
    return base if is_repository(base) and not Path(base).expanduser().exists() else None
