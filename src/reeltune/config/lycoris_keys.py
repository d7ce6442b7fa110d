"""Keys of LyCORIS descriptions that are not settings of ours: other names, and what changes nothing or is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ALGO_NAMES: Mapping[str, str] = {"locon": "lora"}
"""Other names of algorithms."""

OTHER_NAMES: Mapping[str, str] = {"wd_on_out": "wd_on_output", "constrain": "constraint"}
"""Other names of settings, beside those that the settings themselves declare."""

_CONVOLUTIONS = "is of convolutions; linear layers are adapted, and only they"
_BESIDE = "the change is always computed beside the base's layer, which gives the same numbers"
_OTHER_PROGRAMS = "is read by programs that train image models"


@dataclass(frozen=True)
class Foreign:
    """Keys that an object may have beside its settings.

    inert: change nothing here, each with the reason. only: one value is taken, with what is said of any other.
    """

    inert: Mapping[str, str] = field(default_factory=dict)
    only: Mapping[str, tuple[Any, str]] = field(default_factory=dict)


TOP = Foreign(
    inert={
        **dict.fromkeys(("conv_dim", "conv_alpha", "use_tucker", "use_cp", "use_conv_cp"), _CONVOLUTIONS),
        "disable_conv_cp": _CONVOLUTIONS,
        "bypass_mode": _BESIDE,
        "rank_dropout_scale": "lycoris does not read it from a description",
        "train_llm_adapter": "is of another model",
        "warn_on_unmatched": "entries of a preset that match nothing are always an error",
    },
    only={
        "train_norm": (False, "norms are not adapted, only linear layers; leave it out or set it to false"),
        "preset": ("full", 'presets by name are of other models; write "apply_preset": {"target_module": [...]}'),
    },
)
PRESET = Foreign(
    inert={
        "enable_conv": _CONVOLUTIONS,
        "unet_target_module": _OTHER_PROGRAMS,
        "unet_target_name": _OTHER_PROGRAMS,
        "text_encoder_target_module": _OTHER_PROGRAMS,
        "text_encoder_target_name": _OTHER_PROGRAMS,
    },
    only={"lora_prefix": ("lycoris", 'other programs find the layers by "lycoris"; leave it out')},
)
LAYER = Foreign(inert={"use_tucker": _CONVOLUTIONS, "bypass_mode": _BESIDE})

READ_BY: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("factor", "full_matrix", "decompose_both", "unbalanced_factorization"), ("lokr",)),
    **dict.fromkeys(("constraint", "rescaled"), ("diag-oft", "boft")),
    "block_size": ("dylora",),
    "train_on_input": ("ia3",),
    "dim": ("lora", "loha", "lokr", "dylora", "diag-oft", "boft", "glora"),
    "alpha": ("lora", "loha", "lokr", "dylora", "glora"),
    **dict.fromkeys(("use_scalar", "rs_lora"), ("lora", "loha", "lokr", "glora")),
}
"""Settings that not every algorithm reads, with those that do."""

IN_MAPS = ("dim", "alpha")
"""Settings of single entries of the maps; of all layers they are those of `READ_IN_ALL`."""

READ_IN_ALL: Mapping[str, tuple[str, ...]] = {f"linear_{name}": READ_BY[name] for name in IN_MAPS}
"""Settings that every description has, with the algorithms that read them."""

DECOMPOSABLE = ("lora", "loha", "lokr")
"""Algorithms that train the lengths of a weight's rows apart from their directions, where asked to."""

NOT_PROPORTIONAL: Mapping[str, str] = {
    "ia3": "its files hold factors that have no strength of their own",
    "diag-oft": "half of a rotation is none",
    "boft": "half of a rotation is none",
}
"""Algorithms that act at strength 1 only, with the reason."""
