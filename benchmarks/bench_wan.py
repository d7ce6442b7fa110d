"""One LoRA step of reeltune's loop at the real sizes of Wan 2.1, beside a bare hand-written loop.

The transformers have random weights and are made on the device; no file is read. Both loops train a LoRA of rank 16 on
the attention layers of a bfloat16 base with gradient checkpointing and fused AdamW, on the same batch. Peak memory is
that of two further processes, one for each loop. When both fit on the device together they take turns, step by step;
else one runs after the other.

    python benchmarks/bench_wan.py --size 1.3B --write benchmarks/results/h100.md
    python benchmarks/bench_wan.py --tiny
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from diffusers import WanTransformer3DModel
from peft import LoraConfig
from torch.nn.utils import clip_grad_value_

from reeltune.adapters.lora import attach_lora
from reeltune.config.adapter import AdapterOptions
from reeltune.contracts.batch import Batch
from reeltune.contracts.clip import Bucket
from reeltune.families.wan.family import FACTS, Wan, WanParts
from reeltune.families.wan.transformer import number_type
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

RANK, LIMIT, RATE = 16, 0.01, 1e-4
DTYPE = torch.bfloat16
FITTING = 0.9
"""Share of the device's memory that both loops together may need to take turns."""
PEAK_TFLOPS = {"H100 80GB HBM3": 989.0, "H200": 989.0, "A100": 312.0, "RTX 4090": 165.0}
"""Dense bfloat16 with float32 sums, by part of the GPU's name. Source: NVIDIA's data sheets."""
TERA = 10**12

Step = Callable[[], None]


# ---- How much work a step is --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Size:
    """The dimensions of a Wan transformer. text_width: of the text encoder's embeddings."""

    heads: int
    head_width: int
    layers: int
    ffn: int
    text_width: int = 4096
    time_width: int = 256

    @property
    def width(self) -> int:
        return self.heads * self.head_width


SIZES = {
    "1.3B": Size(heads=12, head_width=128, layers=30, ffn=8960),
    "14B": Size(heads=40, head_width=128, layers=40, ffn=13824),
    "tiny": Size(heads=4, head_width=16, layers=2, ffn=128, text_width=32),
}


def linear_forward_flop(size: Size, *, tokens: int, text_tokens: int = FACTS.text_length) -> int:
    """Return the operations of the blocks' linear layers for one sample, a multiplication and its addition being two.

    Per token: q, k, v, o of the self-attention and q, o of the cross-attention, 2 d^2 each; the feed-forward, 4 d f.
    Per text token: k, v of the cross-attention. Left out: patches, text and time embeddings, modulation and the head,
    together a thousandth at real shapes.
    """
    d, f = size.width, size.ffn
    return size.layers * (tokens * (12 * d**2 + 4 * d * f) + text_tokens * 4 * d**2)


def attention_forward_flop(size: Size, *, tokens: int, text_tokens: int = FACTS.text_length) -> int:
    """Return the operations of the blocks' self- and cross-attention for one sample.

    Scores and values, 2 N M d each, for N queries and M keys; the softmax is left out.
    """
    return size.layers * 4 * tokens * (tokens + text_tokens) * size.width


def lora_step_flop(size: Size, *, tokens: int, text_tokens: int = FACTS.text_length) -> int:
    """Return the operations of forward and backward for one sample: what the model needs, not what is recomputed.

    Linear layers twice, for a frozen weight needs no gradient of its own; attention three times. The adapter, one or
    two percent of the linear layers, is left out.
    Source of counting without recomputation: Chowdhery et al. 2022, arXiv:2204.02311, appendix B.
    """
    linear = linear_forward_flop(size, tokens=tokens, text_tokens=text_tokens)
    return 2 * linear + 3 * attention_forward_flop(size, tokens=tokens, text_tokens=text_tokens)


def known_peak_tflops(gpu: str) -> float | None:
    """Return the peak of a GPU by its name, None for one that is not in the table."""
    return next((peak for part, peak in PEAK_TFLOPS.items() if part in gpu), None)


