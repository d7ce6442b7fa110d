"""What only a CUDA device can show: the same numbers as stock, a step that moves, a render that leaves no trace."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from helpers.tiny import open_tiny, random_batch
from helpers.trained import NoFiles
from reeltune.adapters.about import About
from reeltune.adapters.layouts import write_adapter
from reeltune.adapters.lora import Lora, attach_lora
from reeltune.config.adapter import AdapterOptions
from reeltune.contracts.batch import Noised
from reeltune.contracts.family import RenderRequest
from reeltune.families.wan.family import FACTS
from reeltune.objective.flow import FlowMatching
from reeltune.randomness import Draws
from reeltune.train.audience import Audience
from reeltune.train.checkpoint import Checkpoints
from reeltune.train.clipping import clipping
from reeltune.train.loop import Keeping, Loop, Pace
from reeltune.train.optimizers import build_optimizer
from reeltune.train.results import Results
from reeltune.train.schedule import Every, Schedule
from reeltune.train.state import TrainState

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU, and torch sees none"),
]

DEVICE = torch.device("cuda")
DTYPE = torch.bfloat16
RATE = 1e-3


def make_loop(tiny_model: Path, folder: Path) -> Loop:
    """Return the loop of a LoRA on a bfloat16 base, with gradient checkpointing."""
    wan = open_tiny(tiny_model, DTYPE)
    transformer = wan.load_transformer(DEVICE).train()
    assert isinstance(transformer, WanTransformer3DModel)
    lora = attach_lora(transformer, AdapterOptions(lora_rank=4), FACTS.adapter_targets, seed=3)
    transformer.enable_gradient_checkpointing()
    optimizer = build_optimizer("torch-adamw", list(lora.trainable().values()), learning_rate=RATE)
    draws = Draws(5)
    return Loop(
        pace=Pace(8, batch_size=2, accumulation=1, checkpoint=Every(0), render=Every(0)),
        family=wan,
        transformer=transformer,
        state=TrainState(lora, optimizer, None),
        objective=FlowMatching(draws),
        read_batches=lambda start, end: (random_batch(seed=place) for place in range(start, end)),
        schedule=Schedule("constant", peak=RATE, end=0.0, warmup=0, total=8),
        clip=clipping("norm", 1.0),
        draws=draws,
        keeping=Keeping(Checkpoints(folder, 2), Results("gpu", "raw", NoFiles()), {}),
        renders=None,
        device=DEVICE,
        audience=Audience([]),
    )


def take_steps(loop: Loop, until: int) -> list[float]:
    """Train up to a step; return the losses."""
    losses = []
    while loop.state.step < until:
        losses.append(loop.train_step([random_batch(seed=loop.state.step)]).loss)
    return losses


def base_of(transformer: nn.Module) -> dict[str, Tensor]:
    return {n: p.detach().clone() for n, p in transformer.named_parameters() if not p.requires_grad}


def equal(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_the_training_forward_equals_the_stock_one(tiny_model: Path) -> None:
    wan, batch = open_tiny(tiny_model, DTYPE), random_batch().to(DEVICE)
    x_t, target = torch.randn(2, *batch.latents.shape, device=DEVICE)
    noised = Noised(x_t=x_t, sigma=torch.tensor([0.25, 0.9371], device=DEVICE), target=target)
    stock = WanTransformer3DModel.from_pretrained(tiny_model / "transformer", dtype=DTYPE)
    nn.Module.to(stock, DEVICE)
    text = nn.functional.pad(batch.text, (0, 0, 0, FACTS.text_length - batch.text.shape[1]))
    with torch.no_grad():
        expected = stock(x_t.to(DTYPE), 1000 * noised.sigma, text.to(DTYPE), return_dict=False)[0]
    own = wan.load_transformer(DEVICE).train()
    attach_lora(own, AdapterOptions(lora_rank=4), FACTS.adapter_targets, seed=3)
    velocity = wan.predict(own, noised, batch)
    assert velocity.requires_grad
    assert velocity.dtype == torch.float32
    # bfloat16 keeps 8 bits. With gradients torch may take another attention kernel, which rounds otherwise: over 12
    # blocks that stays within a few hundredths of values of about one.
    torch.testing.assert_close(velocity.detach(), expected.float(), rtol=0.05, atol=0.05)
    with torch.no_grad():
        assert torch.equal(wan.predict(own, noised, batch), expected.float())


def test_the_transformer_is_read_straight_to_the_device_in_the_right_types(tiny_model: Path) -> None:
    transformer = open_tiny(tiny_model, DTYPE).load_transformer(DEVICE)
    tensors = [*transformer.parameters(), *transformer.buffers()]
    assert {tensor.device.type for tensor in tensors} == {DEVICE.type}
    types = {name: parameter.dtype for name, parameter in transformer.named_parameters()}
    assert types["blocks.0.scale_shift_table"] == torch.float32
    assert types["blocks.0.attn1.to_q.weight"] == DTYPE


def test_a_step_moves_the_adapter_and_nothing_else(tiny_model: Path, tmp_path: Path) -> None:
    loop = make_loop(tiny_model, tmp_path)
    base, before = base_of(loop.transformer), loop.state.weights()["raw"]
    losses = take_steps(loop, until=2)
    after = loop.state.weights()["raw"]
    assert all(torch.isfinite(torch.tensor(losses)))
    assert all(tensor.isfinite().all() for tensor in after.values())
    # B starts at zero, and so has a gradient of its own from the first step on; A from the second.
    assert not any(torch.equal(before[name], after[name]) for name in after)
    assert equal(base_of(loop.transformer), base)


def test_a_render_leaves_the_weights_as_they_were(tiny_model: Path, tmp_path: Path) -> None:
    loop = make_loop(tiny_model, tmp_path)
    take_steps(loop, until=1)
    adapter, lora = tmp_path / "pytorch_lora_weights.safetensors", loop.state.trained
    assert isinstance(lora, Lora)
    write_adapter(adapter, lora.changes(), "diffusers", About("some/base", "4fe", "lora"), loop.family.facts)
    base, trained = base_of(loop.transformer), loop.state.weights()["raw"]
    text = random_batch().text[0]
    request = RenderRequest(
        prompt=text, negative=text[:2], width=96, height=64, frames=5, steps=2, guidance=5.0, seed=1, flow_shift=3.0
    )
    with loop.family.renderer(loop.transformer, DEVICE) as render:
        frames = render(request, adapter)
    assert frames.shape == (5, 64, 96, 3)
    assert equal(base_of(loop.transformer), base)
    assert equal(loop.state.weights()["raw"], trained)
    assert loop.transformer.training
    assert torch.isfinite(torch.tensor(take_steps(loop, until=2))).all()


def test_a_run_that_is_continued_gives_the_numbers_of_one_that_never_stopped(tiny_model: Path, tmp_path: Path) -> None:
    unbroken = make_loop(tiny_model, tmp_path / "a")
    losses = take_steps(unbroken, until=6)
    first = make_loop(tiny_model, tmp_path / "b")
    take_steps(first, until=3)
    first.save()
    start = first.state.weights()["raw"]
    second = make_loop(tiny_model, tmp_path / "b")
    second.state.restore(second.keeping.checkpoints.load(3))
    # The backward of attention adds up in no fixed order on CUDA, in bfloat16: the third digit of a loss.
    assert take_steps(second, until=6) == pytest.approx(losses[3:], rel=5e-3)
    # So do the weights: they may stray by a tenth of the way that they went since.
    weights, expected = second.state.weights()["raw"], unbroken.state.weights()["raw"]
    strayed, gone = (
        torch.cat([(expected[name] - other[name]).flatten() for name in expected]).norm() for other in (weights, start)
    )
    assert strayed < 0.1 * gone
