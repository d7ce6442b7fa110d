"""A tiny Wan 2.1 text-to-video checkpoint with random weights, in the folder layout of the real one.

Every class and every option is that of Wan-AI/Wan2.1-T2V-1.3B-Diffusers; only the widths and depths differ. The same
captions, blocks and seed give the same bytes. 12 blocks: 1.5 M parameters, 6 MB, made in half a second.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import diffusers
import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler
from torch import Tensor
from transformers import UMT5Config, UMT5EncoderModel
from transformers.utils import logging

from reeltune.demo.drawing import Scene, draw
from reeltune.demo.tokenizer import make_tokenizer
from reeltune.whole_files import whole_folder

TEXT_WIDTH = 32
HEADS, HEAD_WIDTH = 4, 16

INDEX = {
    "_class_name": "WanPipeline",
    "_diffusers_version": diffusers.__version__,
    "scheduler": ["diffusers", "UniPCMultistepScheduler"],
    "text_encoder": ["transformers", "UMT5EncoderModel"],
    # As the real repository names it: transformers 4 reads tokenizer.json under it, 5 takes it for T5Tokenizer.
    "tokenizer": ["transformers", "T5TokenizerFast"],
    "transformer": ["diffusers", "WanTransformer3DModel"],
    "vae": ["diffusers", "AutoencoderKLWan"],
}


def make_model(folder: Path, captions: Sequence[str], *, blocks: int = 12, seed: int = 0) -> None:
    """Write a checkpoint that `WanPipeline.from_pretrained` loads; a folder that exists is left as it is.

    captions: what the tokenizer must know as whole words.
    The caller's random state is untouched.
    """
    if folder.exists():
        return
    with whole_folder(folder) as draft, torch.random.fork_rng(devices=[]), _no_progress_bar():
        torch.default_generator.manual_seed(seed)
        tokenizer = make_tokenizer(captions)
        tokenizer.save_pretrained(draft / "tokenizer")
        make_text_encoder(len(tokenizer)).save_pretrained(draft / "text_encoder")
        make_vae().save_pretrained(draft / "vae")
        make_transformer(blocks).save_pretrained(draft / "transformer")
        make_scheduler().save_pretrained(draft / "scheduler")
        (draft / "model_index.json").write_text(json.dumps(INDEX, indent=2) + "\n", encoding="utf-8")


@torch.no_grad()
def make_transformer(blocks: int) -> WanTransformer3DModel:
    """Return the transformer whose output has about the scale of the velocity that it is to predict."""
    transformer = WanTransformer3DModel(
        num_attention_heads=HEADS,
        attention_head_dim=HEAD_WIDTH,
        text_dim=TEXT_WIDTH,
        ffn_dim=2 * HEADS * HEAD_WIDTH,
        num_layers=blocks,
    )
    # torch starts linear layers at a third of unit variance. Measured with this gain: standard deviation 1.1 to 1.2
    # for noise levels 0.1 to 0.9, and gradients alike within a factor of 2 from the first block to the last.
    transformer.proj_out.weight.mul_(3**0.5)
    # Without it the prompt moves the output by a standard deviation of 0.03, with it by 0.2.
    transformer.condition_embedder.text_embedder.linear_2.weight.mul_(6)
    return transformer


@torch.no_grad()
def make_vae() -> AutoencoderKLWan:
    """Return the autoencoder: 8x smaller in space, 4x in time, 16 channels."""
    vae = AutoencoderKLWan(base_dim=8, num_res_blocks=1)
    # Rendered videos then have standard deviation 0.56 in [-1, 1] instead of 0.3; a tenth of the values reach an end.
    vae.decoder.conv_out.weight.mul_(2)
    _fit_latents(vae)
    return vae


def _fit_latents(vae: AutoencoderKLWan) -> None:
    """Give the latents of a cartoon the mean and standard deviation that the config states for each channel.

    The demo clips then come out, normalised, with mean 0.02 and standard deviation 1.01.
    """
    latents = vae.encode(_cartoon(), return_dict=False)[0].mean.transpose(0, 1).flatten(1)
    # Rounded, so that the last bit of a sum, which may differ between machines, does not reach the file.
    mean, std = latents.mean(1).round(decimals=2), latents.std(1).round(decimals=3)
    gain = torch.tensor(vae.config["latents_std"]) / std
    half, layer = vae.config["z_dim"], vae.quant_conv
    assert layer.bias is not None
    layer.weight[:half] *= gain.view(-1, 1, 1, 1, 1)
    layer.bias[:half] = torch.tensor(vae.config["latents_mean"]) + gain * (layer.bias[:half] - mean)
    # The other half is the logarithm of the posterior's variance: a standard deviation of 0.02, nearly none.
    layer.weight[half:] = 0
    layer.bias[half:] = -8


def _cartoon() -> Tensor:
    """Return a light and a dark clip as the autoencoder takes them: (2, 3, 17, 64, 64) in [-1, 1]."""
    scenes = [Scene("star", "spinning", "dotted", light_shape=light, beat_s=0.7) for light in (True, False)]
    clips = [draw(scene, width=64, height=64, num_frames=17, fps=16.0) for scene in scenes]
    return torch.stack([torch.from_numpy(clip) for clip in clips]).movedim(-1, 1) / 127.5 - 1


def make_text_encoder(vocabulary: int) -> UMT5EncoderModel:
    """Return a two-layer encoder; its last norm gives embeddings of unit variance."""
    config = UMT5Config(
        vocab_size=vocabulary, d_model=TEXT_WIDTH, d_kv=8, d_ff=2 * TEXT_WIDTH, num_layers=2, num_heads=4
    )
    return UMT5EncoderModel(config)


def make_scheduler() -> UniPCMultistepScheduler:
    """Return the sampler as the real checkpoint configures it."""
    return UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0, num_train_timesteps=1000
    )


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    # transformers draws one for every file that it saves.
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
