"""Forward and backward of each kind of adapter, ours beside the library's own, in turns in one process.

The transformer is Wan-shaped with random weights, 512 wide by default, with gradient checkpointing as in training. The
peer of LoRA and DoRA is PEFT through diffusers, of the others lycoris' own network on a stock copy; int8 has no peer of
its own and stands beside the unquantized base.

    python benchmarks/bench_adapters.py --write benchmarks/results/cpu-adapters.md
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import statistics
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from diffusers import WanTransformer3DModel
from peft import LoraConfig
from torch import nn

from loops import Step, take_turns
from reeltune.adapters.layers import layers_of
from reeltune.adapters.lora import attach_lora
from reeltune.adapters.lycoris import attach_lycoris
from reeltune.config.adapter import AdapterOptions
from reeltune.config.lycoris import lycoris_of
from reeltune.config.lycoris_choice import chosen_for_lycoris
from reeltune.families.wan.family import FACTS
from reeltune.quantize.apply import quantize_linears
from reeltune.quantize.rules import quantized_names

RANK = 16
TARGETS = list(FACTS.adapter_targets)
PRESET = {"target_module": ["WanAttention"]}
ALGORITHMS: dict[str, dict[str, Any]] = {
    "LoKr": {"algo": "lokr", "full_matrix": True, "linear_dim": RANK, "factor": 16},
    "LoHa": {"algo": "loha", "linear_dim": RANK},
    "diag-OFT": {"algo": "diag-oft", "linear_dim": RANK},
}

Attach = Callable[[WanTransformer3DModel], list[nn.Parameter]]


def ours(options: AdapterOptions) -> Attach:
    return lambda transformer: list(attach_lora(transformer, options, TARGETS, seed=0).trainable().values())


def pefts(*, use_dora: bool = False) -> Attach:
    def attach(transformer: WanTransformer3DModel) -> list[nn.Parameter]:
        transformer.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=TARGETS, use_dora=use_dora))
        return [parameter for parameter in transformer.parameters() if parameter.requires_grad]

    return attach


def our_lycoris(algorithm: str) -> Attach:
    def attach(transformer: WanTransformer3DModel) -> list[nn.Parameter]:
        config = lycoris_of({**ALGORITHMS[algorithm], "multiplier": 1.0, "linear_alpha": RANK, "apply_preset": PRESET})
        chosen = chosen_for_lycoris(layers_of(transformer), config, FACTS)
        return list(attach_lycoris(transformer, config, chosen, seed=0).trainable().values())

    return attach


def their_lycoris(algorithm: str) -> Attach:
    def attach(transformer: WanTransformer3DModel) -> list[nn.Parameter]:
        from lycoris import LycorisNetwork

        settings = dict(ALGORITHMS[algorithm])
        algo, dim = settings.pop("algo"), settings.pop("linear_dim")
        LycorisNetwork.apply_preset(PRESET)
        network = LycorisNetwork(transformer, lora_dim=dim, alpha=RANK, network_module=algo, **settings)
        network.apply_to()
        return list(network.parameters())

    return attach


def on_int8(attach: Attach) -> Attach:
    def quantized(transformer: WanTransformer3DModel) -> list[nn.Parameter]:
        quantize_linears(transformer, "int8-torchao", names=quantized_names(transformer, FACTS.blocks))
        return attach(transformer)

    return quantized


PAIRS: dict[str, tuple[Attach, Attach]] = {
    "LoRA": (ours(AdapterOptions(lora_rank=RANK)), pefts()),
    "DoRA": (ours(AdapterOptions(lora_rank=RANK, use_dora=True)), pefts(use_dora=True)),
    **{name: (our_lycoris(name), their_lycoris(name)) for name in ALGORITHMS},
    "LoRA on int8": (on_int8(ours(AdapterOptions(lora_rank=RANK))), pefts()),
}
"""By kind: ours, and what it is held against."""


def step_of(attach: Attach, *, width: int, blocks: int, frames: int, device: torch.device) -> Step:
    """Return forward and backward on one random clip. frames: of latents, each 16 by 24."""
    torch.manual_seed(0)
    heads = width // 64
    transformer = WanTransformer3DModel(
        num_attention_heads=heads, attention_head_dim=64, ffn_dim=4 * width, num_layers=blocks, text_dim=64
    )
    transformer.requires_grad_(False)
    transformer.to(device)  # pyright: ignore[reportArgumentType]
    parameters = attach(transformer)
    transformer.train()
    transformer.enable_gradient_checkpointing()
    latents, text = torch.randn(1, 16, frames, 16, 24, device=device), torch.randn(1, 64, 64, device=device)
    timestep = torch.tensor([500.0], device=device)

    def step() -> None:
        transformer(latents, timestep, text, return_dict=False)[0].square().mean().backward()
        for parameter in parameters:
            parameter.grad = None

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--steps", type=int, default=9)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--write", type=Path, help="file that the measurement is appended to")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    size = {"width": arguments.width, "blocks": arguments.blocks, "frames": arguments.frames, "device": device}
    rows = []
    for name, (own, peer) in PAIRS.items():
        times = take_turns(
            {"own": step_of(own, **size), "peer": step_of(peer, **size)}, device, warmup=2, steps=arguments.steps
        )
        ratios = [a / b for a, b in zip(times["own"], times["peer"], strict=True)]
        cells = [
            f"{statistics.median(times[who]):.3f} ({min(times[who]):.3f} to {max(times[who]):.3f})" for who in times
        ]
        rows.append(f"| {name} | {cells[0]} | {cells[1]} | {statistics.median(ratios):.2f} |")
        print(rows[-1], flush=True)
    report = section(arguments, rows)
    if arguments.write:
        with arguments.write.open("a", encoding="utf-8") as file:
            file.write(report)


def section(arguments: argparse.Namespace, rows: list[str]) -> str:
    """Return the measurement as a section of Markdown."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], text=True, capture_output=True, check=False).stdout
    lines = [
        f"## {arguments.width} wide, {arguments.blocks} blocks, {96 * arguments.frames} tokens, {arguments.device}",
        "",
        f"- {platform.machine()}, {torch.get_num_threads()} thread, torch {torch.__version__}",
        f"- commit {commit.strip()}, {datetime.now(UTC):%Y-%m-%d}",
        f"- `python {shlex.join(['benchmarks/bench_adapters.py', *sys.argv[1:]])}`",
        f"- forward and backward, {arguments.steps} of each in turn; float32, gradient checkpointing, rank {RANK}",
        "",
        "| kind | ours, s: median (min to max) | library, s | ours / library, median |",
        "|---|---|---|---|",
        *rows,
        "",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
