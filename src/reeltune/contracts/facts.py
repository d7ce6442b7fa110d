"""What generic rooms read of a family of models. Plain values; no torch, so that a plan is made in a second."""

from __future__ import annotations

from dataclasses import dataclass

from reeltune.contracts.geometry import LatentGeometry


@dataclass(frozen=True)
class Facts:
    """What generic rooms need to know of a model.

    fps: the rate that the model was trained at. text_length: text tokens that the model reads, padding included.
    adapter_targets: endings of the names of the linear layers that a LoRA adapts.
    comfyui_names: how the modules are called in the model's own release, as (ours, theirs) parts of a name.
    blocks: name of the list of transformer blocks; their linear layers are what quantization may touch.
    block_layers, outer_layers: names of all linear layers, inside one block and outside the blocks.
    class_names: today's names of module classes by those that descriptions of adapters use.
    architecture, implementation: what files call the model and where it is from, as modelspec 1.0.1 has it.
    """

    geometry: LatentGeometry
    fps: float
    text_length: int
    adapter_targets: tuple[str, ...]
    comfyui_names: tuple[tuple[str, str], ...]
    blocks: str
    block_layers: tuple[str, ...] = ()
    outer_layers: tuple[str, ...] = ()
    class_names: tuple[tuple[str, str], ...] = ()
    architecture: str = ""
    implementation: str = ""
