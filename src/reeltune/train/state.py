"""Everything that must survive a restart: trained tensors, their average, the optimizer, and the number of the step.

Randomness, data order and learning rate are functions of the step; nothing of them is here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor, nn
from torch.optim import Optimizer

from reeltune.contracts.trained import Trained
from reeltune.errors import CheckpointError
from reeltune.train.ema import Ema
from reeltune.train.optimizer_state import join_state, part_state
from reeltune.train.resting import at_rest, has_modes

Weights = Literal["raw", "ema"]
"""Which of a run's weights: as the optimizer means them to be used, or their moving average."""


@dataclass(frozen=True)
class Snapshot:
    """A run at rest after `step` steps. Tensors are on the host and shared with nobody.

    weights: raw, as the optimizer goes on from them, and ema when an average is kept. optimizer_scalars: what of the
    optimizer's state is not a tensor.
    fixed: what does not move and must be there again, such as a start that was worked out from the base.
    """

    step: int
    weights: dict[Weights, dict[str, Tensor]]
    optimizer: dict[str, Tensor]
    optimizer_scalars: dict[str, Any]
    fixed: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class TrainState:
    """A run in motion: `step` optimizer steps are done.

    moves_in_backward: the optimizer has taken a step by the time its backward pass is over; see `release.py`.
    """

    trained: Trained
    optimizer: Optimizer
    ema: Ema | None
    step: int = 0
    moves_in_backward: bool = False

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def kinds(self) -> tuple[Weights, ...]:
        """Return which weights there are."""
        return ("raw", "ema") if self.ema else ("raw",)

    @contextmanager
    def acting_as(self, kind: Weights) -> Iterator[None]:
        """Let the model act with the raw weights or with their average for as long as the block lasts.

        Raw weights act as they are meant to be used, which some optimizers keep apart from where they train; see
        `resting.py`. Everything that shows, measures or publishes weights goes through here.
        """
        if kind == "ema":
            assert self.ema
            with self.trained.holding(self.ema.shadow):
                yield
            return
        with at_rest(self.optimizer), self.trained.holding(self._moved_apart()):
            yield

    def set_rate(self, learning_rate: float) -> None:
        """Set the learning rate of the step to come."""
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                # Compiled steps hold on to their tensor.
                group["lr"].fill_(learning_rate)
            else:
                group["lr"] = learning_rate

    def move(self) -> None:
        """Let the optimizer take the step."""
        if not self.moves_in_backward:
            self.optimizer.step()
        self.trained.moved()

    def average(self) -> None:
        """Let the average follow what acts after this step, be it one that moved nothing."""
        if self.ema and self.ema.due(self.step + 1):
            with at_rest(self.optimizer):
                self.ema.update(self.step + 1)

    def weights(self) -> dict[Weights, dict[str, Tensor]]:
        """Copy the weights to the host as training goes on from them, and their average where one is kept."""
        weights: dict[Weights, dict[str, Tensor]] = {"raw": _on_host(self.trained.trainable())}
        if self.ema:
            weights["ema"] = _on_host(self.ema.shadow)
        return weights

    def snapshot(self) -> Snapshot:
        """Copy everything to the host."""
        tensors, scalars = part_state(self.optimizer)
        fixed = _on_host(self.trained.fixed())
        return Snapshot(self.step, self.weights(), optimizer=_on_host(tensors), optimizer_scalars=scalars, fixed=fixed)

    def restore(self, snapshot: Snapshot) -> None:
        """Continue from a snapshot, in place. Raises CheckpointError when other tensors were trained."""
        raw = snapshot.weights["raw"]
        if difference := _difference(raw, self.trained.trainable()):
            raise CheckpointError(
                f"checkpoint-{snapshot.step} trained other tensors, such as {difference}. "
                'Start afresh with resume_from_checkpoint="", or use the version that wrote it.'
            )
        self.trained.load_fixed(snapshot.fixed)
        self.trained.load(raw)
        join_state(self.optimizer, snapshot.optimizer, snapshot.optimizer_scalars)
        if self.ema:
            self._restore_average(self.ema, snapshot)
        self.step = snapshot.step

    def _restore_average(self, ema: Ema, snapshot: Snapshot) -> None:
        if "ema" in snapshot.weights:
            ema.load(snapshot.weights["ema"])
            return
        # A run that starts averaging now starts from the weights as they act.
        with at_rest(self.optimizer):
            ema.load(self.trained.trainable())

    def _moved_apart(self) -> dict[str, Tensor]:
        """Return the weights that an optimizer at rest has put in the place of those it trains; empty for most."""
        if not has_modes(self.optimizer):
            return {}
        return {name: parameter.detach() for name, parameter in self.trained.trainable().items()}


def _difference(saved: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str | None:
    """Name the first tensor that is not in both, or is of another shape."""
    if differing := sorted(saved.keys() ^ own.keys()):
        return differing[0]
    return next((name for name in sorted(own) if saved[name].shape != own[name].shape), None)


def _on_host(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
