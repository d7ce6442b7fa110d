"""An autoencoder in one safetensors file, in diffusers' names or in those of the model's release. No torch to look.

How the release's names map to diffusers' is diffusers' own knowledge, used on names alone; the configuration is not in
such a file and comes from the base model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from reeltune.errors import ModelError
from reeltune.families.fingerprint import fingerprint
from reeltune.families.wan.variants import WAN_21, channels_of, other_autoencoder
from reeltune.families.weight_files import Shape, header_shapes

_PREFIXES = ("", "vae.", "first_stage_model.", "model.")
_SIGNS = {False: ("post_quant_conv.weight", "decoder.conv_in.weight"), True: ("conv2.weight", "decoder.conv1.weight")}
"""Tensors that tell the layout, by whether it is the release's; the first tells the number of latent channels."""


@dataclass(frozen=True)
class VaeFile:
    """A whole Wan 2.1 autoencoder in one file.

    shapes: of its tensors by their names in the file, without those of other parts. prefix: before each name.
    in_release_names: whether the names are those of the model's release. config: of diffusers' module.
    """

    path: Path
    shapes: Mapping[str, Shape]
    prefix: str
    in_release_names: bool
    config: Mapping[str, Any] = field(default_factory=dict)

    def with_config(self, config: Mapping[str, Any]) -> VaeFile:
        """Return the same file as the autoencoder of a configuration; what diffusers wrote about itself is left out."""
        return replace(self, config={name: value for name, value in config.items() if not name.startswith("_")})

    def names(self) -> dict[str, str]:
        """Return each tensor's name in the file by its name in diffusers' module."""
        bare = {name.removeprefix(self.prefix): name for name in self.shapes}
        if not self.in_release_names:
            return bare
        from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

        return convert_wan_vae_to_diffusers(bare)

    def fingerprint(self) -> str:
        """Name the content: the file, and the configuration that it is read with."""
        config = json.dumps(dict(self.config), sort_keys=True).encode()
        return f"{fingerprint(self.path)}-{hashlib.blake2b(config, digest_size=8).hexdigest()}"


def look_into_vae(path: Path) -> VaeFile:
    """Recognise the autoencoder in a file. Raises ModelError, in one sentence, for a file that holds something else."""
    shapes = header_shapes(path)
    for prefix in _PREFIXES:
        for in_release_names, signs in _SIGNS.items():
            channels, first = (shapes.get(prefix + sign, ()) for sign in signs)
            if len(channels) == len(first) == 5:
                if channels[0] != WAN_21.geometry.channels:
                    raise other_autoencoder(str(path), channels_of(channels[0]))
                own = {name: shape for name, shape in shapes.items() if name.startswith(prefix)}
                return VaeFile(path, own, prefix, in_release_names)
    if any(name.startswith("decoder.") for name in shapes):
        raise other_autoencoder(str(path), "of another kind, for images perhaps")
    shown = ", ".join(sorted(shapes)[:3]) or "nothing"
    raise ModelError(f"{path} is no autoencoder (it holds {shown} ...). Check pretrained_vae_model_name_or_path.")
