"""What is trained on what, in the outlook."""

from __future__ import annotations

from collections.abc import Mapping

from reeltune.config.scaled_rate import scaled_rate
from reeltune.contracts.outlook import Trained
from reeltune.estimate.flops import TrainedPart
from reeltune.estimate.parameters import parameters, quantizable_parameters
from reeltune.run.outlook.basis import Basis
from reeltune.run.trained_words import kind_in_words, layers_in_words

PRECISIONS: Mapping[tuple[str, TrainedPart], str] = {
    ("bf16", "adapter"): "bf16, with the adapter in float32",
    ("bf16", "full"): "bf16, from float32 masters that the optimizer moves",
    ("no", "adapter"): "float32",
    ("no", "full"): "float32",
}
"""By the number type of the activations, and what is trained."""


def trained_outlook(basis: Basis) -> Trained:
    """Return what is trained on what."""
    config, size = basis.config, basis.dimensions
    return Trained(
        kind=kind_in_words(config),
        layers=len(basis.layers) if size and basis.trained_part == "adapter" else None,
        where=_where(basis),
        parameters=basis.trained_parameters,
        base=config.model.base_model,
        base_parameters=parameters(size) if size else None,
        precision=PRECISIONS[config.model.compute_type, basis.trained_part],
        quantized=_quantized(basis),
        optimizer=f"{config.optimization.optimizer}, learning rate {_rate(basis):g}",
        average=_average(basis),
    )


def _where(basis: Basis) -> str:
    if basis.dimensions is None or basis.trained_part == "full":
        return ""
    return layers_in_words(basis.layers, basis.facts, blocks=basis.dimensions.layers)


def _rate(basis: Basis) -> float:
    return scaled_rate(basis.config.optimization, basis.config.training.samples_per_step)


def _average(basis: Basis) -> str:
    average = basis.config.average
    if not average.use_ema:
        return ""
    updated = f"every {average.ema_update_interval} steps" if average.ema_update_interval > 1 else "every step"
    place = ", in the memory of the host" if average.ema_device == "cpu" else ""
    return f"EMA, decay up to {average.ema_decay:g}, updated {updated}{place}"


def _quantized(basis: Basis) -> str:
    precision = basis.config.model.base_model_precision
    if precision == "no_change":
        return ""
    share = ""
    if basis.dimensions:
        share = f" ({quantizable_parameters(basis.dimensions) / parameters(basis.dimensions):.0%} of the weights)"
    return f"attention and feed-forward weights of all blocks, {precision}{share}"
