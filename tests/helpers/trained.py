"""A stand-in for what is trained: plain tensors without a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

from reeltune.modes import holding, on_gradient


class PlainTensors:
    """Named tensors, as `Trained` has them. start: what does not move."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], *, seed: int = 1) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.tensors = {name: nn.Parameter(torch.randn(shape, generator=generator)) for name, shape in shapes.items()}
        self.start: Tensor | None = None

    def trainable(self) -> dict[str, nn.Parameter]:
        return self.tensors

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self.tensors.items():
                parameter.copy_(tensors[name])

    def fixed(self) -> dict[str, Tensor]:
        return {} if self.start is None else {"start": self.start}

    def load_fixed(self, tensors: Mapping[str, Tensor]) -> None:
        self.start = tensors.get("start")

    def moved(self) -> None: ...

    def on_gradient(self, act: Callable[[nn.Parameter], None]) -> None:
        on_gradient(self.tensors, act)

    def disabled(self) -> AbstractContextManager[None]:
        return nullcontext()

    def holding(self, tensors: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        return holding(self.tensors, tensors)


class NoFiles:
    """A stand-in for a publisher, for runs whose files nobody looks at."""

    def write(self, folder: Path, run_name: str, *, step: int) -> None: ...

    def prove(self, scratch: Path) -> None: ...

    def places(self, run_name: str) -> tuple[Path, ...]:
        return ()
