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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from diffusers import WanTransformer3DModel

import loops
from flops import SIZES, known_peak_tflops, lora_step_flop
from loops import Step, take_turns, timed
from reeltune.contracts.batch import Batch
from reeltune.contracts.clip import Bucket
from reeltune.contracts.dimensions import Dimensions
from reeltune.families.opening import Opening
from reeltune.families.wan.family import FACTS, Wan, WanParts
from reeltune.families.wan.transformer import number_type

RANK = 16
DTYPE = torch.bfloat16
FITTING = 0.9
"""Share of the device's memory that both loops together may need to take turns."""
TERA = 10**12


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


def random_transformer(size: Dimensions, device: torch.device) -> WanTransformer3DModel:
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
    family = Wan(WanParts(nowhere, nowhere, nowhere, nowhere, nowhere), Opening(DTYPE))
    return loops.reeltune_step(family, random_transformer(SIZES[task.size], task.device), random_batch(task), rank=RANK)


def bare_step(task: Task) -> Step:
    """Return a step as one would write it by hand: PEFT's LoRA in float32, under autocast."""
    transformer = random_transformer(SIZES[task.size], task.device)
    return loops.bare_step(transformer, random_batch(task), rank=RANK, dtype=DTYPE)


LOOPS: dict[str, Callable[[Task], Step]] = {"bare": bare_step, "reeltune": reeltune_step}


# ---- How it is measured -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Alone:
    """One loop in a process of its own. Memory in bytes; on the CPU that of the process, and nothing reserved."""

    seconds: list[float]
    allocated: int
    reserved: int


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


def measure(task: Task, arguments: argparse.Namespace, words: Sequence[str]) -> tuple[dict[str, Alone], str]:
    """Measure both loops; also say in what order they ran."""
    # Memory first: a loop that was in this process would leave its own on the device.
    alone = {name: in_own_process(name, words, warmup=1, steps=1) for name in LOOPS}
    if _fit_together(task.device, alone):
        steps = {name: make(task) for name, make in LOOPS.items()}
        times = take_turns(steps, task.device, warmup=arguments.warmup, steps=arguments.steps)
        return {name: Alone(times[name], a.allocated, a.reserved) for name, a in alone.items()}, "in turn, step by step"
    longer = {name: in_own_process(name, words, warmup=arguments.warmup, steps=arguments.steps) for name in LOOPS}
    return longer, "one after the other"


def _fit_together(device: torch.device, alone: dict[str, Alone]) -> bool:
    if device.type == "cpu":
        return True
    total = torch.cuda.get_device_properties(device).total_memory
    return sum(loop.reserved for loop in alone.values()) < FITTING * total


# ---- What is reported ---------------------------------------------------------------------------------------------


def section(task: Task, measured: dict[str, Alone], *, order: str, peak: float | None, command: str) -> str:
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
        *(_row(name, task, loop, peak) for name, loop in measured.items()),
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


def _known_peak(device: torch.device) -> float | None:
    return known_peak_tflops(torch.cuda.get_device_name(device)) if device.type == "cuda" else None


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
    peak = arguments.peak_tflops or _known_peak(task.device)
    if peak is None and not arguments.tiny:
        print(f"The peak of {_hardware(task.device)} is not known; state it: --peak-tflops 209", file=sys.stderr)
        return 2
    if arguments.alone:
        alone = measure_alone(arguments.alone, task, warmup=arguments.warmup, steps=arguments.steps)
        print(json.dumps(asdict(alone)))
        return 0
    measured, order = measure(task, arguments, words)
    command = shlex.join(["python", "benchmarks/bench_wan.py", *words])
    text = section(task, measured, order=order, peak=peak, command=command)
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
