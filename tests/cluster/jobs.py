"""A table that several workers predict while something goes wrong, and what that costs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.logged_service import LoggedService, early_requests, times_answered
from tests.support.worker import Outcome, Slice, Worker, WorkerForks, text_of

OUTCOME_TIMEOUT_S = 120.0
"""No job here takes longer, whatever goes wrong."""


TOLD_WITHIN_S = 0.5
"""Every worker knows of an announcement after this, on a machine that is busy with other tests too. Pauses take a second or
more."""


class Cost(NamedTuple):
    """What a job cost, as the service saw it.

    Attributes:
        fault: What went wrong.
        store: What the workers shared: 'SQLite' or 'Redis'.
        rows: Distinct rows of the table.
        requests: Requests that the service got.
        per_row: Requests over rows.
        refused: Requests that were told to come again later.
        early: Requests before a time that had been announced to any worker.
        twice: Answers to rows that were answered before.
        seconds: What the slowest worker needed for its query.
    """

    fault: str
    store: str
    rows: int
    requests: int
    per_row: float
    refused: int
    early: int
    twice: int
    seconds: float


COSTS: list[Cost] = []
"""Of the tests so far."""


def cost_of(
    fault: str, store: str, rows: int, service: LoggedService, outcomes: Sequence[Outcome], stored: int = 0
) -> Cost:
    """Count what a job cost, and keep it for the table.

    Args:
        fault: As of ``Cost``.
        store: As of ``Cost``.
        rows: As of ``Cost``.
        service: Its log is read.
        outcomes: Of all workers.
        stored: How many rows need no request, since their answers had been stored.

    Returns:
        The counts.
    """
    log = service.log()
    answered = times_answered(log)
    assert set(answered) <= {text_of(number) for number in range(rows)}
    assert len(answered) == rows - stored, "each row was answered that was not stored"
    cost = Cost(
        fault,
        store,
        rows,
        len(log),
        len(log) / rows,
        sum(entry.status in (429, 503) for entry in log),
        len(early_requests(log)),
        answered.total() - len(answered),
        max(outcome.seconds for outcome in outcomes),
    )
    COSTS.append(cost)
    return cost


def assert_pauses_are_kept(service: LoggedService) -> None:
    """No worker sent anything before a time that any of them was told.

    Args:
        service: Its log is read.
    """
    early = early_requests(service.log(), TOLD_WITHIN_S)
    assert not early, f"{len(early)} requests came before an announced time, such as {early[0]}"


@contextlib.contextmanager
def workers_of(
    parts: Sequence[Slice], forks: WorkerForks | None = None, prefixes: Sequence[Sequence[str]] = ()
) -> Iterator[list[Worker]]:
    """Start a worker for each slice and wait until all are ready. None is left at the end of the block.

    Args:
        parts: What each predicts.
        forks: What forks them; None where each is a program of its own.
        prefixes: For each, a command that runs it; empty where none needs one.

    Returns:
        The workers. They wait for ``go``.
    """
    commands = prefixes or [()] * len(parts)
    workers = [Worker(part, forks, command) for part, command in zip(parts, commands, strict=True)]
    try:
        for worker in workers:
            worker.wait_until_ready()
        yield workers
    finally:
        for worker in workers:
            worker.kill()


def finish(workers: Sequence[Worker]) -> list[Outcome]:
    """Wait for all, and see that each row has its right answer.

    Args:
        workers: Those that have begun.

    Returns:
        What became of their slices, in their order.
    """
    deadline = time.monotonic() + OUTCOME_TIMEOUT_S
    outcomes = [worker.outcome(max(1.0, deadline - time.monotonic())) for worker in workers]
    for worker, outcome in zip(workers, outcomes, strict=True):
        name, part = worker.part.worker, worker.part
        assert not outcome.raised, f"{name}: {outcome.raised}"
        assert not outcome.wrong, f"{name} got answers of other rows: {outcome.wrong}"
        assert not outcome.unanswered, f"{name} has rows without an answer: {outcome.unanswered}"
        assert outcome.rows == part.end - part.first, f"{name} lost rows"
    return outcomes


def slices(rows: int, engines: Sequence[dict[str, Any]]) -> list[Slice]:
    """Divide a table among workers.

    Args:
        rows: Of the table.
        engines: Arguments of the engine of each worker.

    Returns:
        Slices of equal length, in order.
    """
    count = len(engines)
    return [
        Slice(f"worker-{number}", number * rows // count, (number + 1) * rows // count, engine)
        for number, engine in enumerate(engines)
    ]


@dataclass(frozen=True)
class Cluster:
    """A service, and workers on machines that have a folder of their own each.

    Attributes:
        service: What they ask.
        forks: What forks them.
        folder: Where their folders are.
    """

    service: LoggedService
    forks: WorkerForks
    folder: Path

    def engine(self, machine: int, store: str) -> dict[str, Any]:
        """What an engine is told.

        Args:
            machine: Its number.
            store: The address of Redis as this machine sees it.

        Returns:
            The arguments.
        """
        return {"endpoint": self.service.url, "cache_dir": str(self.folder / f"machine-{machine}"), "store": store}

    def run(
        self,
        parts: Sequence[Slice],
        meanwhile: Callable[[], None] = lambda: None,
        prefixes: Sequence[Sequence[str]] = (),
    ) -> list[Outcome]:
        """Let workers begin at the same time, and wait for all.

        Args:
            parts: What each predicts.
            meanwhile: What happens once they have begun.
            prefixes: As of ``workers_of``.

        Returns:
            What became of the slices, in which every row was right.
        """
        with workers_of(parts, self.forks, prefixes) as workers:
            for worker in workers:
                worker.go()
            meanwhile()
            return finish(workers)
