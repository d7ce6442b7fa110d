"""The loss on held-out clips: what the stock model gives by the formula, always the same, and nothing else moves."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UniPCMultistepScheduler, WanTransformer3DModel
from torch import Tensor, nn

from helpers.held_out import BUCKET, CPU, Shelf, held_out
from helpers.toy import Ears, Toy, toy_loop
from reeltune.adapters.lora import attach_lora
from reeltune.config.adapter import AdapterOptions
from reeltune.contracts.batch import Batch, Noised
from reeltune.contracts.clip import Bucket
from reeltune.contracts.events import Evaluated, RunFinished, StepDone
from reeltune.families.wan.family import Wan
from reeltune.objective.shift import Shift
from reeltune.train.ema import Ema
from reeltune.train.evaluate import Evaluation, noise_of, sampler_sigmas
from reeltune.train.loop import Loop
from reeltune.train.measurement import Point, curve_of
from reeltune.train.schedule import Every
from reeltune.train.state import TrainState


def toy_evaluation(loop: Loop, *, every: int = 2, family: Toy | None = None) -> Evaluation:
    shelf = Shelf({key: (4, 2, 4, 4) for key in "abc"} | {f"{key} first": (3, 6) for key in "abc"})
    clips = held_out(shelf, dict.fromkeys("abc", BUCKET))
    datasets = {"one": clips[:2], "two": clips[2:]}
    return Evaluation(Every(every), family or Toy(), loop.transformer, datasets, shelf, Shift(3.0), 4, CPU)


def measured(evaluation: Evaluation, state: TrainState) -> list[Evaluated]:
    return list(evaluation.measure(state, lambda: False))


def losses(ears: Ears) -> list[float]:
    return [event.loss for event in ears.of(StepDone)]


def same(one: dict[Any, dict[str, Tensor]], two: dict[Any, dict[str, Tensor]]) -> bool:
    return all(torch.equal(one[kind][name], two[kind][name]) for kind in one for name in one[kind])


def merged(model: Path, adapter: dict[str, Tensor]) -> WanTransformer3DModel:
    """Return diffusers' own transformer with B A added to its weights."""
    stock = WanTransformer3DModel.from_pretrained(model, subfolder="transformer")
    with torch.no_grad():
        for name in {name.rpartition(".lora_")[0] for name in adapter}:
            change = adapter[f"{name}.lora_B.weight"] @ adapter[f"{name}.lora_A.weight"]
            stock.get_submodule(name).weight += change  # pyright: ignore[reportOperatorIssue]
    return stock.eval()


def by_formula(stock: WanTransformer3DModel, clean: Tensor, noise: np.ndarray, text: Tensor, sigma: float) -> float:
    """Return the mean of (v - (noise - clean))^2 in float64, v being the answer to the mix at 1000 sigma."""
    mixed = (1 - sigma) * clean.double().numpy() + sigma * noise.astype(np.float64)
    padded = torch.cat([text, torch.zeros(512 - len(text), text.shape[1])])[None]
    with torch.no_grad():
        answer = stock(torch.from_numpy(mixed)[None].float(), torch.tensor([1000 * sigma]), padded).sample[0]
    return float(np.mean((answer.double().numpy() - (noise.astype(np.float64) - clean.double().numpy())) ** 2))


@pytest.fixture
def trained(wan: Wan) -> tuple[nn.Module, TrainState]:
    """The tiny model in training mode: a LoRA that does something, with dropout, and another average of it."""
    transformer = wan.load_transformer(CPU).train()
    options = AdapterOptions(lora_rank=2, lora_dropout=0.5)
    lora = attach_lora(transformer, options, wan.facts.adapter_targets, seed=0)
    parameters = lora.trainable()
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.copy_(0.3 * torch.randn(parameter.shape))
    ema = Ema(parameters, decay=0.9, interval=1)
    ema.load({name: 0.3 * torch.randn(parameter.shape) for name, parameter in parameters.items()})
    return transformer, TrainState(lora, torch.optim.SGD(list(parameters.values())), ema, step=7)


