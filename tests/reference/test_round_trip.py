"""Every kind of adapter: five steps, saved, and read back by us and by the program that the file is for."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from torch import Tensor, nn

from reeltune.adapters.about import About
from reeltune.adapters.layers import layers_of
from reeltune.adapters.layouts import read_adapter
from reeltune.adapters.lora import Lora, attach_lora
from reeltune.adapters.lycoris import Lycoris, attach_lycoris
from reeltune.adapters.publish import AdapterPublisher
from reeltune.adapters.wearing import wearing
from reeltune.config.adapter import AdapterOptions
from reeltune.config.lycoris import lycoris_of
from reeltune.config.lycoris_choice import chosen_for_lycoris
from reeltune.demo.model import make_transformer
from reeltune.families.wan.description import FACTS

pytest.importorskip("lycoris")

ROUNDING = 2e-5
"""Relative error of the velocity, float32: the same change, summed in another order, through three blocks."""

LORAS: dict[str, dict[str, Any]] = {
    "lora": {"lora_rank": 4, "lora_alpha": 2.5},
    "lora on feed-forward": {"lora_rank": 4, "peft_lora_target_modules": ("attention", "ffn"), "lora_blocks": "1-"},
    "dora": {"lora_rank": 4, "use_dora": True},
    "gaussian": {"lora_rank": 4, "lora_init_type": "gaussian"},
    "pissa": {"lora_rank": 4, "lora_init_type": "pissa"},
    "olora": {"lora_rank": 4, "lora_init_type": "olora", "lora_alpha": 8},
}

BLOCKS = {"apply_preset": {"target_module": ["WanTransformerBlock"]}, "multiplier": 1.0, "linear_alpha": 2}
LYCORIS: dict[str, dict[str, Any]] = {
    "lycoris lora": {"algo": "lora", "linear_dim": 4},
    "loha": {"algo": "loha", "linear_dim": 4},
    "lokr": {"algo": "lokr", "linear_dim": 4, "factor": 4},
    "lokr whole": {"algo": "lokr", "full_matrix": True, "factor": 8},
    "lokr in four": {"algo": "lokr", "linear_dim": 2, "factor": 8, "decompose_both": True},
    "full": {"algo": "full", "linear_dim": 4},
    "ia3": {"algo": "ia3", "linear_dim": 4},
    "ia3 on inputs": {"algo": "ia3", "linear_dim": 4, "train_on_input": True},
    "dylora": {"algo": "dylora", "linear_dim": 4, "block_size": 2},
    "diag-oft": {"algo": "diag-oft", "linear_dim": 8, "constraint": 1e-3},
    "boft": {"algo": "boft", "linear_dim": 8},
    "glora": {"algo": "glora", "linear_dim": 4},
    "lycoris dora": {"algo": "lora", "linear_dim": 4, "weight_decompose": True},
}
TRAIN_LENGTHS = {"dora", "lycoris dora"}
"""DoRA, whose arithmetic at the start gives the base to rounding, and not to the bit."""


def base() -> WanTransformer3DModel:
    torch.manual_seed(3)
    return make_transformer(2).eval().requires_grad_(False)


def attach(kind: str, transformer: nn.Module) -> Lora | Lycoris:
    if kind in LORAS:
        from reeltune.config.targets import chosen_layers

        options = AdapterOptions(**LORAS[kind])
        names = [layer.name for layer in chosen_layers(layers_of(transformer), options, FACTS)]
        return attach_lora(transformer, options, names, seed=1)
    config = lycoris_of({**BLOCKS, **LYCORIS[kind]})
    return attach_lycoris(transformer, config, chosen_for_lycoris(layers_of(transformer), config, FACTS), seed=1)


def velocity(transformer: nn.Module, *, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn(1, 16, 2, 8, 8, generator=generator)
    text = torch.randn(1, 7, 32, generator=generator)
    return transformer(latents, torch.tensor([400.0]), text, return_dict=False)[0]


def answer(transformer: nn.Module) -> Tensor:
    with torch.no_grad():
        return velocity(transformer)


def relative(value: Tensor, reference: Tensor) -> float:
    return ((value - reference).norm() / reference.norm()).item()


def train(transformer: nn.Module, adapter: Lora | Lycoris, steps: int = 5) -> list[float]:
    """Take steps toward another output; each has a seed, as the loop gives one to each micro-batch."""
    parameters = list(adapter.trainable().values())
    optimizer = torch.optim.Adam(parameters, lr=2e-2)
    losses = []
    transformer.train()
    for step in range(steps):
        torch.manual_seed(step)
        loss = (velocity(transformer, seed=step) - torch.linspace(-1, 1, 16).view(1, 16, 1, 1, 1)).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    transformer.eval()
    return losses


def published(adapter: Lora | Lycoris, kind: str, folder: Path) -> list[Path]:
    """Write all files of an adapter, which proves them, and return those that there are."""
    settings = {**BLOCKS, **LYCORIS[kind]} if kind in LYCORIS else {}
    about = About("a base", "a fingerprint", kind, settings=settings)
    publisher = AdapterPublisher(adapter, FACTS, lambda step: about, main="lycoris" if settings else "diffusers")
    publisher.write(folder, "run", step=5)
    return [folder / place for place in publisher.places("run") if place.suffix == ".safetensors"]


@contextmanager
def by_its_own_program(kind: str, file: Path, transformer: WanTransformer3DModel) -> Iterator[Callable[[float], Any]]:
    """Let a stock transformer wear a main file by diffusers' loader or lycoris' own; yield what sets the strength."""
    if kind in LORAS:
        pipeline = WanPipeline(None, None, None, None, transformer)  # pyright: ignore[reportArgumentType]
        pipeline.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name="shown")
        yield lambda strength: transformer.set_adapters(["shown"], weights=[strength])
        return
    import lycoris

    logging.getLogger("LyCORIS").setLevel(logging.ERROR)
    with torch.no_grad():
        if kind.startswith("ia3"):
            network = described_network(kind, transformer)
            network.apply_to()
            assert network.load_weights(str(file)) == {}
        else:
            network, _ = lycoris.create_lycoris_from_weights(1.0, str(file), transformer)
            network.apply_to()
        assert network.loras
        yield network.set_multiplier


def described_network(kind: str, transformer: nn.Module) -> Any:
    """Return lycoris' network of a description: its 4.1.3 cannot make IA3 from a file alone."""
    from lycoris import LycorisNetwork, create_lycoris

    # The library keeps in its class what is adapted; it is as before for the tests that follow.
    own = {"WanTransformerBlock": {"algo": "ia3", "train_on_input": kind == "ia3 on inputs"}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LycorisNetwork, "TARGET_REPLACE_MODULE", ["WanTransformerBlock"])
        patch.setattr(LycorisNetwork, "MODULE_ALGO_MAP", own)
        return create_lycoris(transformer, 1.0, linear_dim=4, linear_alpha=2, algo="ia3")


