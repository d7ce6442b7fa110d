"""The least time of a step: seconds worked out by hand on two GPUs with rates of their own."""

from __future__ import annotations

import pytest

from reeltune.estimate.flops import Operations, Recomputation, TrainedPart, step_operations
from reeltune.estimate.gpus import GPUS, gpu_named
from reeltune.estimate.sizes import SIZES
from reeltune.estimate.time import lower_bound_s

TOKENS = {"a": 32_760, "b73": 17_100, "b77": 18_000, "c": 75_600}

# Seconds by hand, an adapter / the whole model: H100 with full, selective and no recomputation, then the RTX 4090.
BY_HAND = """
1.3B a    1.85/1.95 1.53/1.64 1.43/1.53  8.5/9.1    7.2/7.7   6.6/7.2
1.3B b73  0.59/0.64 0.50/0.55 0.45/0.50  2.8/3.1    2.4/2.7   2.1/2.4
1.3B b77  0.64/0.70 0.54/0.60 0.49/0.54  3.0/3.3    2.6/2.9   2.3/2.6
1.3B c    8.84/9.08 7.19/7.42 6.95/7.19  40/41      33/34     32/33
14B  a    9.79/10.8 8.40/9.38 7.42/8.40  46/52      40/46     35/40
14B  b73  3.43/3.95 3.05/3.56 2.53/3.05  16.7/19.5  15.1/17.9 12.3/15.1
14B  b77  3.72/4.26 3.29/3.83 2.75/3.29  18.1/21.0  16.2/19.2 13.3/16.2
14B  c    42.9/45.2 35.6/37.8 33.3/35.6  198/210    166/178   154/166
"""
ROWS = [line.split() for line in BY_HAND.split("\n") if line]
GPU_NAMES = ("NVIDIA H100 80GB HBM3", "NVIDIA GeForce RTX 4090")
RECOMPUTATIONS: tuple[Recomputation, ...] = ("full", "selective", "none")
PARTS: tuple[TrainedPart, ...] = ("adapter", "full")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[1]}")
def test_the_bound_is_the_one_worked_out_by_hand(row: list[str]) -> None:
    size, tokens = SIZES[row[0]], TOKENS[row[1]]
    printed = [text for pair in row[2:] for text in pair.split("/")]
    own = []
    for name in GPU_NAMES:
        gpu = gpu_named(name)
        assert gpu is not None
        for recomputation in RECOMPUTATIONS:
            for trained in PARTS:
                step = step_operations(size, tokens, trained=trained, recomputation=recomputation)
                own.append(lower_bound_s(step, gpu))
    for text, value in zip(printed, own, strict=True):
        last_digit = 10.0 ** -len(text.partition(".")[2])
        # Half of the last digit, and a little for values that lie between two.
        assert abs(value - float(text)) <= 0.51 * last_digit, (text, value)


def test_doing_it_twice_takes_twice_the_time() -> None:
    gpu = GPUS["H100 80GB HBM3"]
    step = Operations(linear=800 * 10**12, attention_forward=640 * 10**12, attention_backward=550 * 10**12)
    assert lower_bound_s(step, gpu) == pytest.approx(3.0)
    assert lower_bound_s(step.times(2), gpu) == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA GeForce RTX 4090", 165),
        ("NVIDIA RTX A6000", 155),
        ("NVIDIA L40S", 362),
    ],
)
def test_a_gpu_is_found_by_the_name_that_the_driver_gives(name: str, peak: float) -> None:
    gpu = gpu_named(name)
    assert gpu is not None
    assert gpu.peak == peak * 1e12


@pytest.mark.parametrize("name", ["NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA GeForce RTX 4090 D", "Radeon", ""])
def test_a_slower_relative_is_not_taken_for_a_known_gpu(name: str) -> None:
    assert gpu_named(name) is None


def test_scaled_rates_are_the_reference_s_share() -> None:
    a100, ada = GPUS["A100-SXM4-80GB"], GPUS["RTX 4090"]
    assert a100.linear / a100.peak == pytest.approx(ada.linear / ada.peak)
    assert a100.attention_backward / ada.attention_backward == pytest.approx(312 / 165)
    for gpu in GPUS.values():
        assert gpu.peak >= max(gpu.linear, gpu.attention_forward) > gpu.attention_backward > 0
