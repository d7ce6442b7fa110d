"""What a run's files say of themselves: the base, the kind of training, the data, as far as it may be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reeltune.adapters.about import About
from reeltune.config.lycoris import lycoris_of
from reeltune.config.root import Config
from reeltune.config.targets import target_entries
from reeltune.contracts.clip import samples_of
from reeltune.contracts.facts import Facts
from reeltune.families.sources import is_repository
from reeltune.run.prepare import Prepared


def about_file(config: Config, facts: Facts, prepared: Prepared, step: int, *, base_fingerprint: str) -> About:
    """Return what a file of this step says of itself. No dates and no names of files: equal runs make equal files."""
    adapter = config.adapter
    lycoris = adapter.lycoris_config if adapter.lora_type == "lycoris" else None
    described = lycoris_of(lycoris) if lycoris else None
    common: dict[str, Any] = {
        "base_model": _name_of(config.model.base_model),
        "base_fingerprint": base_fingerprint,
        "step": step,
        "data": _data(prepared),
        "title": config.reporting.run_name,
        "architecture": facts.architecture,
        "implementation": facts.implementation,
    }
    if config.model.model_type == "full":
        return About(kind="full", **common)
    if described:
        settings = described.model_dump(mode="json", exclude_unset=True)
        return About(
            kind=described.algo, rank=described.linear_dim, alpha=described.linear_alpha, settings=settings, **common
        )
    return About(
        kind="dora" if adapter.use_dora else "lora",
        rank=adapter.lora_rank,
        alpha=float(adapter.lora_rank if adapter.lora_alpha is None else adapter.lora_alpha),
        targets=target_entries(adapter),
        settings={"lora_blocks": adapter.lora_blocks} if adapter.lora_blocks else {},
        **common,
    )


def _name_of(base: str) -> str:
    """Return a base model's name on the hub, or of a place on this machine its last part: files are published."""
    path = Path(base).expanduser()
    return base if is_repository(base) and not path.exists() else path.name


def _data(prepared: Prepared) -> dict[str, Any]:
    """Return how many clips were trained, and in which shapes."""
    samples = samples_of(prepared.manifest.trained)
    buckets: dict[str, int] = {}
    for sample in samples:
        name = str(sample.placement.bucket)
        buckets[name] = buckets.get(name, 0) + 1
    return {"samples": len(samples), "buckets": dict(sorted(buckets.items()))}
