"""How a model is opened: what stays on the device, and what is quantized."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from transformers import UMT5EncoderModel

from helpers.alive import counting_from_here
from helpers.tiny import random_batch
from reeltune.config.model import ModelOptions
from reeltune.contracts.batch import Noised
from reeltune.errors import ConfigError
from reeltune.families.opening import Opening, open_family
from reeltune.families.wan.family import Wan, open_model
from reeltune.machine import packages
from reeltune.quantize.apply import quantize_linears
from reeltune.quantize.rules import encoder_names, quantized_names

CPU = torch.device("cpu")


def opened(model: Path, **opening: Any) -> Wan:
    return open_model(ModelOptions(pretrained_model_name_or_path=str(model)), Opening(torch.float32, **opening))


def test_parts_that_are_kept_are_loaded_once(tiny_model: Path) -> None:
    alive = counting_from_here()
    wan = opened(tiny_model, keep=True)
    frames, encoded = torch.linspace(-1, 1, 3 * 32 * 32).view(1, 3, 1, 32, 32), []
    for _ in range(2):
        with wan.text_encoder(CPU) as encode_text, wan.video_encoder(CPU) as encode_video:
            encoded.append((encode_text(["a circle"])[0], encode_video(frames)))
        assert (alive(UMT5EncoderModel), alive(AutoencoderKLWan)) == (1, 1)
    assert all(torch.equal(*pair) for pair in zip(*encoded, strict=True))
    del wan, encode_text, encode_video
    gc.collect()
    assert (alive(UMT5EncoderModel), alive(AutoencoderKLWan)) == (0, 0)


def test_videos_are_decoded_by_the_autoencoder_that_was_kept(tiny_model: Path) -> None:
    alive = counting_from_here()
    for keep, left in ((True, 1), (False, 0)):
        wan = opened(tiny_model, keep=keep)
        with wan.video_encoder(CPU):
            pass
        for _ in range(2):
            with wan.renderer(wan.load_transformer(CPU), CPU) as render:
                assert alive(AutoencoderKLWan) == 1
                del render
        gc.collect()
        assert alive(AutoencoderKLWan) == left
        del wan
        gc.collect()


@pytest.mark.parametrize("via", ["cpu", "accelerator"])
def test_the_base_is_quantized_in_its_blocks(tiny_model: Path, via: str) -> None:
    wan = opened(tiny_model, base_precision="int8-quanto", quantize_via=via)
    stock = WanTransformer3DModel.from_pretrained(tiny_model / "transformer")
    quantize_linears(stock, "int8-quanto", names=quantized_names(stock, "blocks"))
    batch, sigma = random_batch(), torch.tensor([0.25, 0.9])
    noised = Noised(batch.latents, sigma, batch.latents)
    text = torch.nn.functional.pad(batch.text, (0, 0, 0, 512 - 9))
    with torch.no_grad():
        velocity = wan.predict(wan.load_transformer(CPU), noised, batch)
        whole = opened(tiny_model).predict(opened(tiny_model).load_transformer(CPU), noised, batch)
        expected = stock(batch.latents, 1000 * sigma, text).sample
    assert torch.equal(velocity, expected)
    # 8 bits are a rounding of up to half of 1/127 of each row's largest weight: seen, and small.
    assert 0 < (velocity - whole).std() / whole.std() < 0.1


def test_the_text_encoder_is_quantized_and_its_name_says_so(tiny_model: Path) -> None:
    wan, whole = opened(tiny_model, text_precision="int8-quanto"), opened(tiny_model)
    assert wan.text_fingerprint() == f"{whole.text_fingerprint()}-int8-quanto"
    encoder = wan._load_text_encoder(CPU)
    stock = UMT5EncoderModel.from_pretrained(tiny_model / "text_encoder", dtype=torch.float32).eval()
    quantize_linears(stock, "int8-quanto", names=encoder_names(stock))
    ids = torch.arange(1, 9)[None]
    with torch.no_grad():
        assert torch.equal(encoder(ids).last_hidden_state, stock(ids).last_hidden_state)
    with wan.text_encoder(CPU) as encode, whole.text_encoder(CPU) as encode_whole:
        assert not torch.equal(encode(["a circle"])[0], encode_whole(["a circle"])[0])


def test_a_missing_package_is_told_before_anything_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "version_of", lambda name: None)
    options = ModelOptions(pretrained_model_name_or_path="no/such/model")
    with pytest.raises(ConfigError, match="int8-quanto cannot be used: optimum-quanto is not installed"):
        open_family(options, Opening(torch.float32, text_precision="int8-quanto"))