# ---- What is run --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """What one step trains on."""

    size: str
    bucket: Bucket
    batch_size: int
    device: torch.device

    @property
    def tokens(self) -> int:
        """Video tokens of one sample."""
        bucket = self.bucket
        return FACTS.geometry.tokens(frames=bucket.frames, height=bucket.height, width=bucket.width)

    @property
    def tflop(self) -> float:
        """What the model needs for one step, in TFLOP."""
        return self.batch_size * lora_step_flop(SIZES[self.size], tokens=self.tokens) / TERA


def random_batch(task: Task) -> Batch:
    """Return random latents and texts of full length, on the host as the loop reads them."""
    generator = torch.Generator().manual_seed(0)
    bucket, count = task.bucket, task.batch_size
    shape = FACTS.geometry.latent_shape(frames=bucket.frames, height=bucket.height, width=bucket.width)
    text_width = SIZES[task.size].text_width
    return Batch(
        latents=torch.randn(count, *shape, generator=generator),
        text=torch.randn(count, FACTS.text_length, text_width, generator=generator),
        ids=tuple(str(index) for index in range(count)),
        bucket=bucket,
    )


def random_transformer(size: Size, device: torch.device) -> WanTransformer3DModel:
    """Make a frozen transformer on the device, in the number types in which a bfloat16 base is loaded."""
    torch.manual_seed(0)
    with torch.device(device), _default_dtype(DTYPE):
        transformer = WanTransformer3DModel(
            num_attention_heads=size.heads,
            attention_head_dim=size.head_width,
            text_dim=size.text_width,
            freq_dim=size.time_width,
            ffn_dim=size.ffn,
            num_layers=size.layers,
        )
    for name, parameter in transformer.named_parameters():
        parameter.data = parameter.data.to(number_type(name, DTYPE))
    transformer.requires_grad_(False).train()
    transformer.enable_gradient_checkpointing()
    return transformer


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def reeltune_step(task: Task) -> Step:
    """Return a step of the real loop."""
    nowhere = Path("nowhere")
    transformer = random_transformer(SIZES[task.size], task.device)
    lora = attach_lora(transformer, AdapterOptions(lora_rank=RANK), FACTS.adapter_targets, seed=0)
    optimizer = build_optimizer("torch-adamw", list(lora.trainable().values()), learning_rate=RATE)
    draws = Draws(0)
    loop = Loop(
        pace=Pace(10**6, batch_size=task.batch_size, accumulation=1, checkpoint=Every(0), render=Every(0)),
        family=Wan(WanParts(nowhere, nowhere, nowhere, nowhere, nowhere), DTYPE),
        transformer=transformer,
        state=TrainState(lora, optimizer, None),
        objective=FlowMatching(draws),
        read_batches=lambda start, end: (_ for _ in ()),
        schedule=Schedule("constant", peak=RATE, end=0.0, warmup=0, total=10**6),
        clip=clipping("value", LIMIT),
        draws=draws,
        keeping=Keeping(
            Checkpoints(nowhere, 1), Results("bench", "raw", lambda path, tensors: None, lambda path, tensors: None), {}
        ),
        renders=None,
        device=task.device,
        audience=Audience([]),
    )
    batch = random_batch(task)

    def step() -> None:
        started = time.monotonic()
        loop.report(loop.train_step([batch]), started=started, fetched=started)

    return step


def bare_step(task: Task) -> Step:
    """Return a step as one would write it by hand: PEFT's LoRA in float32, under autocast."""
    transformer = random_transformer(SIZES[task.size], task.device)
    transformer.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=list(FACTS.adapter_targets)))
    parameters = [parameter for parameter in transformer.parameters() if parameter.requires_grad]
    for parameter in parameters:
        parameter.data = parameter.data.float()
    optimizer = torch.optim.AdamW(parameters, lr=RATE, fused=True)
    batch = random_batch(task)

    def step() -> None:
        latents, text = batch.latents.to(task.device), batch.text.to(task.device)
        noise = torch.randn_like(latents)
        sigma = torch.sigmoid(torch.randn(len(latents), device=task.device))
        level = sigma.view(-1, 1, 1, 1, 1)
        noisy = ((1 - level) * latents + level * noise).to(DTYPE)
        with torch.autocast(task.device.type, DTYPE):
            velocity = transformer(noisy, 1000 * sigma, text.to(DTYPE), return_dict=False)[0]
        loss = torch.nn.functional.mse_loss(velocity.float(), noise - latents)
        loss.backward()
        clip_grad_value_(parameters, LIMIT)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()

    return step


