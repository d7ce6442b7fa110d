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
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from diffusers import WanTransformer3DModel

import loops
from loops import Step, take_turns
from reeltune.config.model import ModelOptions
from reeltune.contracts.batch import Batch
from reeltune.contracts.clip import Bucket
from reeltune.demo.model import make_model
from reeltune.families.opening import Opening
from reeltune.families.wan.family import open_model

RANK = 8


def main() -> None:
    arguments = parse()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        make_model(model, ["a white circle", "a white square"])
        if arguments.alone:
            measure_alone(arguments, model)
            return
        device = torch.device(arguments.device)
        steps = {name: make(model, device) for name, make in LOOPS.items()}
        times = take_turns(steps, device, warmup=arguments.warmup, steps=arguments.steps)
    report(arguments, times)


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
    family = open_model(ModelOptions(pretrained_model_name_or_path=str(model)), Opening(torch.float32))
    transformer = family.load_transformer(device)
    assert isinstance(transformer, WanTransformer3DModel)
    return loops.reeltune_step(family, transformer, example_batch(), rank=RANK)


def bare_loop(model: Path, device: torch.device) -> Step:
    """Return a step as one would write it by hand: nothing but what training needs."""
    transformer = WanTransformer3DModel.from_pretrained(model / "transformer").requires_grad_(False)
    torch.nn.Module.to(transformer, device)
    return loops.bare_step(transformer, example_batch(), rank=RANK, dtype=torch.float32)


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
