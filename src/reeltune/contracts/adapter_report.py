"""What is in a file of weights: the page that `inspect` shows. Plain values; no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """So many of the linear layers of one kind in a model that the file fits: `self-attention`, 120 of 120."""

    name: str
    matched: int
    of: int


@dataclass(frozen=True)
class Strength:
    """How large a change is.

    size: the Frobenius norm of W' - W. share: the same, divided by that of W. None: the file alone does not tell it.
    """

    size: float | None
    share: float | None


@dataclass(frozen=True)
class BlockChange:
    """The change of one block's layers together. number: None stands for what lies outside the blocks."""

    number: int | None
    layers: int
    strength: Strength


@dataclass(frozen=True)
class LayerChange:
    """The change of one layer. kind: as people call it, such as LoRA."""

    name: str
    kind: str
    strength: Strength


@dataclass(frozen=True)
class Contents:
    """What a file's header tells. number_types: by how much there is of them, the most first."""

    path: str
    parameters: int
    size_bytes: int
    number_types: tuple[str, ...]


@dataclass(frozen=True)
class AdapterReport:
    """What an adapter file is and does.

    layout, kinds: in words. base: the model that the file names, and base_fingerprint that model's content.
    fits: the models that have these layers, in words. ranks, scales: the different ones, rising; a change is its
    factors' product times its scale. alphas: those that stand in the file; none where it leaves them out.
    trained_alpha: the one in training, where the file says so; files of ours have it multiplied into the tensors.
    step: optimizer steps that it was trained for. settings: what else the file says of itself, as (name, value).
    measured: how sizes are to be understood, where they are not simply those of the change.
    """

    contents: Contents
    layout: str
    kinds: tuple[str, ...]
    base: str | None
    base_fingerprint: str | None
    fits: str
    ranks: tuple[int, ...]
    alphas: tuple[float, ...]
    scales: tuple[float, ...]
    trained_alpha: float | None
    step: int | None
    settings: tuple[tuple[str, str], ...]
    layers: int
    of_layers: int
    parts: tuple[Part, ...]
    blocks: tuple[BlockChange, ...]
    largest: tuple[LayerChange, ...]
    measured: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class TransformerReport:
    """What a whole transformer is. fits: its size in words. files: how many its weights lie in."""

    contents: Contents
    layout: str
    fits: str
    blocks: int
    width: int
    files: int


@dataclass(frozen=True)
class Exported:
    """What `export` has written, and that it does what the adapter does.

    path: the file or folder. base: the model that it belongs to, as far as it is known. changed: layers.
    error: by how much the changes in the file differ from the adapter's, as a share of them; what rounding leaves.
    number_type: of the weights. transformer_class: of a whole transformer, in diffusers.
    """

    path: str
    format: str
    base: str | None
    changed: int
    error: float
    number_type: str
    size_bytes: int
    transformer_class: str = ""
