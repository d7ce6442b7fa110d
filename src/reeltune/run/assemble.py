"""From options to a loop: each room is handed its part, and nothing is decided later."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping

import torch
from torch import nn

from reeltune.config.datasets import Datasets
from reeltune.config.optimizer_checks import settings_of
from reeltune.config.root import Config
from reeltune.config.scaled_rate import scaled_rate
from reeltune.contracts.batch import Batch, KeptTokens
from reeltune.contracts.events import EventSink
from reeltune.contracts.facts import Facts
from reeltune.contracts.family import Family
from reeltune.contracts.trained import Publisher, Trained
from reeltune.data.batches import BatchSource, Captions
from reeltune.objective.flow import ChooseTokens, FlowMatching, keep_all, objective_of
from reeltune.randomness import Draws, Purpose
from reeltune.routing.choose import choose_tokens
from reeltune.routing.plan import Segment
from reeltune.run.about import about_file
from reeltune.run.adapter_record import ADAPTER_RECORD, adapter_record
from reeltune.run.attach import attach
from reeltune.run.checkpoint_room import checkpoint_room
from reeltune.run.depth import check_depth
from reeltune.run.evaluation import make_evaluation
from reeltune.run.measure import rounding_error_of
from reeltune.run.plan import Plan, make_order, segments_of
from reeltune.run.preflight import require_room
from reeltune.run.prepare import Prepared
from reeltune.run.renders import make_renders
from reeltune.run.watching import make_watch
from reeltune.train.checkpoint import Checkpoints
from reeltune.train.clipping import Clip, clipping
from reeltune.train.ema import Ema
from reeltune.train.loop import Keeping, Loop, Pace
from reeltune.train.optimizers import build_optimizer
from reeltune.train.recomputation import recompute_blocks
from reeltune.train.release import Release
from reeltune.train.results import Results
from reeltune.train.schedule import Every, schedule_of
from reeltune.train.state import TrainState

log = logging.getLogger(__name__)


def assemble(
    config: Config,
    datasets: Datasets,
    *,
    plan: Plan,
    family: Family,
    prepared: Prepared,
    device: torch.device,
    audience: EventSink,
    stop_requested: Callable[[], bool],
) -> Loop:
    """Load the transformer, attach what is trained, and put the loop together."""
    draws = Draws(config.training.seed)
    transformer = family.load_transformer(device)
    check_depth(config, layers_of(transformer, family.facts))
    _tell_rounding(config, family, transformer, device)
    about = functools.partial(about_file, config, family.facts, prepared, base_fingerprint=family.base_fingerprint())
    attached = attach(config, transformer, family, seed=_adapter_seed(draws), about=about)
    _require_room(config, plan, attached.trained)
    _set_for_training(config, transformer, family.facts)
    source = _batches(config, datasets, prepared, draws, family.facts, pin=device.type == "cuda")
    state = _state(config, attached.trained, device)
    return Loop(
        pace=_pace(config, plan),
        family=family,
        transformer=transformer,
        state=state,
        objective=_objective(config, transformer, family.facts, draws),
        read_batches=lambda start, end: source.read_from(start, end=end),
        schedule=schedule_of(config.optimization, plan.total_steps, samples=config.training.samples_per_step),
        clip=_clip(config, state),
        draws=draws,
        keeping=_keeping(config, datasets, plan, attached.publisher, prepared),
        renders=make_renders(
            config,
            family=family,
            transformer=transformer,
            prepared=prepared,
            showing=attached.showing(state),
            device=device,
        ),
        device=device,
        audience=audience,
        stop_requested=stop_requested,
        evaluation=make_evaluation(config, family=family, transformer=transformer, prepared=prepared, device=device),
        watch=make_watch(config, family.facts, trained=attached.trained, transformer=transformer, device=device),
    )


def layers_of(transformer: nn.Module, facts: Facts) -> int:
    """Return the number of blocks."""
    return len(list(transformer.get_submodule(facts.blocks).children()))


def checkpoints_of(config: Config) -> Checkpoints:
    """Return the checkpoints of the run folder, written or yet to come."""
    return Checkpoints(config.reporting.run_folder, config.reporting.checkpoints_total_limit)


def _tell_rounding(config: Config, family: Family, transformer: nn.Module, device: torch.device) -> None:
    """Say what the base's rounding to eight bits does to its answers."""
    error = rounding_error_of(config, family, transformer, device)
    if error is not None:
        log.info("%s changes the base's velocity by %.2f %%", config.model.base_model_precision, 100 * error)


def _adapter_seed(draws: Draws) -> int:
    return int(draws.stream(Purpose.ADAPTER).integers(2**63))


