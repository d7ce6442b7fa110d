"""Held-out clips shared among processes: the same numbers to the bit as one process alone finds, in the same order."""

from __future__ import annotations

import multiprocessing
import pickle
from pathlib import Path

import pytest
from torch import distributed

from helpers.held_out import one_layer
from reeltune.contracts.events import Evaluated
from reeltune.train.history import FILE_NAME, History
from reeltune.train.team import ALONE, Team


def told(folder: Path, team: Team, *, fails_at: int = 0) -> list[Evaluated]:
    """Return what a measurement of two datasets tells, of which the second has a clip for one process alone."""
    folder.mkdir()
    evaluation, state = one_layer(team, History(folder / FILE_NAME), fails_at=fails_at)
    return list(evaluation.measure(state, lambda: False))


def one_of_two(rank: int, folder: Path) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=2)
    alone = told(folder / f"alone-{rank}", ALONE)
    whole = told(folder / str(rank), Team(rank, 2))
    # The second one fails at its only clip of the first dataset: the other hears of it and does not wait.
    broken = told(folder / f"broken-{rank}", Team(rank, 2), fails_at=2 if rank else 0)
    (folder / f"{rank}.pickle").write_bytes(pickle.dumps((alone, whole, broken)))
    distributed.destroy_process_group()


def test_alone_no_other_process_is_asked() -> None:
    assert ALONE.share([1, 2, 3]) == [1, 2, 3]
    assert ALONE.gathered([1, 2, 3]) == [1, 2, 3]
    assert not distributed.is_initialized()


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_each_thing_is_in_one_share(size: int) -> None:
    shares = [Team(rank, size).share(range(4)) for rank in range(size)]
    assert sorted(thing for share in shares for thing in share) == [0, 1, 2, 3]


def test_two_processes_find_the_same_bits_as_one_and_the_first_writes_them(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    team = [context.Process(target=one_of_two, args=(rank, tmp_path)) for rank in range(2)]
    for process in team:
        process.start()
    for process in team:
        process.join(300)
        assert process.exitcode == 0
    for rank in range(2):
        alone, whole, broken = pickle.loads((tmp_path / f"{rank}.pickle").read_bytes())
        assert [event.clips for event in alone] == [3, 1]
        assert whole == alone
        assert broken == []
    assert (tmp_path / "0" / FILE_NAME).read_bytes() == (tmp_path / "alone-1" / FILE_NAME).read_bytes()
    assert not (tmp_path / "1" / FILE_NAME).exists()
