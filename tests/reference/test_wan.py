"""Wan as we use it equals Wan as diffusers has it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan, WanPipeline, WanTransformer3DModel
from diffusers.video_processor import VideoProcessor
from transformers import UMT5EncoderModel

from helpers.alive import counting_from_here
from helpers.tiny import open_tiny, random_batch
from reeltune.config.model import ModelOptions
from reeltune.contracts.batch import Noised
from reeltune.data.decode import to_model_range
from reeltune.families.fingerprint import fingerprint
from reeltune.families.opening import Opening
from reeltune.families.wan.family import Wan, open_model

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
        latents = encode(to_model_range(frames)[None])
    assert latents.shape == (1, 16, 3, 8, 12)
    # Pixels reach [-1, 1] by x / 127.5 - 1 here and by 2 * (x / 255) - 1 there: one rounding apart.
    torch.testing.assert_close(latents, expected.float(), rtol=1e-4, atol=1e-5)


def test_latents_of_one_picture_have_one_frame(wan: Wan) -> None:
    with wan.video_encoder(CPU) as encode:
        assert encode(torch.zeros(1, 3, 1, 64, 96)).shape == (1, 16, 1, 8, 12)


def test_clips_encoded_together_equal_those_encoded_alone_to_rounding(wan: Wan) -> None:
    frames = torch.rand(2, 3, 9, 64, 96, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with wan.video_encoder(CPU) as encode:
        together, alone = encode(frames), torch.cat([encode(frames[:1]), encode(frames[1:])])
        assert torch.equal(encode(frames[:1]), alone[:1])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_texts_encoded_together_equal_those_encoded_alone_to_rounding(wan: Wan) -> None:
    with wan.text_encoder(CPU) as encode:
        together, alone = encode(PROMPTS), [encode([prompt])[0] for prompt in PROMPTS]
    for ours, expected in zip(together, alone, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def cartoon() -> torch.Tensor:
    """Return (1, 3, 1, 320, 320) in [-1, 1]: waves, larger than one tile of 256."""
    t, y, x = torch.meshgrid(torch.arange(1.0), torch.arange(320.0), torch.arange(320.0), indexing="ij")
    return torch.stack([torch.sin(x / 17 + t), torch.cos(y / 23 - t), torch.sin((x + y) / 31)])[None]


def test_what_faster_encoding_costs(tiny_model) -> None:
    def encoded(**opening: Any) -> torch.Tensor:
        wan = open_model(ModelOptions(pretrained_model_name_or_path=str(tiny_model)), Opening(torch.float32, **opening))
        with wan.video_encoder(CPU) as encode:
            return encode(cartoon())

    exact = encoded()
    errors = {
        name: float((encoded(**opening) - exact).norm() / exact.norm())
        for name, opening in (("bf16", {"vae_dtype": torch.bfloat16}), ("tiled", {"vae_tiling": True}))
    }
    # bfloat16 rounds to 3 digits at each layer. Tiles see nothing beyond their edges; most of that is blended away.
    assert 1e-4 < errors["bf16"] < 0.05
    assert 1e-6 < errors["tiled"] < 0.2


def test_the_exact_encoder_keeps_its_name_and_others_have_their_own(tiny_model) -> None:
    names = [
        open_model(
            ModelOptions(pretrained_model_name_or_path=str(tiny_model)),
            Opening(torch.bfloat16, vae_dtype=dtype, vae_tiling=tiled),
        ).video_fingerprint()
        for dtype in (torch.float32, torch.bfloat16)
        for tiled in (False, True)
    ]
    assert names[0] == fingerprint(tiny_model / "vae")
    assert len(set(names)) == 4


def test_an_autoencoder_that_is_kept_decodes_videos_whole_after_it_encoded_in_tiles(tiny_model) -> None:
    wan = open_model(
        ModelOptions(pretrained_model_name_or_path=str(tiny_model)), Opening(torch.float32, keep=True, vae_tiling=True)
    )
    with wan.video_encoder(CPU), wan.shelf.lend("autoencoder", lambda: AutoencoderKLWan(), CPU) as other:
        # While one encodes, another borrower has one of its own.
        assert not other.use_tiling
    with wan.shelf.lend("autoencoder", lambda: pytest.fail("it was kept"), CPU) as kept:
        assert not kept.use_tiling


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


def test_each_component_is_gone_from_memory_when_its_block_ends(wan: Wan) -> None:
    alive = counting_from_here()
    with wan.text_encoder(CPU) as encode_text:
        assert alive(UMT5EncoderModel) == 1
        encode_text(["a"])
    assert alive(UMT5EncoderModel) == 0
    with wan.video_encoder(CPU) as encode_video:
        assert (alive(AutoencoderKLWan), alive(UMT5EncoderModel)) == (1, 0)
        encode_video(torch.zeros(1, 3, 1, 32, 32))
    assert alive(AutoencoderKLWan) == 0
    transformer = wan.load_transformer(CPU)
    with wan.renderer(transformer, CPU):
        assert (alive(AutoencoderKLWan), alive(WanTransformer3DModel)) == (1, 1)
    assert (alive(AutoencoderKLWan), alive(WanTransformer3DModel)) == (0, 1)
