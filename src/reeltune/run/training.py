"""A whole run, in order: options, data, plan, checks of the machine, caches, loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from reeltune.config.datasets import Datasets
from reeltune.config.root import Config
from reeltune.contracts.clip import ManifestRow
from reeltune.contracts.events import EventSink
from reeltune.contracts.outcome import Outcome
from reeltune.contracts.progress import Track
from reeltune.data.manifest import summary, write_manifest
from reeltune.families import check_family, family_facts, open_family
from reeltune.run.assemble import assemble
from reeltune.run.folder import choose_start, write_records
from reeltune.run.launch import DTYPES, choose_device, stop_on_signal
from reeltune.run.plan import Plan, make_plan
from reeltune.run.preflight import require_writable
from reeltune.run.prepare import fill_caches, make_manifest
from reeltune.train.results import FILE_NAME

log = logging.getLogger(__name__)


def train(
    config: Config, datasets: Datasets, *, track: Track, sinks_for: Callable[[Path], Sequence[EventSink]]
) -> Outcome:
    """Run to the end, or until asked to stop.

    sinks_for: gives the listeners for a run folder. Whatever is wrong with options, data, model or machine is raised
    before anything is written.
    """
    check_family(config.model)
    rows = make_manifest(config, datasets, family_facts(config.model), track)
    plan = make_plan(config, datasets, rows, family_facts(config.model))
    for line in [*summary(rows), *plan.lines()]:
        log.info("%s", line)
    folder = Path(config.reporting.output_dir).expanduser()
    require_writable(folder, "output_dir")
    start = choose_start(config.reporting)
    if _is_finished(folder, start, plan):
        return Outcome(folder, folder / FILE_NAME, plan.total_steps, plan.total_steps, nothing_to_do=True)
    return _continue(config, datasets, rows, plan, start=start, track=track, sinks=sinks_for(folder))


def _continue(
    config: Config,
    datasets: Datasets,
    rows: Sequence[ManifestRow],
    plan: Plan,
    *,
    start: int | None,
    track: Track,
    sinks: Sequence[EventSink],
) -> Outcome:
    folder = Path(config.reporting.output_dir).expanduser()
    device, dtype = choose_device(), DTYPES[config.model.mixed_precision]
    family = open_family(config.model, dtype)
    samples = [row.sample for row in rows if row.sample]
    prepared = fill_caches(config, datasets, samples, family=family, device=device, track=track)
    with stop_on_signal() as stop:
        loop = assemble(
            config,
            datasets,
            samples,
            plan=plan,
            family=family,
            prepared=prepared,
            device=device,
            dtype=dtype,
            sinks=sinks,
            stop_requested=stop.asked,
        )
        write_records(folder, {"config.json": config.flat(), "plan.json": plan.record()})
        write_manifest(rows, folder / "manifest.jsonl")
        loop.checkpoints.clear_drafts()
        if start is not None:
            loop.state.restore(loop.checkpoints.load(start))
            log.info("continuing from %s", loop.checkpoints.path(start))
            for place in loop.checkpoints.set_aside_after(start):
                log.info("a later checkpoint was renamed to %s", place.name)
        loop.run()
    return Outcome(folder, folder / FILE_NAME, loop.state.step, plan.total_steps)


def _is_finished(folder: Path, start: int | None, plan: Plan) -> bool:
    return start is not None and start >= plan.total_steps and (folder / FILE_NAME).exists()
