"""A whole run, in order: data, plan, checks of the machine, caches, loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path

from reeltune.adapters.full_files import FOLDER as MODEL_FOLDER
from reeltune.adapters.publish import MAIN_FILE
from reeltune.config.load import Loaded
from reeltune.config.root import Config
from reeltune.contracts.checkpoints import place_of, record_of
from reeltune.contracts.clip import Manifest, samples_of
from reeltune.contracts.events import EventSink
from reeltune.contracts.notes import Note, by_kind
from reeltune.contracts.outcome import Outcome, ResultKind
from reeltune.contracts.progress import Track
from reeltune.data.manifest import by_dataset, rate_notes, summary
from reeltune.data.manifest_records import write_manifest
from reeltune.families import check_family, family_dimensions, family_facts, family_layers
from reeltune.families.opening import check_weights, open_family
from reeltune.report.journal import JOURNAL, step_losses
from reeltune.run.adapter_record import ADAPTER_RECORD
from reeltune.run.assemble import assemble
from reeltune.run.caption_lengths import caption_lengths
from reeltune.run.depth import check_depth
from reeltune.run.folder import held, is_finished, mark_finished, move_aside, write_records
from reeltune.run.held_out_notes import held_out_notes
from reeltune.run.launch import choose_device, opening_of, stop_on_signal
from reeltune.run.manifest import make_manifest, write_quarantine
from reeltune.run.means import Means
from reeltune.run.plan import Plan, make_plan
from reeltune.run.preflight import require_writable
from reeltune.run.prepare import Prepared, fill_caches
from reeltune.run.resume import changes_since, choose_start, content_changes_since, told_changes
from reeltune.run.rules import rules_of
from reeltune.run.start_file import start_file
from reeltune.run.trained_layers import check_trained
from reeltune.run.trained_words import result_kind
from reeltune.train.audience import Audience
from reeltune.train.best import follow_start
from reeltune.train.history import FILE_NAME, History
from reeltune.train.loop import Loop

log = logging.getLogger(__name__)

SinksFor = Callable[[Path], Sequence[EventSink]]


def train(loaded: Loaded, means: Means, *, track: Track, sinks_for: SinksFor) -> Outcome:
    """Run to the end, or until asked to stop.

    sinks_for: gives the listeners for a run folder. What is wrong with options, data, model or machine is raised before
    the run folder is touched.
    """
    config = loaded.config
    check_family(config.model)
    check_weights(config.model)
    _check_blocks(config)
    check_trained(config)
    facts = family_facts(config.model)
    start_file(config, family_layers(config.model), facts)
    manifest = make_manifest(config, loaded.datasets, facts, track)
    plan = make_plan(config, loaded.datasets, manifest.trained, facts)
    _announce(loaded, means, manifest, plan)
    folder = config.reporting.run_folder
    require_writable(folder, "output_dir")
    start = choose_start(config)
    if start is not None and start >= plan.total_steps and is_finished(folder, start):
        return _outcome(config, plan, start, nothing_to_do=True)
    with held(folder):
        return _carry_out(loaded, manifest, start=start, track=track, sinks_for=sinks_for)


def prepare(loaded: Loaded, *, track: Track) -> Prepared:
    """Look at the data and fill the caches; nothing is trained, and the run folder is not touched."""
    config = loaded.config
    check_family(config.model)
    check_weights(config.model)
    _check_blocks(config)
    check_trained(config)
    manifest = make_manifest(config, loaded.datasets, family_facts(config.model), track)
    _tell_data(manifest)
    _tell(loaded.notes)
    family = open_family(config.model, opening_of(config))
    _tell_lengths(config, manifest)
    return fill_caches(
        config,
        loaded.datasets,
        manifest,
        family=family,
        device=choose_device(),
        track=track,
        files=loaded.files,
        every_clip=True,
    )


def _announce(loaded: Loaded, means: Means, manifest: Manifest, plan: Plan) -> None:
    """Say before anything is done what was understood."""
    _tell_data(manifest)
    for line in [*_rates(loaded, manifest), plan.length_in_words()]:
        log.info("%s", line)
    held_out = held_out_notes(loaded.config, loaded.datasets, manifest)
    _tell((*loaded.notes, *plan.notes, *held_out, *means.notes))


def _tell_data(manifest: Manifest) -> None:
    """Say what becomes of the files, the louder where some are left out of training."""
    level = logging.WARNING if any(row.sample is None for row in manifest.trained) else logging.INFO
    for line in summary(manifest.trained):
        log.log(level, "%s", line)
    if manifest.held_out:
        log.info("%d clips are held out and measured", len(samples_of(manifest.held_out)))


def _tell_lengths(config: Config, manifest: Manifest) -> None:
    """Say how long captions are; the tokenizer is here once the model is."""
    lengths = caption_lengths([caption for one in samples_of(manifest.rows) for caption in one.captions], config)
    if lengths:
        log.log(logging.WARNING if lengths.cut else logging.INFO, "%s", lengths.in_words())


def _tell(notes: Iterable[Note]) -> None:
    for note in by_kind(notes):
        level = logging.WARNING if note.kind in ("trap", "fallback") else logging.INFO
        log.log(level, "%s%s", "no effect: " if note.kind == "inert" else "", note)


def _check_blocks(config: Config) -> None:
    """Refuse blocks that the model does not have before hours go into encoding, where its size is known by now."""
    if size := family_dimensions(config.model):
        check_depth(config, size.layers)


def _rates(loaded: Loaded, manifest: Manifest) -> list[str]:
    """Return how the clips of each dataset are brought to the training rate."""
    config, facts = loaded.config, family_facts(loaded.config.model)
    rows = by_dataset(manifest.rows)
    return [
        f"{dataset.id}: {note}"
        for dataset in loaded.datasets.clips
        for note in rate_notes(rows.get(dataset.id, []), rules_of(dataset, config, facts))
    ]


def _carry_out(
    loaded: Loaded,
    manifest: Manifest,
    *,
    start: int | None,
    track: Track,
    sinks_for: SinksFor,
) -> Outcome:
    config, datasets = loaded.config, loaded.datasets
    folder, device = config.reporting.run_folder, choose_device()
    family = open_family(config.model, opening_of(config))
    _tell_lengths(config, manifest)
    prepared = fill_caches(config, datasets, manifest, family=family, device=device, track=track, files=loaded.files)
    plan = make_plan(config, datasets, prepared.manifest.trained, family.facts)
    # Listeners are closed last: they may wait for the network, and Ctrl-C then ends the waiting at once.
    with closing(prepared), closing(Audience(sinks_for(folder))) as audience, stop_on_signal() as stop:
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
        _open_folder(loop, folder, loaded, prepared, start=start)
        loop.keeping.results.prove(folder)
        loop.run()
        if result_kind(config) == "full" and config.adapter.full_output == "pipeline":
            family.write_pipeline(folder / "pipeline", folder / MODEL_FOLDER)
        # A stop during the last videos leaves some of them to the next start.
        if loop.state.step >= plan.total_steps and not stop.asked():
            mark_finished(folder, loop.state.step)
    return _outcome(config, plan, loop.state.step)


def _open_folder(loop: Loop, folder: Path, loaded: Loaded, prepared: Prepared, *, start: int | None) -> None:
    """Bring the loop to where the run goes on, and let the folder say what the run is."""
    config, checkpoints = loaded.config, loop.keeping.checkpoints
    if not config.reporting.resume_from_checkpoint:
        move_aside(folder)
    if start is not None:
        loop.state.restore(checkpoints.load(start))
        for sigmas, losses in step_losses(folder / JOURNAL, start):
            loop.watch.by_sigma.add(sigmas, losses)
        log.info("continuing from %s", place_of(folder, start))
        for line in _told_differences(loop, config, start):
            log.warning("%s", line)
        for place in checkpoints.set_aside_after(start):
            log.info("a later checkpoint was renamed to %s", place.name)
    _recall(loop, start)
    checkpoints.clear_drafts()
    write_records(folder, loop.keeping.records)
    write_manifest(prepared.manifest.rows, folder / "manifest.jsonl", datasets=loaded.datasets.clips)
    if config.data.delete_problematic_images:
        write_quarantine(prepared.manifest.rows, folder / "quarantine.jsonl")


def _recall(loop: Loop, start: int | None) -> None:
    """Let the history of measurements and the best checkpoint be those of the run up to its start."""
    checkpoints, evaluation = loop.keeping.checkpoints, loop.evaluation
    history = evaluation.history if evaluation else History(checkpoints.folder / FILE_NAME)
    history.go_on_from(start)
    best = evaluation.best(loop.keeping.results.result_of(loop.state)) if evaluation else None
    follow_start(checkpoints, start, best)


def _told_differences(loop: Loop, config: Config, start: int) -> list[str]:
    folder = config.reporting.run_folder
    lines = told_changes(
        changes_since(config, record_of(folder, start, "config.json"))
        | content_changes_since(config, record_of(folder, start, ADAPTER_RECORD))
    )
    then, now = record_of(folder, start, "data.json"), loop.keeping.records["data.json"]
    if any(then.get(part) != now[part] for part in ("fingerprint", "drawn")):
        lines.append(
            "the clips or captions have changed since the checkpoint, or their masks, or how often they are drawn: "
            "their order is a new one from here"
        )
    if (before := then.get("offsets", {})) != now["offsets"]:
        lines.append(f"changed since the checkpoint: timestep_sampling_offset: {before} -> {now['offsets']}")
    return lines


def _outcome(config: Config, plan: Plan, step: int, *, nothing_to_do: bool = False) -> Outcome:
    folder, kind = config.reporting.run_folder, result_kind(config)
    return Outcome(
        folder,
        folder / _main_result(kind),
        step,
        plan.total_steps,
        nothing_to_do=nothing_to_do,
        length_option=plan.length_option,
        length=plan.length,
        kind=kind,
    )


def _main_result(kind: ResultKind) -> str:
    """Return the main one of a run's results, in its folder."""
    return MODEL_FOLDER if kind == "full" else MAIN_FILE