def _require_room(config: Config, plan: Plan, trained: Trained) -> None:
    weights = sum(parameter.numel() for parameter in trained.trainable().values())
    room = checkpoint_room(config, weights=weights, total_steps=plan.total_steps)
    if room.count:
        require_room(config.reporting.run_folder, room.size_bytes, str(room))


def _set_for_training(config: Config, transformer: nn.Module, facts: Facts) -> None:
    transformer.train()
    if config.training.gradient_checkpointing:
        recompute_blocks(transformer, facts.blocks, every=config.training.gradient_checkpointing_interval)


def _state(config: Config, trained: Trained, device: torch.device) -> TrainState:
    chosen, parameters = config.optimization, trained.trainable()
    rate = scaled_rate(chosen, config.training.samples_per_step)
    optimizer = build_optimizer(
        chosen.optimizer, list(parameters.values()), learning_rate=rate, settings=settings_of(chosen)
    )
    return TrainState(trained, optimizer, _average(config, parameters, device) if config.average.use_ema else None)


def _average(config: Config, parameters: Mapping[str, nn.Parameter], device: torch.device) -> Ema:
    chosen = config.average
    return Ema(
        parameters,
        decay=chosen.ema_decay,
        interval=chosen.ema_update_interval,
        on_host=chosen.ema_device == "cpu" and device.type != "cpu",
        foreach=not chosen.ema_foreach_disable,
    )


def _clip(config: Config, state: TrainState) -> Clip:
    """Return what measures and limits gradients; with gradient release it moves the weights, too."""
    clip = clipping(config.optimization.grad_clip_method, config.optimization.max_grad_norm)
    return Release(state, clip) if config.optimization.optimizer_release_gradients else clip


def _objective(config: Config, transformer: nn.Module, facts: Facts, draws: Draws) -> FlowMatching:
    return objective_of(
        config.objective,
        draws,
        samples_per_step=config.training.samples_per_step,
        choose_tokens=_routing(segments_of(config, layers_of(transformer, facts)), facts, draws),
    )


def _routing(segments: tuple[Segment, ...], facts: Facts, draws: Draws) -> ChooseTokens:
    """Return which tokens each sample keeps in the routed blocks."""
    if not segments:
        return keep_all

    def choose(batch: Batch, *, step: int, first_index: int) -> tuple[KeptTokens, ...]:
        tokens = facts.geometry.tokens_of(batch.bucket)
        return choose_tokens(
            draws,
            step=step,
            first_index=first_index,
            batch_size=batch.size,
            tokens=tokens,
            segments=segments,
            forced=batch.always_kept,
        )

    return choose


def _batches(
    config: Config, datasets: Datasets, prepared: Prepared, draws: Draws, facts: Facts, *, pin: bool
) -> BatchSource:
    return BatchSource(
        items=prepared.items,
        captions=Captions(prepared.text, prepared.prompt_keys[""], config.data.caption_dropout_probability),
        order=make_order(config, datasets, prepared.samples),
        draws=draws,
        batch_size=config.training.train_batch_size,
        accumulation=config.training.gradient_accumulation_steps,
        pin=pin,
        patch=facts.geometry.patch,
    )


def _pace(config: Config, plan: Plan) -> Pace:
    return Pace(
        total_steps=plan.total_steps,
        batch_size=config.training.train_batch_size,
        accumulation=config.training.gradient_accumulation_steps,
        checkpoint=Every(config.reporting.checkpointing_steps),
        render=Every(config.rendering.validation_steps),
    )


def _keeping(config: Config, datasets: Datasets, plan: Plan, publisher: Publisher, prepared: Prepared) -> Keeping:
    averaged = config.average.use_ema and config.rendering.ema_validation == "ema_only"
    results = Results(config.reporting.run_folder.name, "ema" if averaged else "raw", publisher)
    records = {
        "config.json": config.flat(),
        "plan.json": plan.record(),
        ADAPTER_RECORD: adapter_record(config),
        "data.json": {"fingerprint": prepared.fingerprint, "drawn": _drawn(datasets), "offsets": _offsets(datasets)},
    }
    return Keeping(checkpoints_of(config), results, records)


def _drawn(datasets: Datasets) -> dict[str, dict[str, object]]:
    """Return what decides, beside the clips themselves, which of them a step is given."""
    names = ("repeats", "probability", "is_regularisation_data", "vae_cache_clear_each_epoch")
    return {dataset.id: {name: getattr(dataset, name) for name in names} for dataset in datasets.trained}


def _offsets(datasets: Datasets) -> dict[str, float]:
    """Return how far datasets move their noise levels; only those that do."""
    moved = {dataset.id: dataset.timestep_sampling_offset for dataset in datasets.trained}
    return {name: offset for name, offset in moved.items() if offset}
