"""What LyCORIS adapters hold of a layer's weights while they work: against allocations followed in live ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import WanTransformer3DModel
from torch import nn

from helpers.allocations import Allocations
from reeltune.adapters.layers import layers_of
from reeltune.config.lycoris import LycorisConfig, lycoris_of
from reeltune.config.lycoris_choice import LycorisLayer, chosen_for_lycoris
from reeltune.estimate.rebuilt import rebuilt_bytes
from reeltune.families.wan.transformer import number_type
from reeltune.families.wan.variants import WAN_21

WIDTH, INNER = 256, 1024
WEIGHTS = 8 * WIDTH**2 + 2 * WIDTH * INNER
"""Of a block."""


def described(algo: str, **settings: Any) -> LycorisConfig:
    preset = {"target_module": ["WanTransformerBlock"]}
    return lycoris_of(
        {"algo": algo, "multiplier": 1.0, "linear_dim": 16, "linear_alpha": 16, "apply_preset": preset, **settings}
    )


def transformer() -> WanTransformer3DModel:
    torch.manual_seed(0)
    made = WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=128, text_dim=8, ffn_dim=INNER, num_layers=2
    ).requires_grad_(False)
    for name, weight in made.named_parameters():
        weight.data = weight.data.to(number_type(name, torch.bfloat16))
    return made


def chosen_in(made: nn.Module, config: LycorisConfig) -> tuple[LycorisLayer, ...]:
    return chosen_for_lycoris(layers_of(made), config, WAN_21)


def peak(config: LycorisConfig) -> int:
    """Return the most that a step with few tokens holds beside all weights, trained ones and gradients."""
    lycoris = pytest.importorskip("reeltune.adapters.lycoris")
    made = transformer()
    trained = lycoris.attach_lycoris(made, config, chosen_in(made, config), seed=1).trainable().values()
    made.train()
    made.enable_gradient_checkpointing()
    for parameter in trained:
        parameter.grad = torch.zeros_like(parameter)
    before = [*made.parameters(), *made.buffers(), *trained, *(one.grad for one in trained)]
    with Allocations(before) as followed:
        latents, text = torch.randn(1, 16, 1, 4, 4).bfloat16(), torch.randn(1, 4, 8).bfloat16()
        made(latents, torch.tensor([500.0]), text, return_dict=False)[0].float().sum().backward()
    return followed.peak


@pytest.fixture(scope="module")
def of_lora() -> int:
    return peak(described("lora"))


@pytest.mark.parametrize(
    "config",
    [
        described("full"),
        described("loha"),
        described("boft"),
        described("lora", weight_decompose=True),
        described("loha", weight_decompose=True),
        described("lokr", weight_decompose=True, factor=4, full_matrix=True),
    ],
    ids=lambda config: f"{config.algo}{' decomposed' if config.weight_decompose else ''}",
)
def test_what_is_rebuilt_is_about_what_is_held(config: LycorisConfig, of_lora: int) -> None:
    estimated = rebuilt_bytes(chosen_in(transformer(), config), recomputed=True)
    assert (peak(config) - of_lora) / WEIGHTS == pytest.approx(estimated / WEIGHTS, rel=0.35)


@pytest.mark.parametrize("algo", ["lokr", "ia3", "dylora", "diag-oft", "glora"])
def test_other_kinds_rebuild_nothing_to_speak_of(algo: str, of_lora: int) -> None:
    config = described(algo)
    assert rebuilt_bytes(chosen_in(transformer(), config), recomputed=True) == 0
    # What the blocks of an OFT hold does not grow with the width: of wider layers it is less.
    assert (peak(config) - of_lora) / WEIGHTS < 0.8


def test_a_small_rank_is_multiplied_without_being_built() -> None:
    def rebuilt(rank: int) -> int:
        return rebuilt_bytes(chosen_in(transformer(), described("loha", linear_dim=rank)), recomputed=True)

    assert rebuilt(4) == 0
    assert rebuilt(16) == 7 * WEIGHTS


def test_without_recomputation_all_blocks_are_held() -> None:
    chosen = chosen_in(transformer(), described("full"))
    assert rebuilt_bytes(chosen, recomputed=False) == 2 * rebuilt_bytes(chosen, recomputed=True)
    assert rebuilt_bytes((), recomputed=True) == 0


def test_of_every_other_block_recomputed_the_others_are_held() -> None:
    chosen = chosen_in(transformer(), described("full"))
    whole, largest = (rebuilt_bytes(chosen, recomputed=recomputed) for recomputed in (False, True))
    # Two blocks of one size: the first is recomputed, the second is held.
    assert rebuilt_bytes(chosen, recomputed=True, every=2) == whole == 2 * largest
    assert rebuilt_bytes(chosen, recomputed=True, every=1) == largest
