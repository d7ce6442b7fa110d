"""Steps with token routing beside the plain step, in turns in one process, and beside the time that is predicted.

The prediction is `reeltune.estimate`'s, from operations, with this machine's own rates: attention's, measured by itself
in the same turns at full length; and that of all the rest, which grows with the tokens, from what the plain step takes
besides attention. No routed step goes into it. The transformer is Wan-shaped with random weights, float32, with
gradient checkpointing and a LoRA. On a machine that others use too, `--clock cpu` counts this process's own seconds.

    python benchmarks/bench_tread.py --write benchmarks/results/cpu-tread.md
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from diffusers import WanTransformer3DModel
from torch.nn.functional import scaled_dot_product_attention

import loops
from loops import Step, take_turns
from reeltune.config.routing import Route, TreadConfig
from reeltune.contracts.batch import Batch, KeptTokens
from reeltune.contracts.clip import Bucket
from reeltune.contracts.dimensions import Dimensions
from reeltune.estimate.flops import Operations, attention_forward, step_operations
from reeltune.estimate.gpus import GpuSpeed
from reeltune.estimate.time import lower_bound_s
from reeltune.families.opening import Opening
from reeltune.families.wan.family import FACTS, Wan, WanParts
from reeltune.objective.flow import ChooseTokens
from reeltune.randomness import Draws
from reeltune.routing.choose import choose_tokens
from reeltune.routing.plan import Segment, resolve, tokens_per_block

RANK = 8


def routes(*given: tuple[float, int, int]) -> TreadConfig:
    """given: the share that is dropped, first and last block."""
    return TreadConfig(
        routes=tuple(Route(selection_ratio=r, start_layer_idx=first, end_layer_idx=last) for r, first, last in given)
    )


CONFIGURATIONS = {
    "0.1 over 2 to -2": routes((0.1, 2, -2)),
    "0.1, 0.25, 0.35, 0.25, 0.1": routes((0.1, 2, 8), (0.25, 9, 11), (0.35, 12, 15), (0.25, 16, 23), (0.1, 24, -2)),
    "0.5 over 1 to -2": routes((0.5, 1, -2)),
}
"""The two of SimpleTuner's quickstart, and one for speed."""

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}

PLAIN, FORWARD, BOTH = "plain", "attention, forward", "attention, forward and backward"


def model_of(size: Dimensions) -> WanTransformer3DModel:
    torch.manual_seed(0)
    transformer = WanTransformer3DModel(
        num_attention_heads=size.heads,
        attention_head_dim=size.head_width,
        text_dim=size.text_width,
        ffn_dim=size.ffn,
        num_layers=size.layers,
    )
    transformer.requires_grad_(False)
    transformer.enable_gradient_checkpointing()
    return transformer


def step_of(size: Dimensions, bucket: Bucket, segments: tuple[Segment, ...]) -> Step:
    """Return a step of the real loop on one random clip."""
    shape = FACTS.geometry.latent_shape(frames=bucket.frames, height=bucket.height, width=bucket.width)
    batch = Batch(torch.randn(1, *shape), torch.randn(1, FACTS.text_length, size.text_width), ("clip",), bucket)
    nowhere = Path("nowhere")
    family = Wan(WanParts(nowhere, nowhere, nowhere, nowhere, nowhere), Opening(torch.float32))
    return loops.reeltune_step(family, model_of(size), batch, rank=RANK, choose=choosing(segments))


def choosing(segments: tuple[Segment, ...]) -> ChooseTokens:
    draws = Draws(0)

    def choose(batch: Batch, *, step: int, first_index: int) -> tuple[KeptTokens, ...]:
        tokens = FACTS.geometry.tokens_of(batch.bucket)
        return choose_tokens(
            draws, step=step, first_index=first_index, batch_size=batch.size, tokens=tokens, segments=segments
        )

    return choose


def attention_of(size: Dimensions, tokens: int, *, backward: bool) -> Step:
    """Return one block's self- and cross-attention by themselves."""

    def heads(length: int) -> torch.Tensor:
        return torch.randn(1, length, size.heads, size.head_width).transpose(1, 2).requires_grad_(backward)

    query, pairs = heads(tokens), [[heads(length) for _ in range(2)] for length in (tokens, size.text_tokens)]

    def step() -> None:
        out = [scaled_dot_product_attention(query, key, value) for key, value in pairs]
        if backward:
            torch.autograd.backward(out, [torch.ones_like(part) for part in out])

    return step


