"""Counts of weights: against the real modules, made on the meta device."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from peft import LoraConfig
from transformers import UMT5Config, UMT5EncoderModel

from reeltune.contracts.dimensions import Dimensions
from reeltune.contracts.layers import LinearLayer
from reeltune.estimate.parameters import lora_parameters, parameters, quantizable_parameters
from reeltune.estimate.sizes import SIZES, TEXT_ENCODER_PARAMETERS, VIDEO_AUTOENCODER_PARAMETERS
from reeltune.families.wan.layers import linear_layers

TINY = Dimensions(layers=2, heads=4, head_width=16, ffn=96, text_width=32, time_width=24, channels=8, patch=(1, 2, 2))

ATTENTION = tuple(f"{block}.{part}" for block in ("attn1", "attn2") for part in ("to_q", "to_k", "to_v", "to_out.0"))


def real(size: Dimensions) -> WanTransformer3DModel:
    with torch.device("meta"):
        return WanTransformer3DModel(
            num_attention_heads=size.heads,
            attention_head_dim=size.head_width,
            ffn_dim=size.ffn,
            num_layers=size.layers,
            text_dim=size.text_width,
            freq_dim=size.time_width,
            in_channels=size.channels,
            out_channels=size.channels,
            patch_size=size.patch,
        )


def layers_of(size: Dimensions, targets: tuple[str, ...]) -> list[LinearLayer]:
    """Return the layers whose names end in one of `targets`, as PEFT reads them."""
    return [layer for layer in linear_layers(size) if any(f".{layer.name}".endswith(f".{one}") for one in targets)]


@pytest.mark.parametrize("size", [*SIZES.values(), TINY], ids=[*SIZES, "tiny"])
def test_the_weights_of_the_transformer_are_counted_exactly(size: Dimensions) -> None:
    assert parameters(size) == sum(weight.numel() for weight in real(size).parameters())


def test_the_weights_that_8_bits_touch_are_those_of_the_blocks_linear_layers() -> None:
    linears = [m for m in real(TINY).blocks.modules() if isinstance(m, torch.nn.Linear)]
    assert quantizable_parameters(TINY) == sum(linear.weight.numel() for linear in linears)


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize(
    "targets",
    [
        ATTENTION,
        (*ATTENTION, "ffn.net.0.proj", "ffn.net.2"),
        ("to_q", "to_k"),
        ("proj_out", "time_proj", "linear_1"),
    ],
)
def test_a_lora_has_the_weights_that_peft_gives_it(targets: tuple[str, ...], dora: bool) -> None:
    transformer, layers = real(TINY), layers_of(TINY, targets)
    transformer.add_adapter(LoraConfig(r=3, target_modules=list(targets), use_dora=dora))
    trained = [weight.numel() for weight in transformer.parameters() if weight.requires_grad]
    assert lora_parameters(layers, rank=3, lengths=dora) == sum(trained)
    assert (2 + dora) * len(layers) == len(trained)


def test_a_lora_of_the_released_models_has_the_size_worked_out_by_hand() -> None:
    # 30 blocks, 8 layers, rank 16, 1536 in and out.
    assert lora_parameters(layers_of(SIZES["1.3B"], ATTENTION), rank=16) == 30 * 8 * 16 * (1536 + 1536)
    everywhere = (*ATTENTION, "ffn.net.0.proj", "ffn.net.2")
    assert lora_parameters(layers_of(SIZES["1.3B"], everywhere), rank=16) / 1e6 == pytest.approx(21.9, abs=0.05)
    assert lora_parameters(layers_of(SIZES["14B"], everywhere), rank=16) / 1e6 == pytest.approx(76.7, abs=0.05)


def test_the_encoders_have_the_weights_of_the_released_ones() -> None:
    config = UMT5Config(
        vocab_size=256384, d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64,
        feed_forward_proj="gated-gelu",
    )  # fmt: skip
    with torch.device("meta"):
        text, video = UMT5EncoderModel(config), AutoencoderKLWan()
    assert sum(weight.numel() for weight in text.parameters()) == TEXT_ENCODER_PARAMETERS
    assert sum(weight.numel() for weight in video.parameters()) == VIDEO_AUTOENCODER_PARAMETERS
