"""What tests of sources share: one object store, and no waiting between tries."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from helpers.s3_server import S3Server, serve_s3
from reeltune.data.sources import tries


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """A server that is started once; each module fills buckets of its own."""
    with serve_s3() as server:
        yield server


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tries, "PAUSES_S", (0.0, 0.0))
