"""The whole outlook of a run."""

from __future__ import annotations

from collections.abc import Iterator

from reeltune.config.load import Loaded
from reeltune.contracts.notes import Note, by_kind
from reeltune.contracts.outlook import Card, Component, Cost, DiskNeed, MemoryNeed, Outlook
from reeltune.contracts.progress import Track
from reeltune.families import check_family, family_dimensions, family_facts, family_locations
from reeltune.families.sources import Location
from reeltune.machine.gpu import Gpu, find_gpus
from reeltune.run.manifest import make_manifest
from reeltune.run.means import Means
from reeltune.run.outlook.basis import Basis
from reeltune.run.outlook.cost import cost_outlook
from reeltune.run.outlook.course import length_outlook, noise_outlook, rate_outlook, render_outlook, routing_outlook
from reeltune.run.outlook.data import bucket_outlooks, dataset_outlooks
from reeltune.run.outlook.room import disk_outlook, memory_outlook, trained_outlook
from reeltune.run.plan import make_plan
from reeltune.run.rendering_plan import plan_rendering

STATES = {
    "file": "here",
    "folder": "here",
    "cache": "in the hub's cache",
    "hub": "to be fetched",
    "missing": "missing",
}
ON_THE_PAGE = {("fact", "flow_schedule_shift"), ("fact", "flow_schedule_auto_shift")}
"""Notes that say what the page itself shows."""

MANY = 0.15
"""A share of the time for videos that is worth a word."""


def look_ahead(loaded: Loaded, means: Means, *, track: Track) -> Outlook:
    """Work out what a run will do and take.

    Raises ConfigError, DataError or ModelError for what would keep it from starting.
    """
    config = loaded.config
    check_family(config.model)
    facts, size = family_facts(config.model), family_dimensions(config.model)
    manifest = make_manifest(config, loaded.datasets, facts, track)
    plan = make_plan(config, loaded.datasets, manifest.trained, facts)
    basis = Basis(config, loaded.datasets, manifest, plan, plan_rendering(config, facts), facts, size)
    locations = family_locations(config.model)
    cards = find_gpus()
    card = cards[0] if cards else None
    cost, disk, memory = cost_outlook(basis, card), disk_outlook(basis), memory_outlook(basis)
    notes = [
        *loaded.notes,
        *(note for note in plan.notes if (note.kind, note.about) not in ON_THE_PAGE),
        *means.notes,
        *_model_notes(locations, basis),
        *_routing_notes(basis),
        *_render_notes(cost, basis),
        *_shortages(disk, memory, card),
    ]
    return Outlook(
        run=str(config.reporting.run_folder),
        components=tuple(Component(one.component, one.place, STATES[one.state]) for one in locations),
        trained=trained_outlook(basis),
        datasets=dataset_outlooks(basis),
        buckets=bucket_outlooks(basis),
        length=length_outlook(basis),
        rates=rate_outlook(basis),
        noise=noise_outlook(basis),
        routing=routing_outlook(basis),
        cost=cost,
        renders=render_outlook(basis),
        disk=disk,
        memory=memory,
        card=Card(card.name, card.memory_bytes, card.free_bytes) if card else None,
        notes=tuple(by_kind(notes)),
    )


def _model_notes(locations: list[Location], basis: Basis) -> Iterator[Note]:
    missing = [one for one in locations if one.state == "missing"]
    if missing:
        places = ", ".join(f"{one.component} in {one.place}" for one in missing)
        yield Note("trap", "pretrained_model_name_or_path", f"the run cannot start: not found: {places}")
    fetched = sorted({one.place for one in locations if one.state == "hub"})
    if fetched:
        text = f"the first start fetches the model from the hub: {', '.join(fetched)}"
        yield Note("fact", "pretrained_model_name_or_path", text)
    if basis.dimensions is None:
        text = "the size of the model is not known before it is fetched: operations and memory are left out here"
        yield Note("fact", "pretrained_model_name_or_path", text)


def _routing_notes(basis: Basis) -> Iterator[Note]:
    tread = basis.config.training.tread_config
    if tread:
        kept = ", ".join(f"{route.selection_ratio:g} keeps {1 - route.selection_ratio:.0%}" for route in tread.routes)
        text = f"selection_ratio is the share of the video tokens that is left out: {kept}; in training only"
        yield Note("trap", "tread_config", text)


def _render_notes(cost: Cost | None, basis: Basis) -> Iterator[Note]:
    share, every = cost.render_share if cost else None, basis.config.rendering.validation_steps
    if share is None or share <= MANY or not every:
        return
    # A tenth of the time: videos / (videos + steps) falls with the interval.
    wanted = round(every * 9 * share / (1 - share))
    text = (
        f"videos every {every} steps take about {share:.0%} of the time; validation_steps={_rounded_up(wanted)} would "
        "take a tenth"
    )
    yield Note("trap", "validation_steps", text)


def _rounded_up(steps: int) -> int:
    """Return a number of at most two digits and zeros."""
    unit = 10 ** max(0, len(str(steps)) - 2)
    return -(-steps // unit) * unit


def _shortages(disk: tuple[DiskNeed, ...], memory: tuple[MemoryNeed, ...], card: Gpu | None) -> Iterator[Note]:
    for need in disk:
        if need.need_bytes > need.free_bytes:
            text = f"{need.what} need {_gb(need.need_bytes)}, and {_gb(need.free_bytes)} are free on that disk"
            yield Note("trap", need.folder, text)
    for stage in memory:
        if card and stage.need_bytes > card.memory_bytes:
            text = (
                f"{stage.stage} needs about {_gb(stage.need_bytes)} of GPU memory, and the {card.name} has "
                f"{_gb(card.memory_bytes)}; smaller: train_batch_size, resolution, video.num_frames, "
                "base_model_precision=int8-quanto, gradient_checkpointing=true"
            )
            yield Note("trap", "GPU memory", text)


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