LOOPS: dict[str, Callable[[Task], Step]] = {"bare": bare_step, "reeltune": reeltune_step}


# ---- How it is measured -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Alone:
    """One loop in a process of its own. Memory in bytes; on the CPU that of the process, and nothing reserved."""

    seconds: list[float]
    allocated: int
    reserved: int


def timed(step: Step, device: torch.device) -> float:
    """Return the seconds that a step takes until the device is done with it."""
    started = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def measure_alone(name: str, task: Task, *, warmup: int, steps: int) -> Alone:
    """Run one loop in this process."""
    step = LOOPS[name](task)
    seconds = [timed(step, task.device) for _ in range(warmup + steps)][warmup:]
    if task.device.type == "cuda":
        return Alone(seconds, torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved())
    return Alone(seconds, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0)


def in_own_process(name: str, words: Sequence[str], *, warmup: int, steps: int) -> Alone:
    """Run one loop in a process of its own, with the same words on its command line."""
    extra = ["--alone", name, "--warmup", str(warmup), "--steps", str(steps)]
    output = subprocess.run(
        [sys.executable, __file__, *words, *extra], check=True, text=True, stdout=subprocess.PIPE
    ).stdout
    return Alone(**json.loads(output.splitlines()[-1]))


def interleaved(task: Task, *, warmup: int, steps: int) -> dict[str, list[float]]:
    """Return the seconds of each step of both loops, taken in turn."""
    loops = {name: make(task) for name, make in LOOPS.items()}
    times: dict[str, list[float]] = {name: [] for name in loops}
    for number in range(warmup + steps):
        # Who goes first changes, so that neither profits from the other's warm caches.
        for name in sorted(loops, reverse=bool(number % 2)):
            times[name].append(timed(loops[name], task.device))
    return {name: seconds[warmup:] for name, seconds in times.items()}


def measure(task: Task, arguments: argparse.Namespace, words: Sequence[str]) -> tuple[dict[str, Alone], str]:
    """Measure both loops; also say in what order they ran."""
    # Memory first: a loop that was in this process would leave its own on the device.
    alone = {name: in_own_process(name, words, warmup=1, steps=1) for name in LOOPS}
    if _fit_together(task.device, alone):
        times = interleaved(task, warmup=arguments.warmup, steps=arguments.steps)
        return {name: Alone(times[name], a.allocated, a.reserved) for name, a in alone.items()}, "in turn, step by step"
    longer = {name: in_own_process(name, words, warmup=arguments.warmup, steps=arguments.steps) for name in LOOPS}
    return longer, "one after the other"


def _fit_together(device: torch.device, alone: dict[str, Alone]) -> bool:
    if device.type == "cpu":
        return True
    total = torch.cuda.get_device_properties(device).total_memory
    return sum(loop.reserved for loop in alone.values()) < FITTING * total


# ---- What is reported ---------------------------------------------------------------------------------------------


def section(task: Task, loops: dict[str, Alone], *, order: str, peak: float | None, command: str) -> str:
    """Return the measurement as a section of Markdown. peak: of the device in TFLOP/s, for the utilisation."""
    bucket = task.bucket
    lines = [
        f"## {task.size} LoRA, {bucket.width}x{bucket.height}x{bucket.frames}, batch {task.batch_size}",
        "",
        f"- {_hardware(task.device)}, torch {torch.__version__}, CUDA {torch.version.cuda or 'none'}",
        f"- commit {_commit()}, {datetime.now(UTC):%Y-%m-%d}",
        f"- `{command}`",
        f"- {task.tokens:,} tokens a sample; {task.tflop:,.4g} TFLOP of the model a step (recomputation not counted)",
        f"- MFU against {f'{peak:g} TFLOP/s, dense bfloat16' if peak else 'nothing: no peak was given'}",
        f"- the loops ran {order}; peak memory is of one loop alone",
        "",
        "| loop | s/step, median (min to max) | steps | tokens/s | TFLOP/s | MFU | peak allocated | peak reserved |",
        "|---|---|---|---|---|---|---|---|",
        *(_row(name, task, loop, peak) for name, loop in loops.items()),
        "",
    ]
    return "\n".join(lines)


