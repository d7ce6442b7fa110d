"""Optimizers by name: a table of factories, each from the library it belongs to.

What a row does not set is as the library has it. Parameters are float32, as adapters are stored; the state of the
`8bit` ones is eight bits an element in tensors of 4096 elements or more. They are handed out ready to train.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from reeltune.errors import ConfigError
from reeltune.train.optimizer_makers import Factory, bnb, optimi, prodigy, schedule_free, soap, torch_own, torchao
from reeltune.train.optimizer_packages import require_package, without_package
from reeltune.train.optimizer_pair import muon


def build_optimizer(
    name: str, parameters: Sequence[nn.Parameter], *, learning_rate: float, settings: Mapping[str, Any] | None = None
) -> Optimizer:
    """Return the optimizer of that name over the parameters.

    settings: by the library's own names, as `config.optimizer_checks.settings_of` has them; they win over a row's.
    Raises ConfigError when its package is missing, or is here and cannot be imported, or refuses the settings.
    """
    require_package(name)
    try:
        return FACTORIES[name](parameters, learning_rate, dict(settings or {}))
    except ImportError as error:
        raise ConfigError(
            f"optimizer {name} cannot be used: its package is installed and cannot be imported: {error}. "
            f"Set optimizer to {without_package(name)}."
        ) from error
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"optimizer {name} refuses its settings: {error}. Change optimizer_config, or take it out for the "
            "library's own."
        ) from error


def effective_rate(optimizer: Optimizer) -> Tensor | float | None:
    """Return the rate that a self-tuning optimizer steps with, None for those that step with the one they are given.

    Prodigy finds d; what it steps with is d times the learning rate. Where d is kept on a device, so is the result.
    """
    group = optimizer.param_groups[0]
    return group["d"] * group["lr"] if "d_coef" in group else None


FACTORIES: dict[str, Factory] = {
    "torch-adam": torch_own("Adam", fused=True),
    "torch-adamw": torch_own("AdamW", fused=True),
    "torch-sgd": torch_own("SGD"),
    "torch-radam": torch_own("RAdam"),
    "torch-nadam": torch_own("NAdam"),
    "torch-rmsprop": torch_own("RMSprop"),
    "torch-adagrad": torch_own("Adagrad"),
    "torch-adadelta": torch_own("Adadelta"),
    "torch-adafactor": torch_own("Adafactor"),
    "torch-adamax": torch_own("Adamax"),
    "torch-asgd": torch_own("ASGD"),
    "torch-muon": muon,
    "optimi-adam": optimi("Adam"),
    "optimi-adamw": optimi("AdamW"),
    "optimi-adan": optimi("Adan"),
    "optimi-lion": optimi("Lion"),
    "optimi-radam": optimi("RAdam"),
    "optimi-ranger": optimi("Ranger"),
    "optimi-sgd": optimi("SGD"),
    "optimi-stableadamw": optimi("StableAdamW"),
    # Elsewhere a rule for weights in bfloat16. Trained weights are float32 here; the settings are the ones it had.
    "adamw_bf16": torch_own("AdamW", fused=True, betas=(0.9, 0.999), weight_decay=1e-2, eps=1e-6),
    "ao-adamw8bit": torchao("AdamW8bit"),
    "ao-adamw4bit": torchao("AdamW4bit"),
    "ao-adamfp8": torchao("AdamFp8"),
    "ao-adamwfp8": torchao("AdamWFp8"),
    "bnb-adagrad": bnb("Adagrad"),
    "bnb-adagrad8bit": bnb("Adagrad8bit"),
    "bnb-adam": bnb("Adam"),
    "bnb-adam8bit": bnb("Adam8bit"),
    "bnb-adamw": bnb("AdamW"),
    "bnb-adamw-paged": bnb("AdamW", paged=True),
    "bnb-adamw8bit": bnb("AdamW8bit"),
    "bnb-adamw8bit-paged": bnb("AdamW8bit", paged=True),
    "bnb-lion": bnb("Lion"),
    "bnb-lion-paged": bnb("Lion", paged=True),
    "bnb-lion8bit": bnb("Lion8bit"),
    "bnb-lion8bit-paged": bnb("Lion8bit", paged=True),
    "bnb-ademamix": bnb("AdEMAMix"),
    "bnb-ademamix-paged": bnb("AdEMAMix", paged=True),
    "bnb-ademamix8bit": bnb("AdEMAMix8bit"),
    "bnb-ademamix8bit-paged": bnb("AdEMAMix8bit", paged=True),
    "prodigy": prodigy,
    "adamw_schedulefree": schedule_free(weight_decay=1e-2, eps=1e-8),
    "adamw_schedulefree+aggressive": schedule_free(weight_decay=1e-3, eps=1e-6),
    # Kahan summation is for weights in bfloat16: float32 has no use for it, with or without.
    "adamw_schedulefree+no_kahan": schedule_free(weight_decay=1e-2, eps=1e-8),
    "soap": soap,
}
