"""What survives a restart, whatever an optimizer keeps; and what acts, where that is not what is trained."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from helpers.toy import toy_loop
from helpers.trained import PlainTensors
from reeltune.train.checkpoint import Checkpoints
from reeltune.train.ema import Ema
from reeltune.train.optimizer_state import join_state, part_state
from reeltune.train.optimizers import build_optimizer
from reeltune.train.state import TrainState

SHAPES = {"a": (64, 64), "b": (5,)}
"""One tensor that is kept in few bits, and one that is too small for it."""

Make = Callable[[list[nn.Parameter]], Optimizer]


def schedule_free(parameters: list[nn.Parameter]) -> Optimizer:
    optimizer = pytest.importorskip("schedulefree").AdamWScheduleFree(parameters, lr=1e-2, warmup_steps=3)
    optimizer.train()
    return optimizer


def of_torchao(kind: str) -> Make:
    return lambda parameters: getattr(pytest.importorskip("torchao.optim"), kind)(parameters, lr=1e-2)


def soap(parameters: list[nn.Parameter]) -> Optimizer:
    library = pytest.importorskip("pytorch_optimizer")
    return library.SOAP(parameters, lr=1e-2, precondition_frequency=2)


def named(name: str) -> Make:
    if name.startswith("bnb-"):
        pytest.importorskip("bitsandbytes")
    return lambda parameters: build_optimizer(name, parameters, learning_rate=1e-2)


MAKERS: dict[str, Make] = {
    "AdamW8bit of torchao": of_torchao("AdamW8bit"),
    "AdamW4bit of torchao": of_torchao("AdamW4bit"),
    "AdamWFp8 of torchao": of_torchao("AdamWFp8"),
    "schedule-free": schedule_free,
    "SOAP, which keeps lists of tensors": soap,
    "bitsandbytes": lambda parameters: named("bnb-adamw8bit")(parameters),
    "fused": named("torch-adamw"),
    "running averages": named("torch-asgd"),
}


@pytest.fixture(autouse=True)
def uncompiled() -> Iterator[None]:
    """torchao compiles its step; the state is the same without, and compiling takes a minute."""
    with torch.compiler.set_stance("force_eager"):
        yield


def new_state(make: Make, *, averaged: bool = False) -> TrainState:
    weights = PlainTensors(SHAPES)
    ema = Ema(weights.tensors, decay=0.9, interval=1) if averaged else None
    return TrainState(weights, make(list(weights.tensors.values())), ema)


def go_on(state: TrainState, until: int) -> None:
    """Take steps with gradients and rates that depend on their number."""
    while state.step < until:
        generator = torch.Generator().manual_seed(state.step)
        for parameter in state.trained.trainable().values():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        state.set_rate(1e-2 / (1 + state.step))
        state.move()
        state.average()
        state.step += 1


def same(one: TrainState, two: TrainState) -> None:
    first, second = one.snapshot(), two.snapshot()
    for kind in first.weights:
        for name, tensor in first.weights[kind].items():
            assert torch.equal(tensor, second.weights[kind][name]), (kind, name)
    assert first.optimizer.keys() == second.optimizer.keys()
    for name, tensor in first.optimizer.items():
        assert tensor.dtype == second.optimizer[name].dtype, name
        assert torch.equal(tensor, second.optimizer[name]), name
    assert json.dumps(first.optimizer_scalars, sort_keys=True) == json.dumps(second.optimizer_scalars, sort_keys=True)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
def test_four_steps_and_a_restart_and_three_more_are_seven_steps(make: Make, tmp_path: Path) -> None:
    straight, before, after = (new_state(make) for _ in range(3))
    go_on(straight, 7)
    go_on(before, 4)
    checkpoints = Checkpoints(tmp_path, limit=1)
    checkpoints.save(before.snapshot(), {}, lambda folder: None)
    after.restore(checkpoints.load(4))
    same(before, after)
    go_on(after, 7)
    same(straight, after)


class Odd(Optimizer):
    """Keeps what no optimizer of the libraries in use keeps all at once."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        super().__init__(parameters, {"lr": 0.1, "total": torch.zeros(()), "dtype": torch.bfloat16, "none": None})

    def step(self, closure: Any = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter] = {
                    "none": None,
                    "count": 3,
                    "on": True,
                    "pair": (0.9, 0.99),
                    "list": [torch.ones(2), None, 1],
                    "tuple": (torch.ones(3, dtype=torch.float64), [torch.zeros(1)]),
                    "inner": {"rows": torch.arange(3), "word": "x"},
                    "empty": {},
                    "short": torch.full((4,), 1 / 3, dtype=torch.bfloat16),
                    "exact": torch.full((4,), 1 / 3, dtype=torch.float64),
                }


