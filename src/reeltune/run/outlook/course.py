"""How the run goes in the outlook: its length, the learning rate along it, token routing, videos."""

from __future__ import annotations

from fractions import Fraction

from reeltune.contracts.outlook import (
    Length,
    Rate,
    RateCurve,
    RenderOutlook,
    Routed,
    Routing,
)
from reeltune.estimate.flops import step_operations
from reeltune.estimate.rare_work import times_due
from reeltune.routing.plan import kept_tokens
from reeltune.run.checkpoint_room import start_of
from reeltune.run.notes import rates_along
from reeltune.run.outlook.basis import Basis
from reeltune.run.plan import plain
from reeltune.train.schedule import Schedule, schedule_of

POINTS = 120
"""Values of a curve that are handed over for its picture."""


def length_outlook(basis: Basis) -> Length:
    """Return how long the run is, and what of it a checkpoint holds already.

    Raises ConfigError for a checkpoint that is asked for and not there.
    """
    config, plan = basis.config, basis.plan
    return Length(
        total_steps=plan.total_steps,
        ended_by=plan.length_option,
        done=min(start_of(config.reporting) or 0, plan.total_steps),
        samples=plain(sum((group.samples for group in basis.groups), Fraction())),
        batch_size=config.training.train_batch_size,
        accumulation=config.training.gradient_accumulation_steps,
        batches_per_epoch=plan.batches_per_epoch,
        epochs=plan.epochs,
        checkpoints=times_due(config.reporting.checkpointing_steps, plan.total_steps),
        shares=plan.shares,
        is_even=plan.is_even,
    )


def rate_outlook(basis: Basis) -> RateCurve:
    """Return the learning rate along the run."""
    config = basis.config
    schedule = schedule_of(config.optimization, basis.plan.total_steps, samples=config.training.samples_per_step)
    last = schedule.total - 1
    return RateCurve(
        name=schedule.name + _course_in_words(schedule),
        rates=tuple(Rate(percent, step, rate) for percent, step, rate in rates_along(schedule)),
        values=tuple(schedule.rate(last * point // (POINTS - 1)) for point in range(POINTS)),
    )


def _course_in_words(schedule: Schedule) -> str:
    warmup = schedule.effective_warmup
    if warmup >= schedule.total:
        return f": only rises, for its warm-up takes {warmup:,} steps"
    if warmup:
        return f" after {warmup:,} steps of warm-up"
    forgone = schedule.warmup >= schedule.total
    decays = schedule.rate(schedule.total - 1) < schedule.rate(0)
    return ": full rate at once, then decay over the whole run" if forgone and decays else ""


def routing_outlook(basis: Basis) -> Routing | None:
    """Return what token routing does to the largest bucket; None when nothing is routed."""
    if not basis.segments or not basis.dimensions:
        return None
    tokens = basis.tokens(basis.largest)
    routed, plain = (
        step_operations(
            basis.dimensions,
            seen,
            trained=basis.trained_part,
            recomputation=basis.recomputation,
            every=basis.recomputed_every,
        ).total
        for seen in (basis.tokens_by_block(basis.largest), tokens)
    )
    return Routing(
        segments=tuple(
            Routed(segment.first, segment.last, kept_tokens(tokens, segment.dropped)) for segment in basis.segments
        ),
        all_tokens=tokens,
        saving=1 - routed / plain,
    )


def render_outlook(basis: Basis) -> RenderOutlook | None:
    """Return the videos of the run; None when there are none."""
    plan, rendering = basis.rendering, basis.config.rendering
    if not plan.videos:
        return None
    return RenderOutlook(
        prompts=len({video.prompt for video in plan.videos}),
        videos=plan.renders_per_time,
        times=render_times(basis) + plan.benchmark,
        sizes=tuple(dict.fromkeys((video.width, video.height) for video in plan.videos)),
        frames=plan.frames,
        steps=rendering.validation_num_inference_steps,
        scheduler=rendering.validation_noise_scheduler,
    )


def render_times(basis: Basis) -> int:
    """Return how often the trained weights are rendered: at each interval, and at the end."""
    return times_due(basis.config.rendering.validation_steps, basis.plan.total_steps)
