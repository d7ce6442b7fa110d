"""A whole run, in order: data, plan, checks of the machine, caches, loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from reeltune.config.datasets import Datasets
from reeltune.config.root import Config
from reeltune.contracts.clip import ManifestRow
from reeltune.contracts.events import EventSink
from reeltune.contracts.outcome import Outcome
from reeltune.contracts.progress import Track
from reeltune.data.manifest import summary, write_manifest
from reeltune.families import check_family, family_facts, open_family
from reeltune.run.assemble import assemble, checkpoints_of
from reeltune.run.folder import held, is_finished, mark_finished, move_aside, write_records
from reeltune.run.launch import DTYPES, choose_device, stop_on_signal
from reeltune.run.plan import Plan, make_plan
from reeltune.run.preflight import require_writable
from reeltune.run.prepare import Prepared, fill_caches, make_manifest
from reeltune.run.resume import changes_since, choose_start, told_changes
from reeltune.train.audience import Audience
from reeltune.train.loop import Loop
from reeltune.train.results import FILE_NAME

log = logging.getLogger(__name__)

SinksFor = Callable[[Path], Sequence[EventSink]]


def train(config: Config, datasets: Datasets, *, track: Track, sinks_for: SinksFor) -> Outcome:
    """Run to the end, or until asked to stop.

    sinks_for: gives the listeners for a run folder. What is wrong with options, data, model or machine is raised before
    the run folder is touched.
    """
    check_family(config.model)
    facts = family_facts(config.model)
    rows = make_manifest(config, datasets, facts, track)
    plan = make_plan(config, datasets, rows, facts)
    for line in [*summary(rows), *plan.lines()]:
        log.info("%s", line)
    folder = config.reporting.run_folder
    require_writable(folder, "output_dir")
    start = choose_start(config, checkpoints_of(config))
    if start is not None and start >= plan.total_steps and is_finished(folder, start):
        return _outcome(folder, plan, start, nothing_to_do=True)
    with held(folder):
        return _carry_out(config, datasets, rows, start=start, track=track, sinks_for=sinks_for)


def _carry_out(
    config: Config,
    datasets: Datasets,
    rows: Sequence[ManifestRow],
    *,
    start: int | None,
    track: Track,
    sinks_for: SinksFor,
) -> Outcome:
    folder, device = config.reporting.run_folder, choose_device()
    family = open_family(config.model, DTYPES[config.model.mixed_precision])
    prepared = fill_caches(config, datasets, rows, family=family, device=device, track=track)
    plan = make_plan(config, datasets, prepared.rows, family.facts)
    with stop_on_signal() as stop, closing(Audience(sinks_for(folder))) as audience:
        loop = assemble(
            config,
            datasets,
            plan=plan,
            family=family,
            prepared=prepared,
            device=device,
            audience=audience,
            stop_requested=stop.asked,
        )
        _open_folder(loop, folder, config, prepared, start=start)
        loop.run()
        if loop.state.step >= plan.total_steps:
            mark_finished(folder, loop.state.step)
    return _outcome(folder, plan, loop.state.step)


def _open_folder(loop: Loop, folder: Path, config: Config, prepared: Prepared, *, start: int | None) -> None:
    """Bring the loop to where the run goes on, and let the folder say what the run is."""
    checkpoints = loop.keeping.checkpoints
    if not config.reporting.resume_from_checkpoint:
        move_aside(folder)
    if start is not None:
        loop.state.restore(checkpoints.load(start))
        log.info("continuing from %s", checkpoints.path(start))
        for line in _told_differences(loop, config, start):
            log.warning("%s", line)
        for place in checkpoints.set_aside_after(start):
            log.info("a later checkpoint was renamed to %s", place.name)
    checkpoints.clear_drafts()
    write_records(folder, loop.keeping.records)
    write_manifest(prepared.rows, folder / "manifest.jsonl")


def _told_differences(loop: Loop, config: Config, start: int) -> list[str]:
    checkpoints, records = loop.keeping.checkpoints, loop.keeping.records
    lines = told_changes(changes_since(config, checkpoints.record(start, "config.json")))
    if checkpoints.record(start, "data.json") != records["data.json"]:
        lines.append("the clips or captions have changed since the checkpoint: their order is a new one from here")
    return lines


def _outcome(folder: Path, plan: Plan, step: int, *, nothing_to_do: bool = False) -> Outcome:
    return Outcome(
        folder,
        folder / FILE_NAME,
        step,
        plan.total_steps,
        nothing_to_do=nothing_to_do,
        length_option=plan.length_option,
        length=plan.length,
    )
