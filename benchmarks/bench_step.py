"""One training step of reeltune's loop beside a bare hand-written loop of torch, diffusers and peft.

Both train the same tiny Wan on the same batch with the same optimizer and clipping, in turn, step by step, in one
process, so that a busy machine slows both alike. Peak memory is that of two further processes, one for each.

    python benchmarks/bench_step.py [--steps 60] [--device cuda]
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from diffusers import WanTransformer3DModel
from peft import LoraConfig
from torch.nn.utils import clip_grad_value_

from reeltune.adapters.lora import attach_lora
from reeltune.config.adapter import AdapterOptions
from reeltune.config.model import ModelOptions
from reeltune.contracts.batch import Batch
from reeltune.contracts.clip import Bucket
from reeltune.demo.model import make_model
from reeltune.families.wan.family import FACTS, open_model
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

RANK, LIMIT, RATE = 8, 0.01, 1e-4
Step = Callable[[], None]


def main() -> None:
    arguments = parse()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        make_model(model, ["a white circle", "a white square"])
        if arguments.alone:
            measure_alone(arguments, model)
            return
        times = interleaved(arguments, model)
    report(arguments, times)


def interleaved(arguments: argparse.Namespace, model: Path) -> dict[str, list[float]]:
    """Return the seconds of each step of both loops, taken in turn."""
    device = torch.device(arguments.device)
    steps = {name: make(model, device) for name, make in LOOPS.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(arguments.warmup + arguments.steps):
        # Who goes first changes, so that neither profits from the other's warm caches.
        for name in sorted(steps, reverse=bool(number % 2)):
            started = time.perf_counter()
            steps[name]()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if number >= arguments.warmup:
                times[name].append(time.perf_counter() - started)
    return times


def measure_alone(arguments: argparse.Namespace, model: Path) -> None:
    """Run one loop in this process and print its peak memory in MB."""
    device = torch.device(arguments.device)
    step = LOOPS[arguments.alone](model, device)
    for _ in range(10):
        step()
    on_device = torch.cuda.max_memory_allocated() if device.type == "cuda" else 0
    print((on_device or 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / 1e6)


def report(arguments: argparse.Namespace, times: dict[str, list[float]]) -> None:
    ratios = [ours / bare for ours, bare in zip(times["reeltune"], times["bare"], strict=True)]
    print(f"{platform.processor() or platform.machine()}, {arguments.device}, torch {torch.__version__}")
    for name, seconds in times.items():
        peak = subprocess.run(
            [sys.executable, __file__, "--alone", name, "--device", arguments.device],
            check=True,
            text=True,
            capture_output=True,
        ).stdout.strip()
        print(f"{name:>9}: median {1000 * statistics.median(seconds):6.1f} ms a step, peak memory {float(peak):.0f} MB")
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(
        f"    ratio: median {statistics.median(ratios):.3f} of {len(ratios)} pairs (quartiles {low:.3f} to {high:.3f})"
    )


def reeltune_loop(model: Path, device: torch.device) -> Step:
    """Return a step of the real loop."""
    family = open_model(ModelOptions(pretrained_model_name_or_path=str(model)), torch.float32)
    transformer = family.load_transformer(device)
    lora = attach_lora(transformer.train(), AdapterOptions(lora_rank=RANK), FACTS.adapter_targets, seed=0)
    optimizer = build_optimizer("torch-adamw", list(lora.trainable().values()), learning_rate=RATE)
    draws = Draws(0)
    loop = Loop(
        pace=Pace(10**6, batch_size=2, accumulation=1, checkpoint=Every(0), render=Every(0)),
        family=family,
        transformer=transformer,
        state=TrainState(lora, optimizer, None),
        objective=FlowMatching(draws),
        read_batches=lambda start, end: (_ for _ in ()),
        schedule=Schedule("constant", peak=RATE, end=0.0, warmup=0, total=10**6),
        clip=clipping("value", LIMIT),
        draws=draws,
        keeping=Keeping(
            Checkpoints(Path("nowhere"), 1),
            Results("bench", "raw", lambda path, tensors: None, lambda path, tensors: None),
            {},
        ),
        renders=None,
        device=device,
        audience=Audience([]),
    )
    batch = example_batch()

    def step() -> None:
        started = time.monotonic()
        loop.report(loop.train_step([batch]), started=started, fetched=started)

    return step


def bare_loop(model: Path, device: torch.device) -> Step:
    """Return a step as one would write it by hand: nothing but what training needs."""
    transformer = WanTransformer3DModel.from_pretrained(model / "transformer").requires_grad_(False)
    torch.nn.Module.to(transformer, device)
    transformer.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=list(FACTS.adapter_targets)))
    transformer.train()
    parameters = [parameter for parameter in transformer.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, fused=True)
    batch = example_batch()
    text = torch.zeros(batch.size, 512, batch.text.shape[2])
    text[:, : batch.text.shape[1]] = batch.text

    def step() -> None:
        latents, prompt = batch.latents.to(device), text.to(device)
        noise = torch.randn_like(latents)
        sigma = torch.sigmoid(torch.randn(len(latents), device=device))
        level = sigma.view(-1, 1, 1, 1, 1)
        velocity = transformer((1 - level) * latents + level * noise, 1000 * sigma, prompt, return_dict=False)[0]
        loss = torch.nn.functional.mse_loss(velocity.float(), noise - latents)
        loss.backward()
        clip_grad_value_(parameters, LIMIT)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()

    return step


LOOPS: dict[str, Callable[[Path, torch.device], Step]] = {"bare": bare_loop, "reeltune": reeltune_loop}


def example_batch() -> Batch:
    """Return two clips of 17 frames of 128x96 pixels: 240 tokens each."""
    generator = torch.Generator().manual_seed(0)
    return Batch(
        latents=torch.randn(2, 16, 5, 12, 16, generator=generator),
        text=torch.randn(2, 20, 32, generator=generator),
        ids=("a", "b"),
        bucket=Bucket(128, 96, 17),
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=60, help="counted pairs of steps")
    parser.add_argument("--warmup", type=int, default=10, help="pairs of steps before that")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--alone", choices=sorted(LOOPS), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
