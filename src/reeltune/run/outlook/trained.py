"""What is trained on what, in the outlook."""

from __future__ import annotations

from reeltune.contracts.outlook import Trained
from reeltune.estimate.parameters import lora_modules, parameters, quantizable_parameters
from reeltune.run.outlook.basis import Basis

PRECISIONS = {"bf16": "bf16, with the LoRA in float32", "no": "float32"}
"""By the number type of the activations."""


def trained_outlook(basis: Basis) -> Trained:
    """Return what is trained on what."""
    config, size = basis.config, basis.dimensions
    training = config.training
    return Trained(
        kind=_kind(basis),
        modules=lora_modules(size, basis.facts.adapter_targets) if size else None,
        parameters=basis.trained_parameters,
        base=config.model.base_model,
        base_parameters=parameters(size) if size else None,
        precision=PRECISIONS[config.model.compute_type],
        quantized=_quantized(basis),
        optimizer=f"{training.optimizer}, learning rate {training.learning_rate:g}",
        average=_average(basis),
    )


def _kind(basis: Basis) -> str:
    rank, alpha = basis.config.adapter.lora_rank, basis.config.adapter.lora_alpha
    return f"LoRA, rank {rank}, alpha {rank if alpha is None else alpha:g}"


def _average(basis: Basis) -> str:
    training = basis.config.training
    if not training.use_ema:
        return ""
    updated = f"every {training.ema_update_interval} steps" if training.ema_update_interval > 1 else "every step"
    return f"EMA, decay up to {training.ema_decay:g}, updated {updated}"


def _quantized(basis: Basis) -> str:
    precision = basis.config.model.base_model_precision
    if precision == "no_change":
        return ""
    share = ""
    if basis.dimensions:
        share = f" ({quantizable_parameters(basis.dimensions) / parameters(basis.dimensions):.0%} of the weights)"
    return f"attention and feed-forward weights of all blocks, {precision}{share}"
