"""Wan as we use it equals Wan as diffusers has it."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan, WanPipeline, WanTransformer3DModel
from diffusers.video_processor import VideoProcessor
from transformers import UMT5EncoderModel

from helpers.tiny import open_tiny, random_batch
from reeltune.contracts.batch import Noised
from reeltune.data.decode import to_model_range
from reeltune.families.wan.family import Wan

PROMPTS = [
    "a black and white cartoon of a white circle",
    "",
    "  two   &amp; spaces ",
    "两只拟人化的猫咪",
    "a long one " * 300,
]

CPU = torch.device("cpu")


def noised_batch(seed: int = 1) -> Noised:
    generator = torch.Generator().manual_seed(seed)
    x_t, target = torch.randn(2, 2, 16, 5, 8, 12, generator=generator)
    return Noised(x_t=x_t, sigma=torch.tensor([0.25, 0.9371]), target=target)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_predict_equals_the_stock_forward_bit_for_bit(tiny_model, dtype: torch.dtype) -> None:
    wan, batch, noised = open_tiny(tiny_model, dtype), random_batch(), noised_batch()
    stock = WanTransformer3DModel.from_pretrained(tiny_model / "transformer", dtype=dtype)
    padded = torch.zeros(2, 512, 32)
    padded[:, :9] = batch.text
    with torch.no_grad():
        expected = stock(noised.x_t.to(dtype), torch.tensor([250.0, 937.1]), padded.to(dtype)).sample
        velocity = wan.predict(wan.load_transformer(CPU), noised, batch)
    assert velocity.dtype == torch.float32
    assert torch.equal(velocity, expected.float())


def test_parts_that_wan_keeps_in_float32_stay_so_on_a_bfloat16_base(tiny_model) -> None:
    transformer = open_tiny(tiny_model, torch.bfloat16).load_transformer(CPU)
    types = {name: parameter.dtype for name, parameter in transformer.named_parameters()}
    assert types["blocks.0.scale_shift_table"] == torch.float32
    assert types["condition_embedder.time_embedder.linear_1.weight"] == torch.float32
    assert types["blocks.0.norm2.weight"] == torch.float32
    assert types["blocks.0.attn1.to_q.weight"] == torch.bfloat16
    assert types["patch_embedding.weight"] == torch.bfloat16
    assert not any(parameter.requires_grad for parameter in transformer.parameters())


@pytest.mark.parametrize("prompt", PROMPTS, ids=["plain", "empty", "html", "chinese", "long"])
def test_text_equals_the_pipelines_own_encoding(tiny_model, wan: Wan, prompt: str) -> None:
    pipeline = WanPipeline.from_pretrained(tiny_model, transformer=None, vae=None)
    # Without gradients, as the pipeline itself calls it: with them torch takes another attention kernel.
    with torch.no_grad():
        expected, _ = pipeline.encode_prompt(prompt, do_classifier_free_guidance=False, max_sequence_length=512)
    with wan.text_encoder(CPU) as encode:
        (embedding,) = encode([prompt])
    padded = torch.nn.functional.pad(embedding, (0, 0, 0, 512 - len(embedding)))
    assert torch.equal(padded[None], expected)
    assert len(embedding) >= 1


def test_latents_equal_stock_encoding_and_normalisation(tiny_model, wan: Wan) -> None:
    stock = AutoencoderKLWan.from_pretrained(tiny_model / "vae")
    frames = np.random.default_rng(0).integers(0, 256, (9, 64, 96, 3), dtype=np.uint8)
    pixels = VideoProcessor(vae_scale_factor=8).preprocess_video([frames.astype(np.float32) / 255])
    mean = torch.tensor(stock.config["latents_mean"], dtype=torch.float64).view(1, 16, 1, 1, 1)
    std = torch.tensor(stock.config["latents_std"], dtype=torch.float64).view(1, 16, 1, 1, 1)
    with torch.no_grad():
        (posterior,) = stock.encode(pixels, return_dict=False)
        expected = (posterior.mode().double() - mean) / std
    with wan.video_encoder(CPU) as encode:
        latents = encode(to_model_range(frames))
    assert latents.shape == (16, 3, 8, 12)
    # Pixels reach [-1, 1] by x / 127.5 - 1 here and by 2 * (x / 255) - 1 there: one rounding apart.
    torch.testing.assert_close(latents, expected[0].float(), rtol=1e-4, atol=1e-5)


def test_latents_of_one_picture_have_one_frame(wan: Wan) -> None:
    with wan.video_encoder(CPU) as encode:
        assert encode(torch.zeros(3, 1, 64, 96)).shape == (16, 1, 8, 12)


def test_fingerprints_name_the_content(tiny_model, wan: Wan, tmp_path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(tiny_model, copy)
    assert open_tiny(copy, torch.float32).video_fingerprint() == wan.video_fingerprint()
    weights = copy / "vae/diffusion_pytorch_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert open_tiny(copy, torch.float32).video_fingerprint() != wan.video_fingerprint()
    assert open_tiny(tiny_model, torch.bfloat16).text_fingerprint() != wan.text_fingerprint()


def alive(kind: type) -> int:
    return sum(type(thing) is kind for thing in gc.get_objects())


def test_each_component_is_gone_from_memory_when_its_block_ends(wan: Wan) -> None:
    with wan.text_encoder(CPU) as encode_text:
        assert alive(UMT5EncoderModel) == 1
        encode_text(["a"])
    assert alive(UMT5EncoderModel) == 0
    with wan.video_encoder(CPU) as encode_video:
        assert (alive(AutoencoderKLWan), alive(UMT5EncoderModel)) == (1, 0)
        encode_video(torch.zeros(3, 1, 32, 32))
    assert alive(AutoencoderKLWan) == 0
    transformer = wan.load_transformer(CPU)
    with wan.renderer(transformer, CPU):
        assert (alive(AutoencoderKLWan), alive(WanTransformer3DModel)) == (1, 1)
    assert (alive(AutoencoderKLWan), alive(WanTransformer3DModel)) == (0, 1)
