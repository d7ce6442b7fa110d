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
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import bench_wan
import flops
from reeltune.contracts.clip import Bucket

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


@pytest.mark.parametrize(
    ("size", "shape", "linear", "attention"),
    [
        ("1.3B", (81, 480, 832), 82.0, 200.9),
        ("1.3B", (73, 480, 480), 42.9, 55.5),
        ("1.3B", (81, 720, 1280), 189.2, 1060.6),
        ("14B", (81, 480, 832), 785, 893),
        ("14B", (81, 720, 1280), 1810, 4714),
    ],
)
def test_operations_are_those_counted_by_hand(
    size: str, shape: tuple[int, int, int], linear: float, attention: float
) -> None:
    frames, height, width = shape
    tokens = ((frames - 1) // 4 + 1) * (height // 16) * (width // 16)
    # The numbers by hand are rounded to their last digit.
    for own, by_hand in (
        (flops.linear_forward_flop(flops.SIZES[size], tokens=tokens), linear),
        (flops.attention_forward_flop(flops.SIZES[size], tokens=tokens), attention),
    ):
        assert own / 1e12 == pytest.approx(by_hand, rel=2e-3)


def test_a_lora_step_is_two_linear_and_three_attention_forwards() -> None:
    # 2 * 82.0 + 3 * 200.9 and 2 * 785 + 3 * 893, in TFLOP.
    assert flops.lora_step_flop(flops.SIZES["1.3B"], tokens=32_760) / 1e12 == pytest.approx(766.8, rel=1e-3)
    assert flops.lora_step_flop(flops.SIZES["14B"], tokens=32_760) / 1e12 == pytest.approx(4249, rel=1e-3)


def test_the_formulas_count_what_torch_counts() -> None:
    size = flops.Size(heads=4, head_width=16, layers=6, ffn=256, text_width=32, time_width=32)
    transformer = WanTransformer3DModel(
        num_attention_heads=4, attention_head_dim=16, text_dim=32, freq_dim=32, ffn_dim=256, num_layers=6
    )
    counter = FlopCounterMode(display=False)
    # The plain attention is made of multiplications that the counter knows; CPU kernels it does not.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        transformer(torch.randn(1, 16, 9, 16, 16), torch.tensor([500]), torch.randn(1, 512, 32))
    tokens = 9 * 8 * 8
    formula = flops.linear_forward_flop(size, tokens=tokens) + flops.attention_forward_flop(size, tokens=tokens)
    counts = counter.get_flop_counts()
    in_blocks = sum(sum(counts[f"WanTransformer3DModel.blocks.{block}"].values()) for block in range(6))
    assert formula == in_blocks
    # Patches, embeddings, modulation and head are not in the formula: a few percent of so small a model.
    assert 0.95 < formula / counter.get_total_flops() < 1


def test_the_peak_is_found_by_the_name_of_the_gpu() -> None:
    assert flops.known_peak_tflops("NVIDIA H100 80GB HBM3") == 989
    assert flops.known_peak_tflops("NVIDIA A100-SXM4-80GB") == 312
    assert flops.known_peak_tflops("NVIDIA GeForce RTX 4090") == 165
    # The slower H100 has another name, and is asked for rather than flattered.
    assert flops.known_peak_tflops("NVIDIA H100 PCIe") is None


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
    assert outcome.stderr == "bench_wan.py needs a CUDA GPU; --tiny runs the same code on the CPU, as a test.\n"


def test_the_benchmark_of_the_loop_itself_runs() -> None:
    outcome = run_benchmark("bench_step.py", "--steps", "2", "--warmup", "1")
    assert outcome.returncode == 0, outcome.stderr
    assert "ratio: median" in outcome.stdout
