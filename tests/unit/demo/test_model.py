"""The tiny checkpoint has the real layout, loads by the real code, renders, and is the same every time."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from diffusers.pipelines.wan.pipeline_wan import WanPipeline
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler
from diffusers.utils import logging as diffusers_logging
from transformers import AutoTokenizer, T5Tokenizer, UMT5EncoderModel
from transformers.utils import logging as transformers_logging

from reeltune.demo import model as model_module
from reeltune.demo.clips import make_clips, plan_clips
from reeltune.demo.drawing import draw
from reeltune.demo.example import make_example
from reeltune.demo.model import make_model

PROMPT = "a black and white cartoon of a white star rolling past a striped wall"
LAYOUT = {
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/tokenizer.json",
    "tokenizer/tokenizer_config.json",
    "transformer/config.json",
    "transformer/diffusion_pytorch_model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
}


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("example")
    make_example(folder)
    return folder


@pytest.fixture(scope="module")
def captions(example: Path) -> list[str]:
    return make_clips(example / "clips")


@pytest.fixture(scope="module")
def pipeline(example: Path) -> WanPipeline:
    pipeline = WanPipeline.from_pretrained(example / "model")
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def files(folder: Path) -> dict[str, Path]:
    return {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}


def digests(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files(folder).items()}


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_same_seed_gives_the_same_bytes(example: Path, captions: list[str], tmp_path: Path) -> None:
    make_model(tmp_path / "again", captions)
    make_model(tmp_path / "other", captions, seed=1)
    first, again, other = (digests(path) for path in (example / "model", tmp_path / "again", tmp_path / "other"))
    assert first == again
    assert {name for name in first if first[name] != other[name]} == {n for n in LAYOUT if n.endswith("safetensors")}


def test_layout_and_modes_are_those_of_a_downloaded_model(example: Path) -> None:
    made = files(example / "model")
    assert set(made) == LAYOUT
    assert {path.stat().st_mode & 0o777 for path in made.values()} == {0o644}
    assert sum(path.stat().st_size for path in made.values()) < 8e6


def test_pipeline_loads_every_component_as_the_real_class(pipeline: WanPipeline) -> None:
    kinds = {
        "tokenizer": T5Tokenizer,
        "text_encoder": UMT5EncoderModel,
        "transformer": WanTransformer3DModel,
        "vae": AutoencoderKLWan,
        "scheduler": UniPCMultistepScheduler,
    }
    assert {name: type(pipeline.components[name]) for name in kinds} == kinds
    for name in ("text_encoder", "transformer", "vae"):
        assert {parameter.dtype for parameter in pipeline.components[name].parameters()} == {torch.float32}
    scheduler = pipeline.scheduler.config
    assert scheduler["prediction_type"] == "flow_prediction"
    assert (scheduler["flow_shift"], scheduler["use_flow_sigmas"], scheduler["solver_order"]) == (3.0, True, 2)


def test_loading_says_nothing(example: Path, caplog: pytest.LogCaptureFixture) -> None:
    libraries = (diffusers_logging, transformers_logging)
    for library in libraries:
        library.enable_propagation()
    try:
        with caplog.at_level(logging.WARNING):
            WanPipeline.from_pretrained(example / "model")
    finally:
        for library in libraries:
            library.disable_propagation()
    assert not caplog.messages


def test_real_options_of_wan_are_kept(pipeline: WanPipeline) -> None:
    transformer, vae = pipeline.transformer.config, pipeline.vae.config
    assert tuple(transformer["patch_size"]) == (1, 2, 2)
    assert transformer["in_channels"] == transformer["out_channels"] == 16
    assert (transformer["qk_norm"], transformer["cross_attn_norm"]) == ("rms_norm_across_heads", True)
    assert transformer["num_layers"] == len(pipeline.transformer.blocks) == 12
    assert transformer["text_dim"] == pipeline.text_encoder.config.d_model
    assert (vae["z_dim"], list(vae["temperal_downsample"])) == (16, [False, True, True])
    # The first and last entries of the real checkpoint's statistics.
    assert (vae["latents_mean"][0], vae["latents_std"][-1]) == (-0.7571, 1.9160)


def test_thirty_blocks_have_the_240_layers_of_a_lora_on_the_real_model(captions: list[str], tmp_path: Path) -> None:
    start_s = time.perf_counter()
    make_model(tmp_path / "deep", captions, blocks=30)
    # 0.2 s measured on one core of a shared machine.
    assert time.perf_counter() - start_s < 2
    deep = WanTransformer3DModel.from_pretrained(tmp_path / "deep" / "transformer")
    pattern = re.compile(r"blocks\.\d+\.attn[12]\.(to_q|to_k|to_v|to_out\.0)")
    linear = [name for name, module in deep.named_modules() if isinstance(module, torch.nn.Linear)]
    assert len([name for name in linear if pattern.fullmatch(name)]) == 240


def test_tokenizer_writes_the_captions_and_reads_them_back(example: Path, captions: list[str]) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(example / "model" / "tokenizer")
    batch = tokenizer(captions, padding="max_length", max_length=64).input_ids
    for caption, ids in zip(captions, batch, strict=True):
        written = ids[: ids.index(1) + 1]
        assert ids[len(written) :] == [0] * (64 - len(written))
        # One id for each word and one for the end: known words are not spelled out.
        assert len(written) == len(caption.split()) + 1
        assert tokenizer.unk_token_id not in written
        assert tokenizer.decode(ids, skip_special_tokens=True) == caption
    assert tokenizer("").input_ids == [1]


@pytest.mark.parametrize(
    "prompt", ["A cat, 3 dogs & Zoë!", "一只白色的小猫在雨中奔跑,黑白卡通。", "黑白动画：圆形在跳舞！"]
)
def test_tokenizer_writes_prompts_that_it_has_not_seen(pipeline: WanPipeline, prompt: str) -> None:
    ids = pipeline.tokenizer(prompt).input_ids
    assert ids[-1] == 1
    assert pipeline.tokenizer.unk_token_id not in ids
    assert pipeline.tokenizer.decode(ids, skip_special_tokens=True) == prompt


def test_what_the_tokenizer_cannot_write_is_unknown_not_an_error(pipeline: WanPipeline) -> None:
    assert pipeline.tokenizer("🎬").input_ids[-2:] == [pipeline.tokenizer.unk_token_id, 1]


def test_random_state_of_the_caller_is_untouched(captions: list[str], tmp_path: Path) -> None:
    before = torch.get_rng_state()
    make_model(tmp_path / "model", captions, blocks=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_failure_on_the_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(blocks: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(model_module, "make_transformer", die)
    with pytest.raises(KeyboardInterrupt):
        make_model(tmp_path / "model", [PROMPT])
    assert not list(tmp_path.iterdir())


def test_making_again_keeps_what_is_there_and_says_nothing(
    example: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "mine.txt").write_text("my own clip\n", encoding="utf-8")
    said: list[str] = []
    make_example(tmp_path, say=said.append)
    assert [str(tmp_path / "model") in line for line in said] == [True]
    assert len(files(tmp_path / "clips")) == 1
    before = digests(example)
    make_example(example, say=said.append)
    assert len(said) == 1
    assert digests(example) == before
    assert capfd.readouterr() == ("", "")


def test_velocity_has_unit_scale_and_every_block_learns(pipeline: WanPipeline) -> None:
    transformer = pipeline.transformer
    text, _ = pipeline.encode_prompt([PROMPT], do_classifier_free_guidance=False)
    target = noise(1, 16, 5, 12, 16, seed=1)
    velocity = transformer(noise(1, 16, 5, 12, 16), torch.tensor([500.0]), text.detach()).sample
    assert 0.8 < velocity.std() < 1.6
    (velocity - target).square().mean().backward()
    norms = [float(block.attn1.to_out[0].weight.grad.norm()) for block in transformer.blocks]
    transformer.zero_grad(set_to_none=True)
    assert min(norms) > 0.2 * max(norms)


@torch.no_grad()
def test_prompt_and_noise_level_change_the_velocity(pipeline: WanPipeline) -> None:
    text, empty = pipeline.encode_prompt([PROMPT], "")
    latents = noise(1, 16, 5, 12, 16)
    velocity = pipeline.transformer(latents, torch.tensor([500.0]), text).sample
    for level, prompt in ((500.0, empty), (900.0, text)):
        assert (pipeline.transformer(latents, torch.tensor([level]), prompt).sample - velocity).std() > 0.1


@torch.no_grad()
def test_latents_of_a_clip_have_about_the_statistics_of_the_config(pipeline: WanPipeline) -> None:
    vae = pipeline.vae
    scenes = [clip.scene for clip in plan_clips(6, seed=0)]
    clips = [torch.from_numpy(draw(scene, width=96, height=64, num_frames=17, fps=16.0)) for scene in scenes]
    posterior = vae.encode(torch.stack(clips).movedim(-1, 1) / 127.5 - 1).latent_dist
    assert posterior.mean.shape == (6, 16, 5, 8, 12)
    mean, std = (torch.tensor(vae.config[name]).view(16, 1, 1, 1) for name in ("latents_mean", "latents_std"))
    normalised = (posterior.mean - mean) / std
    assert abs(normalised.mean()) < 0.2
    assert 0.7 < normalised.std() < 1.4
    assert posterior.std.max() < 0.1


def test_render_is_not_flat(pipeline: WanPipeline) -> None:
    generator = torch.Generator().manual_seed(0)
    (videos,) = pipeline(
        PROMPT,
        width=128,
        height=96,
        num_frames=17,
        num_inference_steps=4,
        generator=generator,
        output_type="np",
        return_dict=False,
    )
    frames = np.asarray(videos[0])
    assert frames.shape == (17, 96, 128, 3)
    # In [0, 1]. Measured with 12 steps: 0.28 over all, 0.20 within a frame, 0.23 from frame to frame.
    assert frames.std() > 0.15
    assert frames.std(axis=(1, 2)).mean() > 0.1
    assert frames.std(axis=0).mean() > 0.1
    assert frames.min() < 0.05
    assert frames.max() > 0.95


def test_index_names_the_tokenizer_as_the_real_checkpoint_does(example: Path) -> None:
    index = json.loads((example / "model" / "model_index.json").read_text(encoding="utf-8"))
    own = json.loads((example / "model" / "tokenizer" / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert index["tokenizer"] == ["transformers", "T5TokenizerFast"]
    assert own["tokenizer_class"] == "T5Tokenizer"
