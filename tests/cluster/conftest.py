"""What all tests here may use, and the table of what faults cost, which is printed at the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from huggingface_api_handler.console import text_table
from tests.cluster.jobs import COSTS, Cost
from tests.support.logged_service import LoggedService, logged_service
from tests.support.redis_server import redis_server
from tests.support.worker import WorkerForks, worker_forks

__all__ = ["redis_server"]


@pytest.fixture(scope="session")
def service() -> Iterator[LoggedService]:
    """The service that workers ask. Each test sets its plan."""
    with logged_service() as running:
        yield running


@pytest.fixture(scope="session")
def forks() -> Iterator[WorkerForks]:
    """What forks workers."""
    with worker_forks() as running:
        yield running


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what each fault cost."""
    if COSTS:
        terminalreporter.section("what each fault cost")
        terminalreporter.write_line(text_table(Cost._fields, COSTS, max_rows=len(COSTS)))
