"""What a published adapter's card says of its run, from the options."""

from __future__ import annotations

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

SCHEDULERS = {"unipc": "UniPCMultistepScheduler", "euler": "FlowMatchEulerDiscreteScheduler"}


def card_facts(config: Config, facts: Facts) -> CardFacts:
    """Return what the card of a run says."""
    rendering, base = config.rendering, config.model.base_model
    prompts = prompts_of(rendering)
    width, height = next(iter(made_sizes(rendering, facts).values()))
    shift = rendering.validation_flow_shift
    options = config.flat()
    return CardFacts(
        title=config.reporting.run_name,
        base_model=base if is_repository(base) else None,
        adapter="lora",
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
            scheduler=SCHEDULERS[rendering.validation_noise_scheduler],
            scheduler_settings={} if shift is None else {"flow_shift": shift},
        ),
        prompts={prompt.name: prompt.prompt for prompt in prompts},
    )