def rates(size: Dimensions, tokens: int, times: dict[str, list[float]]) -> GpuSpeed:
    """Return this machine's rates, so that the plain step's prediction is what was measured."""
    forward, both, plain = (statistics.median(times[name]) for name in (FORWARD, BOTH, PLAIN))
    operations = step_operations(size, tokens)
    one_forward = attention_forward(size, tokens) / size.layers
    attention = Operations(0, operations.attention_forward, operations.attention_backward)
    known = GpuSpeed("CPU", 0.0, 1.0, one_forward / forward, 2.5 * one_forward / (both - forward))
    rest = operations.linear / (plain - lower_bound_s(attention, known))
    return GpuSpeed("CPU", 0.0, rest, known.attention_forward, known.attention_backward)


def main() -> None:
    arguments = parse()
    size = Dimensions(
        layers=30, heads=arguments.heads, head_width=arguments.head_width, ffn=arguments.ffn, text_width=64
    )
    bucket = Bucket(arguments.side, arguments.side, arguments.frames)
    tokens = FACTS.geometry.tokens_of(bucket)
    segments = {name: resolve(config, size.layers) for name, config in CONFIGURATIONS.items()}
    steps = {PLAIN: step_of(size, bucket, ())}
    steps |= {name: step_of(size, bucket, those) for name, those in segments.items()}
    steps |= {FORWARD: attention_of(size, tokens, backward=False), BOTH: attention_of(size, tokens, backward=True)}
    clock = CLOCKS[arguments.clock]
    times = take_turns(steps, torch.device("cpu"), warmup=1, steps=arguments.steps, clock=clock)
    speed = rates(size, tokens, times)
    plain = lower_bound_s(step_operations(size, tokens), speed)
    rows = []
    for name, those in segments.items():
        by_block = tokens_per_block(those, size.layers, tokens)
        predicted = lower_bound_s(step_operations(size, by_block), speed) / plain
        ratios = [routed / whole for routed, whole in zip(times[name], times[PLAIN], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        rows.append(
            f"| {name} | {statistics.median(times[name]):.2f} | {middle:.3f} ({low:.3f} to {high:.3f}) | "
            f"{predicted:.3f} | {100 * (middle / predicted - 1):+.1f} % | {1 / middle:.2f}x |"
        )
    report = section(size, tokens, times, rows=rows, speed=speed)
    print(report)
    if arguments.write:
        arguments.write.parent.mkdir(parents=True, exist_ok=True)
        with arguments.write.open("a", encoding="utf-8") as file:
            file.write(report + "\n")


def section(size: Dimensions, tokens: int, times: dict[str, list[float]], *, rows: list[str], speed: GpuSpeed) -> str:
    """Return the measurement as a section of Markdown."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], text=True, capture_output=True, check=False).stdout
    giga = [f"{rate / 1e9:.1f}" for rate in (speed.linear, speed.attention_forward, speed.attention_backward)]
    lines = [
        f"## {tokens:,} tokens, {size.layers} blocks, {size.width} wide",
        "",
        f"- {platform.machine()}, {torch.get_num_threads()} thread, torch {torch.__version__}",
        f"- commit {commit.strip()}, {datetime.now(UTC):%Y-%m-%d}",
        f"- `python {shlex.join(['benchmarks/bench_tread.py', *sys.argv[1:]])}`",
        f"- a plain step: {statistics.median(times[PLAIN]):.2f} s, median of {len(times[PLAIN])}",
        f"- GFLOP/s: attention forward {giga[1]}, backward {giga[2]}; all the rest, by its linear layers, {giga[0]}",
        "",
        "| dropped | s a step | of the plain step: median (quartiles) | predicted | off by | faster |",
        "|---|---|---|---|---|---|",
        *rows,
    ]
    return "\n".join(lines) + "\n"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heads", type=int, default=2)
    parser.add_argument("--head-width", type=int, default=64)
    parser.add_argument("--ffn", type=int, default=768)
    parser.add_argument("--side", type=int, default=256, help="pixels")
    parser.add_argument("--frames", type=int, default=61)
    parser.add_argument("--steps", type=int, default=5, help="turns that are counted")
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="wall")
    parser.add_argument("--write", type=Path, help="file that the measurement is appended to")
    return parser.parse_args()


if __name__ == "__main__":
    main()
