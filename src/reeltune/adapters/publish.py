"""How an adapter becomes files that other programs read, each proven to hold what acts.

pytorch_lora_weights.safetensors   LoRA as diffusers reads it; LyCORIS as lycoris-lora reads it
lycoris_config.json                the description of a LyCORIS adapter
comfyui/<run name>.safetensors     the same in ComfyUI's names, where it has a rule for the kind
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from torch import Tensor

from reeltune.adapters.about import About
from reeltune.adapters.changes import Change
from reeltune.adapters.layers import linear_of, plain_weight
from reeltune.adapters.layouts import no_rule, write_adapter
from reeltune.adapters.proof import Live, prove, prove_before_training
from reeltune.contracts.facts import Facts
from reeltune.whole_files import write_json

MAIN_FILE = "pytorch_lora_weights.safetensors"
DESCRIPTION_FILE = "lycoris_config.json"

log = logging.getLogger(__name__)


@dataclass
class AdapterPublisher:
    """Writes and proves the files of one adapter.

    about: gives what the files say of themselves, for a step. main: the layout of the main file.
    """

    adapter: Live
    facts: Facts
    about: Callable[[int], About]
    main: Literal["diffusers", "lycoris"]
    _said: set[str] = field(default_factory=set, init=False, repr=False)

    def write(self, folder: Path, run_name: str, *, step: int) -> None:
        """Write every layout of what acts now below a folder, read each back, and compare.

        Raises CheckpointError when a file does not hold what acts.
        """
        changes, about = self.adapter.changes(), self.about(step)
        main = self._write_main(folder, changes, about)
        prove(self.adapter, main, self.facts)
        if problem := _no_rule_in_comfyui(changes):
            self._say_once(f"no file for ComfyUI is written: {problem}")
            return
        path = folder / _comfyui_file(run_name)
        write_adapter(path, changes, "comfyui", about, self.facts, weight_of=self._weight)
        prove(self.adapter, path, self.facts)

    def write_main(self, folder: Path, *, step: int) -> Path:
        """Write the main file alone into a folder, for videos, and return its path."""
        return self._write_main(folder, self.adapter.changes(), self.about(step))

    def prove(self, scratch: Path) -> None:
        """Write and prove every file with the adapter moved a little at random; then it is where it was."""
        started = time.monotonic()
        prove_before_training(self, self.adapter, scratch=scratch)
        log.info(
            "adapter files were tried out, read back and compared layer by layer, in %.1f s", time.monotonic() - started
        )

    def places(self, run_name: str) -> tuple[Path, ...]:
        """Return the files that `write` makes, below its folder; the main one first."""
        description = (Path(DESCRIPTION_FILE),) if self.main == "lycoris" else ()
        comfyui = () if _no_rule_in_comfyui(self.adapter.changes()) else (_comfyui_file(run_name),)
        return (Path(MAIN_FILE), *description, *comfyui)

    def _write_main(self, folder: Path, changes: Mapping[str, Change], about: About) -> Path:
        path = folder / MAIN_FILE
        write_adapter(path, changes, self.main, about, self.facts)
        if self.main == "lycoris":
            write_json(folder / DESCRIPTION_FILE, dict(about.settings))
        return path

    def _weight(self, name: str) -> Tensor:
        return plain_weight(linear_of(self.adapter.transformer, name))

    def _say_once(self, message: str) -> None:
        if message not in self._said:
            self._said.add(message)
            log.info(message)


def _comfyui_file(run_name: str) -> Path:
    return Path("comfyui") / f"{run_name}.safetensors"


def _no_rule_in_comfyui(changes: Mapping[str, Change]) -> str | None:
    """Return why ComfyUI cannot read a change of these; None where it can read all."""
    return next((problem for change in changes.values() if (problem := no_rule(change, "comfyui"))), None)
