"""These tests need the environments that run.sh makes; without them they are not collected."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from .processes import environments
from .serving import Servers

if environments() is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session", autouse=True)
def nothing_outlives_the_run() -> None:
    """Whoever ends the run ends the servers with it."""
    signal.signal(signal.SIGTERM, lambda number, _: pytest.exit("ended", 128 + number))


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """One server at a time."""
    started = Servers(tmp_path_factory.mktemp("servers"))
    yield started
    started.stop()