@pytest.mark.parametrize("kind", [*LORAS, *LYCORIS])
def test_a_trained_adapter_is_the_same_wherever_its_file_is_read(kind: str, tmp_path: Path) -> None:
    bare, live = base(), base()
    before = answer(bare)
    adapter = attach(kind, live)
    if kind in TRAIN_LENGTHS:
        assert relative(answer(live), before) < ROUNDING
    else:
        assert torch.equal(answer(live), before)

    started = {name: tensor.detach().clone() for name, tensor in adapter.trainable().items()}
    assert all(torch.isfinite(torch.tensor(train(live, adapter))))
    assert [name for name, tensor in adapter.trainable().items() if torch.equal(tensor, started[name])] == []
    after = answer(live)
    assert relative(after, before) > 100 * ROUNDING

    main, *others = published(adapter, kind, tmp_path)
    for file in (main, *others):
        with wearing(bare, read_adapter(file, FACTS).changes):
            # ComfyUI's DoRA is written for ComfyUI's own rule for lengths; the reader undoes it.
            assert relative(answer(bare), after) < ROUNDING, file
    stock = copy.deepcopy(bare)
    with by_its_own_program(kind, main, stock) as set_strength:
        assert relative(answer(stock), after) < ROUNDING
        set_strength(0.0)
        # To the bit, except that both programs keep DoRA's trained lengths at any strength.
        assert torch.equal(answer(stock), before) == (kind not in TRAIN_LENGTHS)
    with adapter.disabled():
        assert torch.equal(answer(live), before)


@pytest.mark.parametrize("kind", ["lokr", "lokr whole", "loha"])
def test_a_lycoris_file_of_a_text_to_video_model_acts_on_an_image_to_video_one(kind: str, tmp_path: Path) -> None:
    live = base()
    adapter = attach(kind, live)
    train(live, adapter, steps=2)
    main, *_ = published(adapter, kind, tmp_path)
    torch.manual_seed(4)
    of_images = dict(in_channels=36, image_dim=24, added_kv_proj_dim=64)
    model = WanTransformer3DModel(**{**live.config, **of_images}).eval().requires_grad_(False)

    def answer_to_image(transformer: WanTransformer3DModel) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        latents, text, image = (
            torch.randn(shape, generator=generator) for shape in ((1, 36, 2, 8, 8), (1, 7, 32), (1, 257, 24))
        )
        with torch.no_grad():
            return transformer(latents, torch.tensor([400.0]), text, image, return_dict=False)[0]

    before = answer_to_image(model)
    stock = copy.deepcopy(model)
    with wearing(model, read_adapter(main, FACTS).changes):
        after = answer_to_image(model)
    assert relative(after, before) > 100 * ROUNDING
    with by_its_own_program(kind, main, stock):
        assert relative(answer_to_image(stock), after) < ROUNDING