def test_the_loss_is_the_formula_with_the_stock_model(
    wan: Wan, tiny_model: Path, trained: tuple[nn.Module, TrainState]
) -> None:
    transformer, state = trained
    shelf = Shelf({"x": (16, 2, 4, 6), "y": (16, 1, 8, 4), "x first": (5, 32), "y first": (3, 32)})
    buckets = {"x": Bucket(48, 32, 5), "y": Bucket(32, 64, 1)}
    clips = held_out(shelf, buckets)
    events = measured(Evaluation(Every(1), wan, transformer, {"films": clips}, shelf, Shift(3.0), 3, CPU), state)
    assert set(shelf.asked) == {"x", "y", "x first", "y first"}
    assert [(event.step, event.dataset, event.weights) for event in events] == [
        (7, "films", "raw"),
        (7, "films", "ema"),
    ]
    scheduler = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)
    scheduler.set_timesteps(3)
    sigmas = scheduler.sigmas[:-1].double().tolist()
    for event, weights in zip(events, state.weights().values(), strict=True):
        stock = merged(tiny_model, weights)
        expected = np.zeros((2, 3))
        for clip, sigma in itertools.product(range(2), range(3)):
            key = "xy"[clip]
            # The stream of purpose 8 named by the clip, of a seed that is nobody's, as comparisons of runs rely on.
            number = int(hashlib.blake2b(key.encode(), digest_size=7).hexdigest(), 16)
            stream = np.random.Generator(np.random.Philox(counter=[0, 0, number, 0], key=[0, 8]))
            noise = stream.standard_normal(shelf.shapes[key], dtype=np.float32)
            text = shelf.read(f"{key} first")
            expected[clip, sigma] = by_formula(stock, shelf.read(key), noise, text, sigmas[sigma])
        # Adapters multiplied beside the weights and merged into them differ by roundings of float32.
        assert event.loss == pytest.approx(expected.mean(), rel=1e-5)
        curve = np.array(event.curve)
        np.testing.assert_allclose(curve[:, :2], np.stack([sigmas, expected.mean(0)], 1), rtol=1e-5)
        # Errors are differences of losses near 3, and as uncertain as these.
        np.testing.assert_allclose(curve[:, 2], expected.std(0, ddof=1) / np.sqrt(2), atol=3e-5)
        # Of the clips' own means: more levels of one clip are no further clips.
        assert event.standard_error == pytest.approx(expected.mean(1).std(ddof=1) / np.sqrt(2), abs=3e-5)
        assert (event.error_over, event.clips) == ("clips", 2)
    assert events[0].loss != pytest.approx(events[1].loss, rel=1e-4)


def test_two_measurements_of_the_same_weights_are_equal_whatever_happens_in_between(tmp_path: Path) -> None:
    loop = toy_loop(tmp_path, dropout=0.5)
    evaluation = toy_evaluation(loop)
    untouched = loop.state.weights()["raw"]
    before = measured(evaluation, loop.state)
    loop.run()
    torch.rand(5)
    after = measured(evaluation, loop.state)
    assert [event.loss for event in after] != [event.loss for event in before]
    loop.state.trained.load(untouched)
    assert loop.state.ema
    loop.state.ema.load(untouched)
    again = measured(evaluation, loop.state)
    assert [(event.loss, event.curve) for event in again] == [(event.loss, event.curve) for event in before]


@pytest.mark.parametrize("steps", [5, 6])
def test_measuring_changes_nothing_of_training(tmp_path: Path, steps: int) -> None:
    plain_ears, ears = Ears(), Ears()
    plain = toy_loop(tmp_path / "a", steps=steps, sinks=[plain_ears])
    measuring = toy_loop(tmp_path / "b", steps=steps, sinks=[ears])
    measuring.evaluation = toy_evaluation(measuring)
    for loop in (plain, measuring):
        loop.run()
    assert losses(ears) == losses(plain_ears)
    assert same(plain.state.weights(), measuring.state.weights())
    kinds = [(dataset, weights) for weights in ("raw", "ema") for dataset in ("one", "two")]
    assert [(event.step, event.dataset, event.weights) for event in ears.of(Evaluated)] == [
        (step, *kind) for step in (0, 2, 4, steps) for kind in kinds
    ]


