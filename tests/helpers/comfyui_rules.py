"""How ComfyUI changes a weight by an adapter file at strength 1, in float64, from the published formulas.

Written from the formulas alone and without any of this project's code, so that it can disagree with it. Matrices are
(out, in). The keys of a layer begin with its name in the release, behind `diffusion_model.`.
Sources: the papers of LoRA (arXiv:2106.09685), LyCORIS (arXiv:2309.14859), OFT (2306.07280), BOFT (2311.06243), GLoRA
(2306.07967); ComfyUI 0.3.77 for what it divides alpha by, and for whose length DoRA's are divided by.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class ComfyUI:
    """A file's tensors, and which of them have been used."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors, self.used = tensors, set()

    def unused(self) -> set[str]:
        """Return the keys that ComfyUI would pass over with a warning."""
        return self.tensors.keys() - self.used

    def changed(self, module: str, weight: Tensor) -> Tensor:
        """Return a layer's weight with the adapter. module: its name in the release."""
        weight = weight.double()
        layer = _Layer(self, f"diffusion_model.{module}")
        alpha, lengths = layer.get("alpha"), layer.get("dora_scale")
        for rule in (_lora, _lokr, _loha, _glora, _oft, _boft):
            found = rule(layer, weight)
            if found is not None:
                matrix, divisor = found
                scale = 1.0 if alpha is None or divisor is None else alpha.item() / divisor
                return weight + matrix * scale if lengths is None else _dora(weight, matrix * scale, lengths)
        difference = layer.get("diff")
        return weight if difference is None else weight + difference

    def changed_bias(self, module: str, bias: Tensor) -> Tensor:
        """Return a layer's bias with the adapter."""
        difference = _Layer(self, f"diffusion_model.{module}").get("diff_b")
        return bias.double() if difference is None else bias.double() + difference


class _Layer:
    def __init__(self, file: ComfyUI, prefix: str) -> None:
        self.file, self.prefix = file, prefix

    def get(self, *names: str) -> Tensor | None:
        for name in names:
            key = f"{self.prefix}.{name}"
            if key in self.file.tensors:
                self.file.used.add(key)
                return self.file.tensors[key].double()
        return None


Found = tuple[Tensor, int | None] | None
"""The matrix before alpha, and what alpha is divided by; None for the divisor: alpha is not looked at."""


def _lora(layer: _Layer, _: Tensor) -> Found:
    up, down = layer.get("lora_up.weight", "lora_B.weight"), layer.get("lora_down.weight", "lora_A.weight")
    return None if up is None or down is None else (up @ down, down.shape[0])


def _lokr(layer: _Layer, _: Tensor) -> Found:
    divisor, factors = None, []
    for name in ("lokr_w1", "lokr_w2"):
        factor = layer.get(name)
        if factor is None:
            first, second = layer.get(f"{name}_a"), layer.get(f"{name}_b")
            if first is None or second is None:
                return None
            factor, divisor = first @ second, second.shape[0]
        factors.append(factor)
    left, right = factors
    # kron, written out: entry (i s + k, j t + l) is left (i, j) times right (k, l).
    kron = torch.einsum("ij,kl->ikjl", left, right).reshape(
        left.shape[0] * right.shape[0], left.shape[1] * right.shape[1]
    )
    return kron, divisor


def _loha(layer: _Layer, _: Tensor) -> Found:
    tensors = [layer.get(name) for name in ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")]
    if any(tensor is None for tensor in tensors):
        return None
    a1, b1, a2, b2 = (tensor for tensor in tensors if tensor is not None)
    return (a1 @ b1) * (a2 @ b2), b1.shape[0]


def _glora(layer: _Layer, weight: Tensor) -> Found:
    tensors = [layer.get(name) for name in ("a1.weight", "a2.weight", "b1.weight", "b2.weight")]
    if any(tensor is None for tensor in tensors):
        return None
    a1, a2, b1, b2 = (tensor for tensor in tensors if tensor is not None)
    return weight @ a1 @ a2 + b1 @ b2, a2.shape[0]


def _rotations(layer: _Layer, blocks: Tensor) -> Tensor:
    limit = layer.get("alpha")
    skew = blocks - blocks.transpose(-1, -2)
    length = skew.norm()
    if limit is not None and limit > 0 and length > limit:
        skew = skew * limit / length
    identity = torch.eye(skew.shape[-1], dtype=torch.float64)
    return (identity + skew) @ torch.linalg.inv(identity - skew)


def _oft(layer: _Layer, weight: Tensor) -> Found:
    blocks = layer.get("oft_blocks")
    if blocks is None or blocks.ndim != 3:
        return None
    rotations = _rotations(layer, blocks)  # factors for outputs are read, and never used
    turned = [rotation.T @ rows for rotation, rows in zip(rotations, weight.split(blocks.shape[1]), strict=True)]
    return torch.cat(turned) - weight, None


def _boft(layer: _Layer, weight: Tensor) -> Found:
    blocks = layer.get("oft_blocks")
    if blocks is None:
        return None
    rescale = layer.get("rescale")
    size, rows, turned = blocks.shape[-1], torch.arange(len(weight)), weight
    for stage, rotations in enumerate(_rotations(layer, blocks)):
        # Rows half a block apart, in strides of the stage, come to lie beside each other.
        order = rows.view(-1, 2, 2**stage * size // 2).transpose(1, 2).flatten()
        mixed = [rotation @ part for rotation, part in zip(rotations, turned[order].split(size), strict=True)]
        turned = torch.empty_like(weight).index_copy_(0, order, torch.cat(mixed))
    turned = turned if rescale is None else turned * rescale
    return turned - weight, None


def _dora(weight: Tensor, matrix: Tensor, lengths: Tensor) -> Tensor:
    changed = weight + matrix
    by_rows = lengths.shape[0] == weight.shape[0]
    return changed * lengths / (weight.norm(dim=1, keepdim=True) if by_rows else changed.norm(dim=0, keepdim=True))
