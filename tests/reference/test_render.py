"""Rendering equals a plain sampling loop written out here, with and without skip-layer guidance."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanTransformer3DModel
from torch import nn

from reeltune.contracts.family import RenderRequest, SkipLayers
from reeltune.families.wan.family import Wan
from reeltune.families.wan.sampler import ShiftedBetaEuler, make_scheduler

CPU = torch.device("cpu")
STEPS = 5
TEXT = torch.randn(9, 32, generator=torch.Generator().manual_seed(0))
REQUEST = RenderRequest(
    prompt=TEXT, negative=TEXT[:3], width=96, height=64, frames=5, steps=STEPS, guidance=5.0, seed=1, flow_shift=None
)


class Through(nn.Module):
    def forward(self, hidden_states: torch.Tensor, *others: Any) -> torch.Tensor:
        return hidden_states


class PlainEuler:
    """Euler's rule itself, on beta-spaced levels that are shifted by 3, as the tiny model's configuration says."""

    def __init__(self) -> None:
        levels = 0.001 + 0.999 * scipy.stats.beta.ppf(1 - np.linspace(0, 1, STEPS), 0.6, 0.6)
        self.levels = [*(3 * levels / (1 + 2 * levels)), 0.0]
        self.timesteps = torch.tensor([1000 * level for level in self.levels[:-1]], dtype=torch.float32)

    def step(self, velocity: torch.Tensor, timestep: torch.Tensor, x: torch.Tensor, **options: Any) -> Any:
        place = self.timesteps.tolist().index(timestep.item())
        return (x + (self.levels[place + 1] - self.levels[place]) * velocity,)


def plain_unipc(model: Path) -> Any:
    scheduler: Any = UniPCMultistepScheduler.from_pretrained(model / "scheduler")
    scheduler.set_timesteps(STEPS)
    return scheduler


@torch.no_grad()
def plain_video(
    model: Path, *, scheduler: Any = None, layers: Collection[int] = (), steps_without: Collection[int] = ()
) -> np.ndarray:
    """Sample REQUEST with stock parts alone; in some steps some layers of the negative pass hand on what they get."""
    whole, weaker = (WanTransformer3DModel.from_pretrained(model / "transformer").eval() for _ in range(2))
    weaker.blocks = nn.ModuleList(Through() if index in layers else block for index, block in enumerate(weaker.blocks))
    scheduler = scheduler or plain_unipc(model)
    prompt, negative = (
        nn.functional.pad(text, (0, 0, 0, 512 - len(text)))[None] for text in (REQUEST.prompt, REQUEST.negative)
    )
    latents = torch.randn((1, 16, 2, 8, 12), generator=torch.Generator().manual_seed(REQUEST.seed))
    for index, timestep in enumerate(scheduler.timesteps):
        toward = whole(latents, timestep[None], prompt).sample
        away = (weaker if index in steps_without else whole)(latents, timestep[None], negative).sample
        velocity = away + REQUEST.guidance * (toward - away)
        latents = scheduler.step(velocity, timestep, latents, return_dict=False)[0]
    return decoded(model, latents)


def decoded(model: Path, latents: torch.Tensor) -> np.ndarray:
    vae = AutoencoderKLWan.from_pretrained(model / "vae").eval()
    mean, std = (torch.tensor(vae.config[name]).view(1, 16, 1, 1, 1) for name in ("latents_mean", "latents_std"))
    # Written as the pipeline has it: x / (1 / std) and x * std differ in the last bit.
    pixels = vae.decode(latents / (1.0 / std) + mean, return_dict=False)[0][0]
    return ((pixels * 0.5 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 3, 0).numpy()


def rendered(wan: Wan, **changes: Any) -> np.ndarray:
    with wan.renderer(wan.load_transformer(CPU), CPU) as render:
        return render(replace(REQUEST, **changes), None)


def test_a_video_equals_the_plain_loop_bit_for_bit(tiny_model: Path, wan: Wan) -> None:
    assert np.array_equal(rendered(wan), plain_video(tiny_model))


@pytest.mark.parametrize(
    ("skip", "steps_without"),
    [
        (SkipLayers((3, 7), 0.0, 1.0), {0, 1, 2, 3, 4}),
        # 0.2 and 0.6 are themselves shares of 5 steps: the first belongs to the range, the second does not.
        (SkipLayers((9,), 0.2, 0.6), {1, 2}),
    ],
    ids=["throughout", "a part"],
)
def test_skipped_layers_hand_on_what_they_get_in_the_negative_pass_of_these_steps(
    tiny_model: Path, wan: Wan, skip: SkipLayers, steps_without: set[int]
) -> None:
    frames = rendered(wan, skip_layers=skip)
    assert np.array_equal(frames, plain_video(tiny_model, layers=skip.layers, steps_without=steps_without))
    assert not np.array_equal(frames, plain_video(tiny_model))


def test_a_video_by_euler_equals_the_plain_loop(tiny_model: Path, wan: Wan) -> None:
    frames, expected = rendered(wan, noise_scheduler="euler"), plain_video(tiny_model, scheduler=PlainEuler())
    # The levels differ in the last bit of float32: at most one of 256 shades.
    assert np.abs(frames.astype(int) - expected.astype(int)).max() <= 1
    assert np.abs(frames.astype(int) - plain_video(tiny_model).astype(int)).mean() > 1


def test_an_empty_range_and_no_guidance_leave_the_video_as_it_is(wan: Wan) -> None:
    assert np.array_equal(rendered(wan, skip_layers=SkipLayers((3,), 0.4, 0.4)), rendered(wan))
    unguided = rendered(wan, guidance=1.0)
    assert np.array_equal(rendered(wan, guidance=1.0, skip_layers=SkipLayers((3,), 0.0, 1.0)), unguided)


@pytest.mark.parametrize("shift", [0.5, 1.0, 3.0, 5.0])
@pytest.mark.parametrize("steps", [1, 8, 40])
def test_euler_takes_shifted_quantiles_of_the_beta_distribution(shift: float, steps: int) -> None:
    scheduler = ShiftedBetaEuler(shift)
    scheduler.set_timesteps(steps)
    quantiles = scipy.stats.beta.ppf(1 - np.linspace(0, 1, steps, dtype=np.float64), 0.6, 0.6)
    levels = 0.001 + 0.999 * quantiles
    expected = np.append(shift * levels / (1 + (shift - 1) * levels), 0.0)
    # float32 in the scheduler: a few parts in 2**24.
    np.testing.assert_allclose(scheduler.sigmas.double().numpy(), expected, rtol=5e-7)
    np.testing.assert_allclose(scheduler.timesteps.double().numpy(), 1000 * expected[:-1], rtol=5e-7)


def test_the_shift_moves_the_middle_and_not_the_ends() -> None:
    scheduler = ShiftedBetaEuler(3.0)
    scheduler.set_timesteps(8)
    assert scheduler.sigmas[0] == 1
    assert scheduler.sigmas[4].item() == pytest.approx(3 * 0.402 / (1 + 2 * 0.402), abs=1e-3)
    assert scheduler.sigmas[-1] == 0


def test_a_step_of_euler_follows_the_velocity_from_one_level_to_the_next() -> None:
    scheduler: Any = ShiftedBetaEuler(3.0)
    scheduler.set_timesteps(4)
    scheduler.set_begin_index(0)
    x, velocity = torch.randn(2, 1, 4, 2, 3, 3)
    for index, timestep in enumerate(scheduler.timesteps):
        moved = scheduler.step(velocity, timestep, x, return_dict=False)[0]
        width = (scheduler.sigmas[index + 1] - scheduler.sigmas[index]).item()
        torch.testing.assert_close(moved, x + width * velocity)
        x = moved


@pytest.mark.parametrize(("given", "expected"), [(None, 7.0), (2.0, 2.0)])
def test_the_shift_is_the_models_own_unless_another_is_asked_for(given: float | None, expected: float) -> None:
    config = {"flow_shift": 7.0, "use_flow_sigmas": True, "prediction_type": "flow_prediction"}
    euler, unipc = (make_scheduler(config, given, name=name) for name in ("euler", "unipc"))
    assert isinstance(euler, ShiftedBetaEuler)
    assert euler.flow_shift == expected
    assert unipc.config["flow_shift"] == expected