def _row(name: str, task: Task, loop: Alone, peak: float | None) -> str:
    median = statistics.median(loop.seconds)
    cells = [
        name,
        f"{median:.4g} ({min(loop.seconds):.4g} to {max(loop.seconds):.4g})",
        str(len(loop.seconds)),
        f"{task.batch_size * task.tokens / median:,.0f}",
        f"{task.tflop / median:.4g}",
        f"{task.tflop / median / peak:.1%}" if peak else "-",
        f"{loop.allocated / 1e9:.2f} GB",
        f"{loop.reserved / 1e9:.2f} GB" if loop.reserved else "-",
    ]
    return f"| {' | '.join(cells)} |"


def _hardware(device: torch.device) -> str:
    if device.type == "cpu":
        return f"CPU ({platform.processor() or platform.machine()}, {torch.get_num_threads()} thread)"
    properties = torch.cuda.get_device_properties(device)
    return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"


def _commit() -> str:
    """Return the commit, with a mark when files differ from it, or `unknown` outside a checkout."""
    here = Path(__file__).parent
    try:
        commit, changes = (
            subprocess.run(["git", *words], cwd=here, check=True, text=True, capture_output=True).stdout.strip()
            for words in (["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit} with changes" if changes else commit


# ---- The command --------------------------------------------------------------------------------------------------


def main(words: Sequence[str]) -> int:
    """Run the benchmark, or one loop of it. Returns the exit status."""
    arguments = parse(words)
    if not arguments.tiny and not torch.cuda.is_available():
        print("bench_wan.py needs a CUDA GPU; --tiny runs the same code on the CPU, as a test.", file=sys.stderr)
        return 2
    task = task_of(arguments)
    peak = arguments.peak_tflops or (known_peak_tflops(_hardware(task.device)) if task.device.type == "cuda" else None)
    if peak is None and not arguments.tiny:
        print(f"The peak of {_hardware(task.device)} is not known; state it: --peak-tflops 209", file=sys.stderr)
        return 2
    if arguments.alone:
        alone = measure_alone(arguments.alone, task, warmup=arguments.warmup, steps=arguments.steps)
        print(json.dumps(asdict(alone)))
        return 0
    loops, order = measure(task, arguments, words)
    command = shlex.join(["python", "benchmarks/bench_wan.py", *words])
    text = section(task, loops, order=order, peak=peak, command=command)
    print(text)
    if arguments.write:
        append(arguments.write, text)
    return 0


def task_of(arguments: argparse.Namespace) -> Task:
    if arguments.tiny:
        return Task("tiny", Bucket(96, 64, 17), arguments.batch_size, torch.device("cpu"))
    bucket = Bucket(arguments.width, arguments.height, arguments.frames)
    return Task(arguments.size, bucket, arguments.batch_size, torch.device("cuda", torch.cuda.current_device()))


def append(path: Path, text: str) -> None:
    """Add a section at the end of a file, which is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{text}\n")


def parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", choices=[name for name in SIZES if name != "tiny"], default="1.3B")
    parser.add_argument("--width", type=int, default=832, help="pixels, a multiple of 16")
    parser.add_argument("--height", type=int, default=480, help="pixels, a multiple of 16")
    parser.add_argument("--frames", type=int, default=81, help="of the form 4k + 1")
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--steps", type=int, default=10, help="counted steps of each loop")
    parser.add_argument("--warmup", type=int, default=3, help="steps of each loop before that")
    parser.add_argument("--peak-tflops", type=float, help="dense bfloat16 peak of the GPU, if it is not a known one")
    parser.add_argument("--write", type=Path, metavar="FILE", help="also add the report to this file")
    parser.add_argument("--tiny", action="store_true", help="a tiny model and clip on the CPU, to test this program")
    parser.add_argument("--alone", choices=sorted(LOOPS), help=argparse.SUPPRESS)
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
