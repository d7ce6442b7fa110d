"""Everything that must survive a restart: trained tensors, their average, the optimizer, and the number of the step.

Randomness, data order and learning rate are functions of the step; nothing of them is here.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor, nn
from torch.optim import Optimizer

from reeltune.contracts.trained import Trained
from reeltune.errors import CheckpointError
from reeltune.train.ema import Ema

Weights = Literal["raw", "ema"]
"""Which of a run's weights: as the optimizer left them, or their moving average."""


@dataclass(frozen=True)
class Snapshot:
    """A run at rest after `step` steps. Tensors are on the host and shared with nobody.

    weights: raw, and ema when an average is kept. optimizer_scalars: what of the optimizer's state is not a tensor.
    fixed: what does not move and must be there again, such as a start that was worked out from the base.
    """

    step: int
    weights: dict[Weights, dict[str, Tensor]]
    optimizer: dict[str, Tensor]
    optimizer_scalars: dict[str, Any]
    fixed: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class TrainState:
    """A run in motion: `step` optimizer steps are done."""

    trained: Trained
    optimizer: Optimizer
    ema: Ema | None
    step: int = 0

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def kinds(self) -> tuple[Weights, ...]:
        """Return which weights there are."""
        return ("raw", "ema") if self.ema else ("raw",)

    def acting_as(self, kind: Weights) -> AbstractContextManager[None]:
        """Let the model act with the raw weights or with their average for as long as the block lasts."""
        if kind == "raw":
            return self.trained.holding({})
        assert self.ema
        return self.trained.holding(self.ema.shadow)

    def weights(self) -> dict[Weights, dict[str, Tensor]]:
        """Copy the trained weights to the host, and their average where one is kept."""
        weights: dict[Weights, dict[str, Tensor]] = {"raw": _on_host(self.trained.trainable())}
        if self.ema:
            weights["ema"] = _on_host(self.ema.shadow)
        return weights

    def snapshot(self) -> Snapshot:
        """Copy everything to the host."""
        tensors, scalars = _split(self.optimizer.state_dict())
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
        if self.ema:
            # A run that starts averaging now starts from the weights as they are.
            self.ema.load(snapshot.weights.get("ema", raw))
        self.optimizer.load_state_dict(_join(snapshot.optimizer, snapshot.optimizer_scalars))
        self.step = snapshot.step


def _difference(saved: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str | None:
    """Name the first tensor that is not in both, or is of another shape."""
    if differing := sorted(saved.keys() ^ own.keys()):
        return differing[0]
    return next((name for name in sorted(own) if saved[name].shape != own[name].shape), None)


def _on_host(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}


def _split(state: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Part an optimizer's state into tensors and the rest, which JSON can hold; both named `part/index/key`.

    Tensors are found among the settings of a group too: some optimizers count their steps there.
    """
    parts = {"state": state["state"], "param_groups": dict(enumerate(state["param_groups"]))}
    entries = {
        f"{part}/{index}/{key}": value
        for part, rows in parts.items()
        for index, row in rows.items()
        for key, value in row.items()
    }
    tensors = {name: value for name, value in entries.items() if isinstance(value, Tensor)}
    return tensors, {name: value for name, value in entries.items() if name not in tensors}


def _join(tensors: Mapping[str, Tensor], scalars: Mapping[str, Any]) -> dict[str, Any]:
    parts: dict[str, dict[int, dict[str, Any]]] = {"state": {}, "param_groups": {}}
    for name, value in [*tensors.items(), *scalars.items()]:
        part, index, key = name.split("/", 2)
        parts[part].setdefault(int(index), {})[key] = value
    groups = parts["param_groups"]
    return {"state": parts["state"], "param_groups": [groups[index] for index in sorted(groups)]}
