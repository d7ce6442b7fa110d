from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from reeltune.contracts.events import (
    CheckpointSaved,
    EventSink,
    RenderFailed,
    RunFinished,
    RunStarted,
    SampleRendered,
    StepDone,
    StepSkipped,
)
from reeltune.report.console import TrainingConsole, told_of


def step_done(step: int, *, of: int) -> StepDone:
    return StepDone(step, of, 0.1234, 1.0, 1.5e-4, tokens=1000, seconds=1.23, data_seconds=0.1)


def skipped(step: int) -> StepSkipped:
    return StepSkipped(step, math.nan, math.inf, ids=("clips/a", "clips/b"), sigmas=(0.5, 0.7), seed=3)


def test_the_last_line_of_training_has_the_steps_own_numbers(said: list[str]) -> None:
    console = TrainingConsole()
    for event in (RunStarted(1, 3), step_done(2, of=3), step_done(3, of=3), RunFinished(3, stopped=False)):
        console.receive(event)
    assert len(said) == 1
    assert said[0].startswith("training 3/3, ")
    assert said[0].endswith(", loss 0.1234, lr 1.5e-04, step 1.2 s, 813 tokens/s")


def test_where_the_gpu_is_known_its_use_is_shown_instead_of_tokens() -> None:
    assert told_of(replace(step_done(1, of=3), mfu=0.412))[-1] == "MFU 41%"


def test_a_skipped_step_counts_as_a_step(said: list[str]) -> None:
    console = TrainingConsole()
    for event in (RunStarted(0, 2), skipped(1), step_done(2, of=2)):
        console.receive(event)
    assert said[0] == "step 1 was skipped: loss nan, gradient norm inf, samples clips/a, clips/b"
    assert said[1].startswith("training 2/2, ")


def test_rare_events_are_lines(said: list[str]) -> None:
    console = TrainingConsole()
    console.receive(CheckpointSaved(5, Path("checkpoint-5"), 1.25))
    console.receive(SampleRendered(5, Path("a.mp4"), "raw", 75.0))
    console.receive(RenderFailed(5, "no memory"))
    assert said == [
        "saved checkpoint-5 in 1.2 s",
        "rendered a.mp4 in 1:15",
        "no validation video at step 5: no memory. Training goes on.",
    ]


def test_closing_twice_or_without_a_run_is_fine(said: list[str]) -> None:
    console = TrainingConsole()
    console.close()
    console.receive(RunStarted(0, 3))
    console.close()
    console.close()
    assert [line.split(",")[0] for line in said] == ["training 0/3"]


def test_the_console_is_a_sink() -> None:
    assert isinstance(TrainingConsole(), EventSink)
