"""Adapter files as other programs read them: the layouts of diffusers, ComfyUI and lycoris-lora, in both directions."""

from reeltune.adapters.about import Layout
from reeltune.adapters.layouts.fit import check_fit
from reeltune.adapters.layouts.key_rules import strange_keys
from reeltune.adapters.layouts.reading import AdapterFile, read_adapter
from reeltune.adapters.layouts.sizes import size_of
from reeltune.adapters.layouts.stretched import Stretched
from reeltune.adapters.layouts.writing import WeightOf, kind_of, no_rule, write_adapter

__all__ = [
    "AdapterFile",
    "Layout",
    "Stretched",
    "WeightOf",
    "check_fit",
    "kind_of",
    "no_rule",
    "read_adapter",
    "size_of",
    "strange_keys",
    "write_adapter",
]
