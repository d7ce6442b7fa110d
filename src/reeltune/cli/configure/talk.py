"""What every question can see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reeltune.cli.configure.dataset_entries import DatasetsFile
from reeltune.cli.configure.files import OptionsFile
from reeltune.cli.configure.questions import Asker


@dataclass(frozen=True)
class Wishes:
    """What the command line answered already. options: by their own names."""

    data: str | None = None
    goal: str | None = None
    model: str | None = None
    output: str | None = None
    gpu_gb: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def text(self, name: str) -> str | None:
        """Return an option as it would be typed."""
        return str(self.options[name] or "") if name in self.options else None


@dataclass(frozen=True)
class Graphics:
    """The GPU that will train. gb: in units of 2^30 bytes."""

    name: str
    gb: float


@dataclass(frozen=True)
class Talk:
    """What every question can see: both files as they are, what was wished, who answers, and the GPUs that are here."""

    options: OptionsFile
    datasets: DatasetsFile
    wishes: Wishes
    asker: Asker
    here: Sequence[Graphics]
    track: Callable[..., Iterable[Any]]
