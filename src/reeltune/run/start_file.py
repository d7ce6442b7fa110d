"""The adapter file that a run starts from, looked at before anything is loaded or encoded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reeltune.adapters.changes import Decomposed, LowRank
from reeltune.adapters.layouts import AdapterFile, check_fit, read_adapter
from reeltune.adapters.lora_given import require_lora
from reeltune.config.root import Config
from reeltune.contracts.facts import Facts
from reeltune.contracts.layers import LinearLayer
from reeltune.errors import ConfigError
from reeltune.run.checkpoint_room import start_of


def start_file(config: Config, layers: Sequence[LinearLayer], facts: Facts) -> AdapterFile | None:
    """Return what `init_lora` holds; None where it names nothing, or the run goes on from a checkpoint of its own.

    layers: of the base; none where its size is not known yet. Raises ModelError for a file that is no adapter, is
    damaged, or was made for another base; ConfigError for a LoRA of another rank.
    """
    if not config.adapter.init_lora or config.model.model_type == "full" or start_of(config.reporting) is not None:
        return None
    file = read_adapter(Path(config.adapter.init_lora).expanduser(), facts)
    if layers:
        check_fit(file, layers)
    if config.adapter.lora_type == "standard":
        require_lora(file.changes)
        _require_rank(file, config.adapter.lora_rank)
    return file


def _require_rank(file: AdapterFile, rank: int) -> None:
    for name, change in file.changes.items():
        pair = change.inner if isinstance(change, Decomposed) else change
        if isinstance(pair, LowRank) and pair.down.shape[0] != rank:
            there = pair.down.shape[0]
            raise ConfigError(
                f"init_lora: {file.path} has rank {there} at {name}, this run {rank}: set lora_rank={there}"
            )
