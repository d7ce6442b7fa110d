"""What is trained, as the loop and its surroundings see it: an adapter of any kind, or the whole model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, runtime_checkable

from torch import Tensor, nn


@runtime_checkable
class Trained(Protocol):
    """Float32 tensors by name, and what they do to the transformer that they belong to."""

    def trainable(self) -> dict[str, nn.Parameter]:
        """Return the tensors that an optimizer moves, by names that stay the same over versions and restarts."""
        ...

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy tensors, named as in `trainable`, into place. The names and shapes must be the same."""
        ...

    def fixed(self) -> dict[str, Tensor]:
        """Return what does not move and cannot be had again exactly after a restart; empty for most kinds."""
        ...

    def load_fixed(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `fixed` gave before a restart."""
        ...

    def moved(self) -> None:
        """Take notice that the optimizer has moved the trainable tensors."""
        ...

    def on_gradient(self, act: Callable[[nn.Parameter], None]) -> None:
        """Have `act` called in each backward pass from now on: once with each trained tensor, its gradient whole."""
        ...

    def disabled(self) -> AbstractContextManager[None]:
        """Let the transformer answer as the bare base for as long as the block lasts, to the bit."""
        ...

    def holding(self, tensors: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        """Act with other tensors of the same names for as long as the block lasts; empty keeps its own."""
        ...


@runtime_checkable
class Publisher(Protocol):
    """How what is trained becomes files that other programs read, each proven to hold what acts."""

    def write(self, folder: Path, run_name: str, *, step: int) -> None:
        """Write every layout of what acts now below a folder, read each back, and compare.

        Raises CheckpointError when a file does not hold what acts.
        """
        ...

    def prove(self, scratch: Path) -> None:
        """Show before the first step that files will hold what acts; nothing is changed by it.

        scratch: a folder for files that are gone afterwards. Raises CheckpointError.
        """
        ...

    def places(self, run_name: str) -> tuple[Path, ...]:
        """Return the files and folders that `write` makes, below its folder; the main one first."""
        ...