def test_a_run_without_an_average_is_measured_with_its_weights_alone(tmp_path: Path) -> None:
    loop = toy_loop(tmp_path)
    loop.state.ema = None
    assert [event.weights for event in measured(toy_evaluation(loop), loop.state)] == ["raw", "raw"]


@dataclass
class Failing(Toy):
    """Fails when it is asked for the n-th time."""

    fails_at: int = 0
    asked: int = 0

    def predict(self, transformer: nn.Module, noised: Noised, batch: Batch) -> Tensor:
        self.asked += 1
        if self.asked == self.fails_at:
            raise RuntimeError("out of memory")
        return super().predict(transformer, noised, batch)


# With each kind of weights it is asked 12 times: for three clips, at four levels.
@pytest.mark.parametrize(("fails_at", "datasets"), [(12, ["one"]), (14, ["one", "two"])])
def test_a_measurement_that_fails_is_said_and_leaves_everything_as_it_was(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, fails_at: int, datasets: list[str]
) -> None:
    loop = toy_loop(tmp_path)
    assert loop.state.ema
    loop.state.ema.load({name: tensor + 1 for name, tensor in loop.state.ema.shadow.items()})
    weights = loop.state.weights()
    places = [parameter.data_ptr() for parameter in loop.state.parameters]
    told = measured(toy_evaluation(loop, family=Failing(fails_at=fails_at)), loop.state)
    assert "no loss on held-out clips at step 0: RuntimeError: out of memory. Training goes on." in caplog.text
    assert [event.dataset for event in told] == datasets
    assert same(weights, loop.state.weights())
    assert [parameter.data_ptr() for parameter in loop.state.parameters] == places
    assert all(module.training for module in loop.transformer.modules())
    assert torch.is_grad_enabled()


def test_a_stop_request_is_heard_between_clips(tmp_path: Path) -> None:
    loop = toy_loop(tmp_path)
    family = Failing()
    evaluation = toy_evaluation(loop, family=family)
    # After four of the six clips: both of one and that of two with the raw weights, the first with the average.
    events = list(evaluation.measure(loop.state, lambda: family.asked == 16))
    assert [(event.dataset, event.weights) for event in events] == [("one", "raw"), ("two", "raw")]
    assert family.asked == 16


def test_a_run_that_is_asked_to_stop_measures_nothing_more(tmp_path: Path) -> None:
    ears = Ears()
    loop = toy_loop(tmp_path, sinks=[ears])
    loop.evaluation = toy_evaluation(loop)
    loop.stop_requested = lambda: loop.state.step == 4
    loop.run()
    assert {event.step for event in ears.of(Evaluated)} == {0, 2}
    assert ears.heard[-1] == RunFinished(4, stopped=True)


@pytest.mark.parametrize(("levels", "shift"), [(1, 1.0), (28, 1.0), (28, 3.0), (50, 5.0)])
def test_levels_are_those_that_diffusers_visits(levels: int, shift: float) -> None:
    scheduler = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift)
    scheduler.set_timesteps(levels)
    # Diffusers takes a millionth off the first one, which its logarithms could not bear.
    assert sampler_sigmas(levels, shift) == pytest.approx(scheduler.sigmas[:-1].tolist(), rel=2e-6)


def test_each_clip_has_its_own_noise() -> None:
    shape = (1, 4, 2, 4, 4)
    assert torch.equal(noise_of("a", shape), noise_of("a", shape))
    assert (noise_of("a", shape) - noise_of("b", shape)).abs().mean() > 0.5


def test_a_curve_has_the_levels_of_all_clips() -> None:
    points = [Point(1.0, 4.0), Point(0.5, 1.0), Point(1.0, 2.0), Point(0.75, 5.0)]
    # The values 4 and 2 differ by 2 from each other: a deviation of sqrt(2), over the root of two.
    assert curve_of(points) == ((1.0, 3.0, pytest.approx(1.0)), (0.75, 5.0, None), (0.5, 1.0, None))
