"""How a run ended. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

ResultKind: TypeAlias = Literal["lora", "lycoris", "lycoris-to-merge", "full"]
"""What was trained, as far as its files are used differently; the third is what no program loads but by merging."""


@dataclass(frozen=True)
class Outcome:
    """folder: of the run. result: the adapter file, or the folder of a whole model.

    nothing_to_do: all steps had been done before.
    length_option, length: the option that decided how long the run is, and its value.
    """

    folder: Path
    result: Path
    step: int
    total_steps: int
    nothing_to_do: bool = False
    length_option: str = "max_train_steps"
    length: int = 0
    kind: ResultKind = "lora"

    @property
    def stopped(self) -> bool:
        """Whether the run ended on request, before its last step."""
        return self.step < self.total_steps
