"""The benchmarks run, and count what they say they count."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel

import bench_tread
import bench_wan
import flops
from reeltune.contracts.clip import Bucket
from reeltune.contracts.dimensions import Dimensions
from reeltune.estimate.flops import step_operations
from reeltune.estimate.time import lower_bound_s

ROOT = Path(__file__).parents[2]


def run_benchmark(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "benchmarks" / name, *words],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        text=True,
        capture_output=True,
        timeout=240,
        check=False,
    )


def test_a_step_is_counted_as_two_linear_and_three_attention_forwards() -> None:
    # 2 * 82.07 + 3 * 200.91 and 2 * 785.4 + 3 * 892.9, in TFLOP.
    assert flops.lora_step_flop(flops.SIZES["1.3B"], tokens=32_760) / 1e12 == pytest.approx(766.9, rel=1e-3)
    assert flops.lora_step_flop(flops.SIZES["14B"], tokens=32_760) / 1e12 == pytest.approx(4249, rel=1e-3)


def test_the_peak_is_found_by_the_name_of_the_gpu() -> None:
    assert flops.known_peak_tflops("NVIDIA H100 80GB HBM3") == 989
    assert flops.known_peak_tflops("NVIDIA A100-SXM4-80GB") == 312
    assert flops.known_peak_tflops("NVIDIA GeForce RTX 4090") == 165
    # The slower H100 has another name and another peak; what is not known is asked for rather than flattered.
    assert flops.known_peak_tflops("NVIDIA H100 PCIe") == 756
    assert flops.known_peak_tflops("NVIDIA GeForce RTX 4090 Laptop GPU") is None


def test_the_random_base_has_the_number_types_and_tables_of_a_loaded_one(tmp_path: Path) -> None:
    made = bench_wan.random_transformer(flops.SIZES["tiny"], torch.device("cpu"))
    made.save_pretrained(tmp_path)
    loaded = WanTransformer3DModel.from_pretrained(tmp_path, dtype=torch.bfloat16)
    for own, stock in (
        (made.named_parameters(), loaded.named_parameters()),
        (made.named_buffers(), loaded.named_buffers()),
    ):
        own, stock = dict(own), dict(stock)
        assert {name: tensor.dtype for name, tensor in own.items()} == {n: t.dtype for n, t in stock.items()}
        assert all(torch.equal(own[name], stock[name]) for name in stock)
    assert torch.get_default_dtype() == torch.float32


def test_both_loops_train_the_same_tensors_at_finite_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = []
    original = torch.optim.AdamW.step

    def counting(self: torch.optim.AdamW, *args: object) -> None:
        parameters = self.param_groups[0]["params"]
        assert all(math.isfinite(p.grad.norm().item()) for p in parameters)
        trained.append((len(parameters), sum(p.numel() for p in parameters), {p.dtype for p in parameters}))
        original(self)

    monkeypatch.setattr(torch.optim.AdamW, "step", counting)
    task = bench_wan.Task("tiny", Bucket(96, 64, 17), 1, torch.device("cpu"))
    for make in (bench_wan.reeltune_step, bench_wan.bare_step):
        make(task)()
    assert len(trained) == 2
    assert trained[0] == trained[1]
    assert trained[0][2] == {torch.float32}


@pytest.mark.slow
def test_the_benchmark_of_real_sizes_writes_its_report(tmp_path: Path) -> None:
    report = tmp_path / "results/tiny.md"
    words = ("--tiny", "--steps", "2", "--warmup", "1", "--peak-tflops", "0.5", "--write", str(report))
    outcome = run_benchmark("bench_wan.py", *words)
    assert outcome.returncode == 0, outcome.stderr
    text = report.read_text(encoding="utf-8")
    assert text.strip() == outcome.stdout.strip()
    assert text.startswith("## tiny LoRA, 96x64x17, batch 1\n")
    for part in (torch.__version__, "- commit ", "python benchmarks/bench_wan.py --tiny", "MFU against 0.5 TFLOP/s"):
        assert part in text
    assert "120 tokens a sample" in text
    assert [line.split()[1] for line in text.splitlines() if line.startswith("| ")] == ["loop", "bare", "reeltune"]


def test_without_a_gpu_it_says_what_it_needs_in_one_sentence() -> None:
    outcome = run_benchmark("bench_wan.py")
    assert outcome.returncode == 2
    # Libraries may have had something to say when they were imported.
    said = outcome.stderr.splitlines()[-1]
    assert said == "bench_wan.py needs a CUDA GPU; --tiny runs the same code on the CPU, as a test."


@pytest.mark.slow
def test_the_benchmark_of_the_data_path_measures_every_part() -> None:
    outcome = run_benchmark("bench_data.py", "--tiny")
    assert outcome.returncode == 0, outcome.stderr
    parts = [line.removeprefix("### ") for line in outcome.stdout.splitlines() if line.startswith("### ")]
    assert parts == ["inspect", "decode", "fill", "start", "batches"]
    assert "rate of the fill against encoding alone: median" in outcome.stdout


@pytest.mark.slow
def test_the_benchmark_of_the_loop_itself_runs() -> None:
    outcome = run_benchmark("bench_step.py", "--steps", "2", "--warmup", "1")
    assert outcome.returncode == 0, outcome.stderr
    assert "ratio: median" in outcome.stdout


@pytest.mark.slow
def test_the_benchmark_of_token_routing_measures_and_predicts_every_configuration(tmp_path: Path) -> None:
    report = tmp_path / "tiny.md"
    words = ("--heads", "1", "--head-width", "16", "--ffn", "32", "--side", "64", "--frames", "5", "--steps", "2")
    outcome = run_benchmark("bench_tread.py", *words, "--write", str(report))
    assert outcome.returncode == 0, outcome.stderr
    rows = [line for line in report.read_text(encoding="utf-8").splitlines() if line.endswith("x |")]
    assert [row.split("|")[1].strip() for row in rows] == list(bench_tread.CONFIGURATIONS)


def test_rates_of_a_machine_give_back_its_plain_step() -> None:
    size = Dimensions(layers=30, heads=2, head_width=64, ffn=768, text_width=64)
    times = {bench_tread.PLAIN: [9.0, 10, 11], bench_tread.FORWARD: [0.02] * 3, bench_tread.BOTH: [0.07] * 3}
    speed = bench_tread.rates(size, 4096, times)
    assert lower_bound_s(step_operations(size, 4096), speed) == pytest.approx(10)
    # Two forwards and a backward of each block's attention, and what is left is everything else's.
    attention = 30 * (2 * 0.02 + 0.05)
    assert step_operations(size, 4096).linear / speed.linear == pytest.approx(10 - attention)
