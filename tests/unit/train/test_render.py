"""Videos of a step and of the bare base: which are made, from what, and what a failure leaves behind."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from reeltune.contracts.events import RenderFailed, SampleRendered
from reeltune.contracts.family import Render, RenderRequest
from reeltune.train.render import NamedRequest, Renders, reseeded
from reeltune.train.shown import Show, Shown

TEXT = torch.zeros(1, 6)
REQUEST = RenderRequest(TEXT, TEXT, 32, 32, frames=5, steps=1, guidance=1.0, seed=7, flow_shift=None)


@dataclass
class Studio:
    """A renderer that remembers what it was asked for, uses up random numbers, and fails for some widths."""

    failing: set[int] = field(default_factory=set)
    opened: int = 0
    asked: list[tuple[RenderRequest, str | None]] = field(default_factory=list)

    @contextmanager
    def open(self) -> Iterator[Render]:
        self.opened += 1
        yield self.render

    def render(self, request: RenderRequest, adapter: Path | None) -> np.ndarray:
        torch.rand(5)
        self.asked.append((request, adapter.read_text() if adapter else None))
        if request.width in self.failing:
            raise RuntimeError("out of memory")
        return np.zeros((5, 32, 32, 3), np.uint8)

    @contextmanager
    def showing(self) -> Iterator[Show]:
        with tempfile.TemporaryDirectory() as scratch:
            yield lambda shown: self.show(shown, Path(scratch) / "file")

    @contextmanager
    def show(self, shown: Shown, file: Path) -> Iterator[Path | None]:
        file.write_text(shown)
        yield None if shown == "base" else file

    def renders(self, folder: Path, **changes: object) -> Renders:
        named = [NamedRequest(name, replace(REQUEST, width=width), name) for name, width in (("one", 32), ("two", 48))]
        options = {"benchmark_folder": folder / "benchmark"} | changes
        return Renders(folder / "validation", named, ("raw", "ema"), 16.0, self.showing, self.open, **options)  # pyright: ignore[reportArgumentType]


def test_each_video_is_made_from_each_weights(tmp_path: Path) -> None:
    studio = Studio()
    events = list(studio.renders(tmp_path).render(3))
    assert [(event.path.name, event.weights) for event in events if isinstance(event, SampleRendered)] == [
        ("step-000003-one-raw.mp4", "raw"),
        ("step-000003-one-ema.mp4", "ema"),
        ("step-000003-two-raw.mp4", "raw"),
        ("step-000003-two-ema.mp4", "ema"),
    ]
    assert [adapter for _, adapter in studio.asked] == ["raw", "ema"] * 2
    assert studio.opened == 1
    assert all(event.path.exists() and event.path.with_suffix(".png").exists() for event in events)  # pyright: ignore[reportAttributeAccessIssue]


def test_a_video_that_fails_does_not_keep_the_others_from_being_made(tmp_path: Path) -> None:
    renders = Studio(failing={32}).renders(tmp_path)
    events = list(renders.render(3))
    failed, made = events[:2], events[2:]
    assert failed == [RenderFailed(3, "RuntimeError: out of memory")] * 2
    assert [event.path.name for event in made if isinstance(event, SampleRendered)] == [
        "step-000003-two-raw.mp4",
        "step-000003-two-ema.mp4",
    ]
    assert not renders.done(3)


def test_a_renderer_that_does_not_open_is_one_failure(tmp_path: Path) -> None:
    def closed() -> Iterator[Render]:
        raise OSError("no autoencoder")

    renders = replace(Studio().renders(tmp_path), open=contextmanager(closed))
    assert list(renders.render(3)) == [RenderFailed(3, "OSError: no autoencoder")]


@pytest.mark.parametrize("failing", [set(), {32, 48}], ids=["works", "fails"])
def test_rendering_leaves_the_random_state_as_it_was(tmp_path: Path, failing: set[int]) -> None:
    before = torch.get_rng_state()
    renders = Studio(failing).renders(tmp_path)
    assert list(renders.render(1)) + list(renders.benchmark())
    assert torch.equal(torch.get_rng_state(), before)


def test_the_bare_base_renders_each_video_once(tmp_path: Path) -> None:
    studio = Studio()
    events = list(studio.renders(tmp_path).benchmark())
    assert [(event.step, event.path.relative_to(tmp_path), event.weights) for event in events] == [  # pyright: ignore[reportAttributeAccessIssue]
        (0, Path("benchmark/one-base.mp4"), "base"),
        (0, Path("benchmark/two-base.mp4"), "base"),
    ]
    assert [adapter for _, adapter in studio.asked] == [None, None]
    assert studio.opened == 1
    assert list(studio.renders(tmp_path).benchmark()) == []
    assert (studio.opened, len(studio.asked)) == (1, 2)


def test_other_settings_or_a_lost_video_are_rendered_again_and_nothing_else(tmp_path: Path) -> None:
    studio = Studio()
    renders = studio.renders(tmp_path)
    list(renders.benchmark())
    one, two = renders.requests
    changed = replace(renders, requests=[one, replace(two, fingerprint="more steps")])
    assert [event.path.name for event in changed.benchmark()] == ["two-base.mp4"]  # pyright: ignore[reportAttributeAccessIssue]
    (tmp_path / "benchmark/one-base.mp4").unlink()
    assert [event.path.name for event in changed.benchmark()] == ["one-base.mp4"]  # pyright: ignore[reportAttributeAccessIssue]
    assert list(changed.benchmark()) == []


def test_a_failed_benchmark_is_tried_again_and_leaves_the_old_video_with_its_record(tmp_path: Path) -> None:
    renders = Studio().renders(tmp_path)
    list(renders.benchmark())
    one, two = renders.requests
    changed = replace(renders, requests=[replace(one, fingerprint="other"), two], open=Studio(failing={32}).open)
    assert list(changed.benchmark()) == [RenderFailed(0, "RuntimeError: out of memory")]
    assert list(changed.benchmark()) == [RenderFailed(0, "RuntimeError: out of memory")]
    assert list(renders.benchmark()) == []


def test_a_record_that_cannot_be_written_is_a_failed_video_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "benchmark/one-base.json").mkdir(parents=True)
    events = list(Studio().renders(tmp_path).benchmark())
    assert [type(event) for event in events] == [RenderFailed, SampleRendered]


def test_without_a_folder_for_it_the_base_renders_nothing(tmp_path: Path) -> None:
    studio = Studio()
    assert list(studio.renders(tmp_path, benchmark_folder=None).benchmark()) == []
    assert studio.opened == 0


def test_the_seed_stays_unless_each_step_is_to_have_noise_of_its_own(tmp_path: Path) -> None:
    def seeds(*, randomize: bool, step: int) -> list[int]:
        studio = Studio()
        list(studio.renders(tmp_path, randomize=randomize).render(step))
        return [request.seed for request, _ in studio.asked]

    assert seeds(randomize=False, step=1) == seeds(randomize=False, step=2) == [7] * 4
    assert seeds(randomize=True, step=1) == seeds(randomize=True, step=1)
    assert set(seeds(randomize=True, step=1)).isdisjoint(seeds(randomize=True, step=2))


def test_a_seed_for_a_step_follows_from_both_and_is_a_seed() -> None:
    found = {reseeded(replace(REQUEST, seed=seed), step).seed for seed in (0, 1, 2**63 - 1) for step in range(100)}
    assert len(found) == 300
    assert all(0 <= seed < 2**63 for seed in found)
