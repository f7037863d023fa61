"""Several workers on one service: our time and requests, relative to one ideal client that knows the service.

``python -m bench.cluster``. Workers are processes that share nothing but an answer store: a SQLite file of one machine,
or a Redis. Nothing is configured, and the route is new to all. ``--service`` and ``--workers`` run a part.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.logged_service import KINDS, LoggedService, early_requests, logged_service
from tests.support.redis_server import RedisServer
from tests.support.worker import Outcome, Slice, Worker, WorkerForks, worker_forks

from .ceiling import rows_for
from .ideal_client import best_batch, best_seconds
from .measure import Results, parse_arguments, temporary_folder
from .service import Plan

SECONDS = 20.0
"""For so long the ideal client is to be busy."""
QUICK_SECONDS = 3.0
OUTCOME_TIMEOUT_S = 300.0
TIME_BOUND = 1.10
REQUESTS_BOUND = 1.10
DUPLICATES_BOUND = 1.02
"""Requests over distinct inputs, where each input is in the tables of two workers."""
WORKERS = (1, 2, 4)
MANY_WORKERS = {"20 a second": (1, 2, 4, 8)}
STORES = ("sqlite", "redis")


@contextmanager
def engines(store: str, url: str, folder: Path, workers: int) -> Iterator[list[dict[str, Any]]]:
    """The arguments of the workers' engines.

    Args:
        store: Of ``STORES``.
        url: The service's.
        folder: Where their files are.
        workers: How many.

    Yields:
        One for each worker.
    """
    if store == "sqlite":
        yield [{"endpoint": url, "cache_dir": str(folder)}] * workers
        return
    with RedisServer() as server:
        yield [
            {"endpoint": url, "cache_dir": str(folder / str(number)), "store": server.url} for number in range(workers)
        ]


def run(service: LoggedService, plan: Plan, parts: list[Slice], forks: WorkerForks) -> list[Outcome]:
    """Let workers predict their parts at once.

    Args:
        service: Where requests go.
        plan: How it behaves.
        parts: What each predicts.
        forks: Makes the workers.

    Returns:
        What became of each part.

    Raises:
        RuntimeError: A row is wrong or has no answer.
    """
    service.set_plan(plan)
    workers = [Worker(part, forks) for part in parts]
    for worker in workers:
        worker.wait_until_ready()
    for worker in workers:
        worker.go()
    outcomes = [worker.outcome(OUTCOME_TIMEOUT_S) for worker in workers]
    for outcome in outcomes:
        if outcome.raised or outcome.wrong or outcome.unanswered:
            raise RuntimeError(outcome.raised or f"wrong {outcome.wrong}, unanswered {outcome.unanswered}")
    return outcomes


def main() -> None:
    """The command line."""
    options = parse_arguments(
        __doc__ or "",
        service={"default": "", "help": "a part of the service's name"},
        workers={"type": int, "nargs": "*", "help": "how many workers"},
        store={"choices": STORES, "nargs": "*", "default": list(STORES)},
    )
    seconds = QUICK_SECONDS if options.quick else SECONDS
    results = Results("cluster", options.quick)
    with logged_service() as service, worker_forks() as forks:
        for name, plan in KINDS.items():
            if options.service not in name:
                continue
            rows = rows_for(plan, seconds)
            for store in options.store:
                for workers in options.workers or MANY_WORKERS.get(name, WORKERS):
                    _measure(results, service, forks, name, plan, store, rows, workers)
        if not options.service:
            for store in options.store:
                _measure_duplicates(results, service, forks, store, rows_for(KINDS["200 ms, 64 at once"], seconds))
    results.write()


def _measure(
    results: Results,
    service: LoggedService,
    forks: WorkerForks,
    name: str,
    plan: Plan,
    store: str,
    rows: int,
    workers: int,
) -> None:
    size = best_batch(plan, rows)
    with temporary_folder() as folder, engines(store, service.url, Path(folder), workers) as arguments:
        edges = [rows * number // workers for number in range(workers + 1)]
        parts = [
            Slice(f"worker {number}", edges[number], edges[number + 1], arguments[number]) for number in range(workers)
        ]
        outcomes = run(service, plan, parts, forks)
    log = service.log()
    time_ratio = max(outcome.seconds for outcome in outcomes) / best_seconds(plan, rows, size)
    requests = len(log) / (rows if plan.largest_batch == 1 else math.ceil(rows / size))
    of = f"{name}, {workers} over {store}"
    results.check(f"{of}: seconds over the ideal client's", time_ratio, TIME_BOUND)
    results.check(f"{of}: requests over the fewest", requests, REQUESTS_BOUND)
    results.check(f"{of}: requests before an announced time", len(early_requests(log)), 0)


def _measure_duplicates(
    results: Results, service: LoggedService, forks: WorkerForks, store: str, rows: int, workers: int = 4
) -> None:
    """Each row is in the tables of two workers."""
    plan, half = KINDS["200 ms, 64 at once"], rows // 2
    edges = [half * number // workers for number in range(workers + 1)]
    with temporary_folder() as folder, engines(store, service.url, Path(folder), workers) as arguments:
        parts = []
        for number in range(workers):
            first = edges[number // 2 * 2]
            end = edges[number // 2 * 2 + 2]
            parts.append(Slice(f"worker {number}", first, end, arguments[number]))
        run(service, plan, parts, forks)
    results.check(
        f"half of the rows twice, {workers} over {store}: requests over the fewest",
        len(service.log()) / half,
        DUPLICATES_BOUND,
    )


if __name__ == "__main__":
    main()