def test_entries_of_any_kind_come_back_as_they_were(tmp_path: Path) -> None:
    parameter = nn.Parameter(torch.zeros(2))
    one, two = Odd([parameter]), Odd([parameter])
    one.step()
    tensors, rest = part_state(one)
    join_state(two, {name: tensor.clone() for name, tensor in tensors.items()}, json.loads(json.dumps(rest)))
    saved, loaded = one.state[parameter], two.state[parameter]
    assert saved.keys() == loaded.keys()
    for name in ("none", "count", "on", "empty"):
        assert loaded[name] == saved[name]
    assert loaded["pair"] == [0.9, 0.99]
    assert loaded["list"][1:] == [None, 1]
    assert torch.equal(loaded["list"][0], torch.ones(2))
    assert isinstance(loaded["tuple"], tuple)
    assert torch.equal(loaded["tuple"][1][0], torch.zeros(1))
    assert torch.equal(loaded["inner"]["rows"], torch.arange(3))
    assert loaded["inner"]["word"] == "x"
    for name in ("short", "exact"):
        assert loaded[name].dtype == saved[name].dtype
        assert torch.equal(loaded[name], saved[name])
    assert two.param_groups[0]["dtype"] == torch.bfloat16
    assert two.param_groups[0]["none"] is None
    assert isinstance(two.param_groups[0]["total"], Tensor)


def test_a_class_that_a_file_names_is_not_looked_for(tmp_path: Path) -> None:
    optimizer = named("torch-sgd")([nn.Parameter(torch.zeros(2))])
    with pytest.raises(KeyError):
        join_state(optimizer, {}, {"state/0/x": {"kind of entry": "os.system", "items": {}}})


def test_raw_weights_act_as_a_schedule_free_optimizer_means_them() -> None:
    state = new_state(schedule_free)
    go_on(state, 6)
    # The reference: the same optimizer by itself, asked for its evaluation mode.
    bare = PlainTensors(SHAPES).tensors
    optimizer: Any = schedule_free(list(bare.values()))
    for step in range(6):
        generator = torch.Generator().manual_seed(step)
        for parameter in bare.values():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.param_groups[0]["lr"] = 1e-2 / (1 + step)
        optimizer.step()
    trained = {name: parameter.detach().clone() for name, parameter in bare.items()}
    optimizer.eval()
    own = state.trained.trainable()
    with state.acting_as("raw"):
        assert all(torch.equal(own[name], bare[name]) for name in bare)
    assert all(torch.equal(own[name], trained[name]) for name in bare)
    assert not any(torch.equal(bare[name], trained[name]) for name in bare)


def test_looking_at_a_schedule_free_run_changes_nothing_of_it() -> None:
    looked_at, plain = new_state(schedule_free, averaged=True), new_state(schedule_free, averaged=True)
    for step in range(1, 8):
        for state in (looked_at, plain):
            go_on(state, step)
        for kind in looked_at.kinds():
            with looked_at.acting_as(kind):
                pass
        with pytest.raises(RuntimeError), looked_at.acting_as("raw"):
            raise RuntimeError("a look that fails")
    same(looked_at, plain)


def test_the_average_is_of_what_acts(tmp_path: Path) -> None:
    state = new_state(schedule_free, averaged=True)
    expected = {name: tensor.double() for name, tensor in state.weights()["raw"].items()}
    for step in range(5):
        go_on(state, step + 1)
        kept = min((1 + step) / (10 + step), 0.9) if step else 0.0
        with state.acting_as("raw"):
            for name, tensor in state.trained.trainable().items():
                expected[name] = kept * expected[name] + (1 - kept) * tensor.detach().double()
    assert state.ema
    for name, tensor in state.ema.shadow.items():
        # Five roundings of float32 of values below 4.
        torch.testing.assert_close(tensor.double(), expected[name], rtol=0, atol=2e-6)


def test_a_run_that_starts_averaging_starts_from_what_acts() -> None:
    plain, averaged = new_state(schedule_free), new_state(schedule_free, averaged=True)
    go_on(plain, 4)
    averaged.restore(plain.snapshot())
    assert averaged.ema
    with plain.acting_as("raw"):
        for name, tensor in plain.trained.trainable().items():
            assert torch.equal(averaged.ema.shadow[name], tensor)
    same(plain, TrainState(averaged.trained, averaged.optimizer, None, averaged.step))


def test_a_loop_with_a_schedule_free_optimizer_saves_what_acts_and_resumes_to_the_bit(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    def loop(folder: Path):
        made = toy_loop(tmp_path / folder, steps=6, checkpoint_every=3, render_every=2)
        parameters = list(made.state.trained.trainable().values())
        made.state.optimizer = schedule_free(parameters)
        return made

    whole, stopped = loop(Path("a")), loop(Path("b"))
    whole.run()
    stopped.stop_requested = lambda: stopped.state.step == 3
    stopped.run()
    continued = loop(Path("b"))
    continued.state.restore(continued.keeping.checkpoints.load(3))
    continued.run()
    same(whole.state, continued.state)
    published = load_file(tmp_path / "a/pytorch_lora_weights.safetensors")
    with whole.state.acting_as("raw"):
        for name, tensor in whole.state.trained.trainable().items():
            assert torch.equal(published[name], tensor), name
