"""6. Request cost: requests sent, relative to the fewest that suffice.

Providers bill requests, so a query should send none in vain. The fewest are those of a client that knows the service
and the answers that are already stored. Each query is a fresh process. They share the folder of the response cache.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TypedDict

from . import measure
from .baselines import Job
from .service import Plan

BATCH_SIZE = 32
SINGLES = Plan(latency=0.02, capacity=32, queue=256)
BATCHES = Plan(latency=0.02, capacity=32, queue=256, largest_batch=BATCH_SIZE, poison="POISON")
POISONED_REQUESTS = 1
"""A poisoned row needs one request of its own."""
PROBE_REQUESTS = 1 + 3 + 1
"""What a new route costs: one request first, since a wrong API key would fail all; then the same input with two others
and these alone, to see whether lists are read in order; and one list that is too long, to find the largest.
"""
UNWRITTEN_S = 0.04
"""A killed process may lose the answers of the last 40 ms. Answers are written in groups: the larger half of those
that arrived within 20 ms at once, the others with those of the next 20 ms.
"""
POLL_S = 0.005


class Run(TypedDict):
    """One query of ours: requests that the service received, and rejections by HTTP status."""

    requests: int
    refused: dict[str, int]
    seconds: float


class KilledRun(TypedDict):
    """A query that was killed, and the same query again.

    ``requests`` are those of both, ``refused`` the rejections before the kill, ``in_flight`` the requests without an
    answer at that time.
    """

    requests_before_kill: int
    requests_after_kill: int
    requests: int
    refused: int
    in_flight: int
    service_requests_per_second: float


def run_ours(service: measure.RemoteService, plan: Plan, job: Job, unanswered: int = 0) -> Run:
    """Run ours once.

    Args:
        service: The service.
        plan: How it behaves.
        job: What to predict.
        unanswered: How many rows are expected to have no answer.

    Raises:
        RuntimeError: A row has a wrong answer, or another number of rows has none.
    """
    service.set_plan(plan)
    result = measure.run_client("ours", job)
    result.raise_if_incomplete("ours", unanswered)
    stats = service.stats()
    return {"requests": stats["requests"], "refused": stats["refused"], "seconds": result.seconds}


def kill_and_rerun(service: measure.RemoteService, rows: int) -> KilledRun:
    """Kill a query with SIGKILL when half of the rows are answered, then run it again.

    Raises:
        RuntimeError: The query ended before it was killed, or the second one left a row unanswered.
    """
    with measure.temporary_folder() as folder:
        job = Job(service.url, rows, folder=folder)
        service.set_plan(SINGLES)
        process = measure.start_client("ours", job)
        while (killed := service.stats())["answered"] < rows // 2:
            if process.poll() is not None:
                raise RuntimeError(f"the client ended before it was killed: {process.communicate()[1][-500:]}")
            time.sleep(POLL_S)
        process.kill()
        process.communicate()
        time.sleep(5 * SINGLES.latency)  # the service still processes what the killed client had sent
        before = service.stats()["requests"]
        after = run_ours(service, SINGLES, job)["requests"]
    refused = sum(killed["refused"].values())
    return {
        "requests_before_kill": before,
        "requests_after_kill": after,
        "requests": before + after,
        "refused": refused,
        "in_flight": killed["requests"] - killed["answered"] - refused,
        "service_requests_per_second": SINGLES.capacity / SINGLES.latency,
    }


def main() -> None:
    """Run the benchmark and write its results."""
    options = measure.parse_arguments(__doc__ or "")
    results = measure.Results("request_cost", options.quick)
    rows = 1000 if options.quick else 10_000

    def record(name: str, minimum: int, run: Run | KilledRun, bound: float) -> None:
        """Store a run and check it: the ratio where the minimum has several requests, else the requests."""
        ratio = run["requests"] / minimum if minimum else None
        results.body[name] = {"rows": rows, "minimum_requests": minimum, **run, "ratio": ratio}
        if minimum > 1:
            results.check(f"{name}: requests, relative to the fewest", ratio, bound)
        else:
            results.check(f"{name}: requests (fewest: {minimum})", run["requests"], bound)

    with measure.running_service() as service:
        results.body["service"] = measure.service_throughput(service, rows)
        job = Job(service.url, rows, distinct=rows // 2)
        # One more than the fewest: a list is tried, and rejected.
        record("half of the rows are duplicates", rows // 2, run_ours(service, SINGLES, job), 1 + 2 / rows)
        with measure.temporary_folder() as folder:
            job = Job(service.url, rows, folder=folder)
            run_ours(service, SINGLES, job)
            record("a rerun", 0, run_ours(service, SINGLES, job), 0)
            record("a rerun with one row changed", 1, run_ours(service, SINGLES, replace(job, changed=7)), 1)
        minimum = math.ceil((rows - 1) / BATCH_SIZE) + POISONED_REQUESTS
        bisection = 2 * math.log2(BATCH_SIZE)
        job = Job(service.url, rows, poisoned=rows // 3)
        run = run_ours(service, BATCHES, job, unanswered=1)
        record("one row is poisoned", minimum, run, (minimum + bisection + PROBE_REQUESTS) / minimum)
        # The kill loses what was in flight and what was not written yet. Nothing else may be sent twice.
        killed = kill_and_rerun(service, rows)
        lost = killed["refused"] + killed["in_flight"] + killed["service_requests_per_second"] * UNWRITTEN_S
        record("killed half way and rerun", rows, killed, 1 + lost / rows)
    results.write()


if __name__ == "__main__":
    main()
