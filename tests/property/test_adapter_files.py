"""Adapter files mean the same to ComfyUI, and to us after reading them back, whatever sizes and scales they have."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from helpers.comfyui_rules import ComfyUI
from helpers.random_changes import KINDS, random_change
from reeltune.adapters.about import About, Layout
from reeltune.adapters.changes import Change, Decomposed, Hadamard, Kronecker, LowRank, matrix_of
from reeltune.adapters.layouts import no_rule, read_adapter, write_adapter
from reeltune.families.wan.description import FACTS

ABOUT = About("some/base", "4fe", "test")
LAYER, RELEASED = "blocks.3.attn1.to_out.0", "blocks.3.self_attn.o"
TOLERANCE = 3e-6
"""Relative: the tensors in files are float32, and the formulas here float64 of them."""

LAYOUTS: tuple[Layout, ...] = ("diffusers", "comfyui", "lycoris")
HELD = [(kind, layout) for kind in KINDS for layout in LAYOUTS if not no_rule(random_change(kind, 16, 24), layout)]

scales = st.floats(1 / 64, 64)
ranks = st.integers(1, 9)
sizes = st.integers(1, 12)


def comfyui(change: Change, weight: Tensor) -> tuple[Tensor, ComfyUI]:
    """Return what ComfyUI adds to a weight for a file that we wrote, and the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.safetensors"
        write_adapter(path, {LAYER: change}, "comfyui", ABOUT, FACTS, weight_of=lambda _: weight)
        file = ComfyUI(load_file(path))
    return file.changed(RELEASED, weight) - weight.double(), file


def back(change: Change, layout: Layout, weight: Tensor) -> Change:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.safetensors"
        write_adapter(path, {LAYER: change}, layout, ABOUT, FACTS, weight_of=lambda _: weight)
        read = read_adapter(path, FACTS)
    assert (read.layout, list(read.changes)) == (layout, [LAYER])
    return read.changes[LAYER]


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def assert_close(one: Tensor, other: Tensor, *, weight: Tensor) -> None:
    # What is left of a rotated or stretched weight minus itself is as exact as the weight.
    allowed = TOLERANCE * (other.double().norm() + weight.double().norm())
    assert (one.double() - other.double()).norm() <= allowed


@settings(max_examples=60, deadline=None)
@given(sizes, sizes, ranks, scales)
def test_comfyui_computes_our_lora_for_every_rank_and_alpha(out: int, inputs: int, rank: int, scale: float) -> None:
    change = LowRank(random(rank, inputs), random(out, rank), scale)
    added, file = comfyui(change, random(out, inputs))
    expected = scale * change.up.double() @ change.down.double()
    assert (added - expected).norm() <= TOLERANCE * expected.norm() + 1e-12
    assert not file.unused()


@settings(max_examples=120, deadline=None)
@given(sizes, sizes, sizes, sizes, ranks, scales, st.booleans(), st.booleans())
def test_comfyui_computes_our_lokr_for_every_factor_rank_and_alpha(
    p: int, q: int, s: int, t: int, rank: int, scale: float, left: bool, right: bool
) -> None:
    """left, right: whether a factor is a product of two."""
    factors = [
        (random(rows, rank), random(rank, columns)) if product else random(rows, columns)
        for rows, columns, product in ((p, q, left), (s, t, right))
    ]
    change = Kronecker(*factors, scale=scale)
    weight = random(p * s, q * t)
    added, file = comfyui(change, weight)
    first, second = (f[0].double() @ f[1].double() if isinstance(f, tuple) else f.double() for f in factors)
    expected = scale * torch.kron(first, second)
    assert (added - expected).norm() <= TOLERANCE * expected.norm() + 1e-12
    assert not file.unused()


@settings(max_examples=40, deadline=None)
@given(sizes, sizes, ranks, scales)
def test_comfyui_computes_our_loha_and_our_dora(out: int, inputs: int, rank: int, scale: float) -> None:
    weight = random(out, inputs) + 2
    hadamard = Hadamard(random(out, rank), random(rank, inputs), random(out, rank), random(rank, inputs), scale)
    inner = LowRank(random(rank, inputs), random(out, rank), scale)
    for change in (hadamard, Decomposed(inner, random(out, 1).abs() + 0.5)):
        added, file = comfyui(change, weight)
        expected = matrix_of(change, weight)
        size = expected.norm() + scale * (inner.up @ inner.down).norm()
        assert (added - expected).norm() <= 10 * TOLERANCE * (size + weight.norm())
        assert not file.unused()


@pytest.mark.parametrize("kind", [kind for kind, layout in HELD if layout == "comfyui"])
@pytest.mark.parametrize(("out", "inputs"), [(16, 24), (24, 24)])
def test_comfyui_computes_every_kind_that_it_has_a_rule_for(kind: str, out: int, inputs: int) -> None:
    change, weight = random_change(kind, out, inputs), random(out, inputs)
    added, file = comfyui(change, weight)
    assert_close(added, matrix_of(change, weight), weight=weight)
    if kind == "full":
        assert torch.allclose(file.changed_bias(RELEASED, torch.zeros(out)).float(), 0.1 * change.bias)  # pyright: ignore[reportAttributeAccessIssue]
    assert not file.unused()


@pytest.mark.parametrize(("kind", "layout"), HELD)
def test_what_is_read_back_is_what_was_written(kind: str, layout: Layout) -> None:
    change, weight = random_change(kind, 16, 24), random(16, 24)
    read = back(change, layout, weight)
    assert_close(matrix_of(read, weight), matrix_of(change, weight), weight=weight)
    # A second time nothing is left to multiply in: the same change to the bit.
    again = back(read, layout, weight) if not (layout == "comfyui" and kind.startswith("dora")) else read
    assert torch.equal(matrix_of(again, weight), matrix_of(read, weight))


def test_which_kinds_each_layout_holds() -> None:
    held = {layout: {kind for kind, where in HELD if where == layout} for layout in LAYOUTS}
    assert held["diffusers"] == {"lora", "dora"}
    assert held["lycoris"] == set(KINDS)
    assert set(KINDS) - held["comfyui"] == {"ia3", "ia3-input", "oft-rescaled"}
