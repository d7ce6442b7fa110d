"""The two loops that are compared: reeltune's own, and one written by hand with nothing around it.

Both train a LoRA on the attention layers with fused AdamW and clipping by value, on one batch again and again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path

import torch
from diffusers import WanTransformer3DModel
from peft import LoraConfig
from torch.nn.utils import clip_grad_value_

from reeltune.adapters.lora import attach_lora
from reeltune.config.adapter import AdapterOptions
from reeltune.contracts.batch import Batch
from reeltune.contracts.family import Family
from reeltune.families.wan.family import FACTS
from reeltune.objective.flow import ChooseTokens, FlowMatching, keep_all
from reeltune.randomness import Draws
from reeltune.train.audience import Audience
from reeltune.train.checkpoint import Checkpoints
from reeltune.train.clipping import clipping
from reeltune.train.loop import Keeping, Loop, Pace
from reeltune.train.optimizers import build_optimizer
from reeltune.train.results import Results
from reeltune.train.schedule import Every, Schedule
from reeltune.train.state import TrainState

LIMIT, RATE = 0.01, 1e-4
FOREVER = 10**6
"""Steps; more than any benchmark takes."""

Step = Callable[[], None]
Clock = Callable[[], float]


def reeltune_step(
    family: Family,
    transformer: WanTransformer3DModel,
    batch: Batch,
    *,
    rank: int,
    choose: ChooseTokens = keep_all,
) -> Step:
    """Return a step of the real loop, on the device of the transformer."""
    lora = attach_lora(transformer.train(), AdapterOptions(lora_rank=rank), FACTS.adapter_targets, seed=0)
    optimizer = build_optimizer("torch-adamw", list(lora.trainable().values()), learning_rate=RATE)
    draws = Draws(0)
    loop = Loop(
        pace=Pace(FOREVER, batch_size=batch.size, accumulation=1, checkpoint=Every(0), render=Every(0)),
        family=family,
        transformer=transformer,
        state=TrainState(lora, optimizer, None),
        objective=FlowMatching(draws, choose_tokens=choose),
        read_batches=lambda start, end: (_ for _ in ()),
        schedule=Schedule("constant", peak=RATE, end=0.0, warmup=0, total=FOREVER),
        clip=clipping("value", LIMIT),
        draws=draws,
        keeping=_keeps_nothing(),
        renders=None,
        device=transformer.device,
        audience=Audience([]),
    )

    def step() -> None:
        started = time.monotonic()
        loop.report(loop.train_step([batch]), started=started, fetched=started)

    return step


def bare_step(transformer: WanTransformer3DModel, batch: Batch, *, rank: int, dtype: torch.dtype) -> Step:
    """Return a step as one would write it by hand: PEFT's LoRA in float32, under autocast below float32."""
    device = transformer.device
    transformer.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=list(FACTS.adapter_targets)))
    transformer.train()
    parameters = [parameter for parameter in transformer.parameters() if parameter.requires_grad]
    for parameter in parameters:
        parameter.data = parameter.data.float()
    optimizer = torch.optim.AdamW(parameters, lr=RATE, fused=True)
    padded = torch.zeros(batch.size, FACTS.text_length, batch.text.shape[2])
    padded[:, : batch.text.shape[1]] = batch.text
    computing = nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)

    def step() -> None:
        latents, text = batch.latents.to(device), padded.to(device)
        noise = torch.randn_like(latents)
        sigma = torch.sigmoid(torch.randn(len(latents), device=device))
        level = sigma.view(-1, 1, 1, 1, 1)
        noisy = ((1 - level) * latents + level * noise).to(dtype)
        with computing:
            velocity = transformer(noisy, 1000 * sigma, text.to(dtype), return_dict=False)[0]
        loss = torch.nn.functional.mse_loss(velocity.float(), noise - latents)
        loss.backward()
        clip_grad_value_(parameters, LIMIT)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()

    return step


def take_turns(
    loops: Mapping[str, Step], device: torch.device, *, warmup: int, steps: int, clock: Clock = time.perf_counter
) -> dict[str, list[float]]:
    """Return the seconds of each step of all loops, taken in turn, so that a busy machine slows all alike."""
    times: dict[str, list[float]] = {name: [] for name in loops}
    for number in range(warmup + steps):
        # Who goes first changes, so that nobody profits from another's warm caches.
        for name in sorted(loops, reverse=bool(number % 2)):
            times[name].append(timed(loops[name], device, clock))
    return {name: seconds[warmup:] for name, seconds in times.items()}


def timed(step: Step, device: torch.device, clock: Clock = time.perf_counter) -> float:
    """Return the seconds that a step takes until the device is done with it."""
    started = clock()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - started


class NoFiles:
    """What is timed leaves nothing behind."""

    def write(self, folder: Path, run_name: str, *, step: int) -> None: ...

    def prove(self, scratch: Path) -> None: ...

    def places(self, run_name: str) -> tuple[Path, ...]:
        return ()


def _keeps_nothing() -> Keeping:
    return Keeping(Checkpoints(Path("nowhere"), 1), Results("bench", "raw", NoFiles()), {})
