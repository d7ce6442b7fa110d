"""The keys that each layout's programs read, written out once more.

Apart from `forms` and `names` on purpose: what writes and what reads share those, so a name misspelt there would be
written and read back alike, and no other program would find it. Nothing here may be made from them.
Sources: diffusers 0.42's LoRA loader; ComfyUI 0.3.77's weight adapters; lycoris-lora 4.1.3's modules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from reeltune.adapters.about import Layout

_DIFFUSERS = r"lora_A\.weight|lora_B\.weight|lora_magnitude_vector"

_BOTH = (
    r"alpha|dora_scale"
    r"|lokr_w1|lokr_w1_a|lokr_w1_b|lokr_w2|lokr_w2_a|lokr_w2_b"
    r"|hada_w1_a|hada_w1_b|hada_w2_a|hada_w2_b"
    r"|a1\.weight|a2\.weight|b1\.weight|b2\.weight"
    r"|diff|diff_b|oft_blocks|rescale"
)

_KEYS: Mapping[Layout, re.Pattern[str]] = {
    "diffusers": re.compile(rf"transformer\.(\w+\.)+({_DIFFUSERS})"),
    "comfyui": re.compile(rf"diffusion_model\.(\w+\.)+(lora_A\.weight|lora_B\.weight|{_BOTH})"),
    "lycoris": re.compile(rf"lycoris_\w+\.(lora_down\.weight|lora_up\.weight|weight|on_input|{_BOTH})"),
}
"""By layout, the whole key of a tensor: how it begins, the layer's name, and what the tensor is called."""


def strange_keys(keys: Iterable[str], layout: Layout) -> list[str]:
    """Return the keys that no program of a layout would read in a file of ours."""
    return [key for key in keys if not _KEYS[layout].fullmatch(key)]
