"""The whole outlook of a run."""

from __future__ import annotations

from reeltune.config.load import Loaded
from reeltune.contracts.notes import by_kind
from reeltune.contracts.outlook import Card, Component, Outlook
from reeltune.contracts.progress import Track
from reeltune.families import check_family, family_dimensions, family_facts, family_layers, family_locations
from reeltune.machine.gpu import find_gpus
from reeltune.run.depth import check_depth
from reeltune.run.held_out_notes import held_out_notes
from reeltune.run.manifest import make_manifest
from reeltune.run.means import Means
from reeltune.run.outlook.advice import model_notes, routing_notes, video_notes
from reeltune.run.outlook.basis import Basis
from reeltune.run.outlook.cost import cost_outlook
from reeltune.run.outlook.course import length_outlook, rate_outlook, render_outlook, routing_outlook
from reeltune.run.outlook.data import bucket_outlooks, dataset_outlooks
from reeltune.run.outlook.disk import disk_outlook
from reeltune.run.outlook.evaluation import evaluation_outlook
from reeltune.run.outlook.memory import memory_outlook
from reeltune.run.outlook.noise import noise_outlook
from reeltune.run.outlook.trained import trained_outlook
from reeltune.run.outlook.trained_notes import trained_notes
from reeltune.run.plan import make_plan
from reeltune.run.rendering_plan import plan_rendering
from reeltune.run.resume import choose_start
from reeltune.run.trained_layers import check_trained

STATES = {
    "file": "here",
    "folder": "here",
    "cache": "in the hub's cache",
    "hub": "to be fetched",
}
"""Where a component is, in words. One that is missing has ended the plan before."""

ON_THE_PAGE = {("fact", "flow_schedule_shift"), ("fact", "flow_schedule_auto_shift")}
"""Notes that say what the page itself shows."""


def look_ahead(loaded: Loaded, means: Means, *, track: Track) -> Outlook:
    """Work out what a run will do and take.

    Raises ConfigError, DataError or ModelError for what would keep it from starting.
    """
    config = loaded.config
    check_family(config.model)
    facts, size = family_facts(config.model), family_dimensions(config.model)
    if size:
        check_depth(config, size.layers)
    check_trained(config)
    choose_start(config)
    manifest = make_manifest(config, loaded.datasets, facts, track)
    plan = make_plan(config, loaded.datasets, manifest.trained, facts)
    rendering, layers = plan_rendering(config, facts), family_layers(config.model)
    basis = Basis(config, loaded.datasets, manifest, plan, rendering, facts, size, layers)
    locations = family_locations(config.model)
    cards = find_gpus()
    card = cards[0] if cards else None
    notes = [
        *loaded.notes,
        *(note for note in plan.notes if (note.kind, note.about) not in ON_THE_PAGE),
        *held_out_notes(config, loaded.datasets, manifest),
        *means.notes,
        *model_notes(locations, basis),
        *trained_notes(basis),
        *routing_notes(basis),
        *video_notes(basis, card),
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
        cost=cost_outlook(basis, card),
        renders=render_outlook(basis),
        evaluation=evaluation_outlook(basis),
        disk=disk_outlook(basis),
        memory=memory_outlook(basis),
        card=Card(card.name, card.memory_bytes, card.free_bytes) if card else None,
        notes=tuple(by_kind(notes)),
    )
