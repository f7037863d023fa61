"""6. Money: requests sent over the fewest that would do, told everything beforehand.

Fresh processes that share nothing but the folder of the answer store. Where the fewest is none, the number sent is
told.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

from .baselines import Job
from .measure import (
    RemoteService,
    Results,
    parse_arguments,
    run_client,
    running_service,
    service_throughput,
    start_client,
    temporary_folder,
)
from .service import Plan

SINGLES = Plan(latency=0.02, capacity=32, queue=256)
LISTS = Plan(latency=0.02, capacity=32, queue=256, largest_batch=32, poison="POISON")
POISONED_REQUESTS = 1
"""Requests that a poisoned row needs at the fewest, in one of its own."""
NEW_ROUTE_REQUESTS = 1 + 3 + 1
"""What a route costs that was never asked: one request alone, since what dooms it dooms every row; the same input with
two others and these alone, since lists may be misread; one list larger than it takes, since it may take larger ones.
"""
UNWRITTEN_S = 0.04
"""Seconds of answers that a kill may find landed and not written: of those that landed in 20 ms the larger half is
written then, and the others with those of the next 20 ms.
"""


def run_ours(service: RemoteService, plan: Plan, job: Job, unanswered: int = 0) -> dict[str, Any]:
    """One run of ours: requests sent, and proof that every row has its answer, but for so many."""
    service.set_plan(plan)
    taken = run_client("ours", job)
    if taken["wrong"] or taken["unanswered"] != unanswered:
        first = taken["usage"].get("first_error")
        raise RuntimeError(f"{taken['wrong']} rows wrong, {taken['unanswered']} unanswered ({first})")
    stats = service.stats()
    return {"sent": stats["requests"], "refused": stats["refused"], "seconds": taken["seconds"]}


def kill_and_rerun(service: RemoteService, rows: int) -> dict[str, Any]:
    """Kill -9 once half of the rows are answered, then the same query again: requests of both.

    ``in_flight`` is what the service had of the dead one and had not answered, ``rate`` its answers a second.
    """
    with temporary_folder() as folder:
        job = Job(service.url, rows, folder=folder)
        service.set_plan(SINGLES)
        process = start_client("ours", job)
        while (killed := service.stats())["answered"] < rows // 2:
            if process.poll() is not None:
                raise RuntimeError(f"the client was done before it was killed: {process.communicate()[1][-500:]}")
            time.sleep(0.005)
        process.kill()
        process.communicate()
        time.sleep(5 * SINGLES.latency)  # what the dead one had sent is still being answered
        before = service.stats()
        after = run_ours(service, SINGLES, job)
    return {
        "before": before["requests"],
        "after": after["sent"],
        "sent": before["requests"] + after["sent"],
        "refused": sum(killed["refused"].values()),
        "in_flight": killed["requests"] - killed["answered"] - sum(killed["refused"].values()),
        "rate": SINGLES.capacity / SINGLES.latency,
    }


def main() -> None:
    options = parse_arguments(__doc__ or "")
    results = Results("request_cost", options.quick)
    rows = 1000 if options.quick else 10_000

    def record(name: str, fewest: int, run: dict[str, Any], bound: float) -> None:
        results.body[name] = {
            "rows": rows,
            "minimum_requests": fewest,
            **run,
            "ratio": run["sent"] / fewest if fewest else None,
        }
        if fewest > 1:
            results.check(f"{name}: requests over the fewest", run["sent"] / fewest, bound)
        else:
            results.check(f"{name}: requests, where {fewest} would do", run["sent"], bound)

    with running_service() as service:
        results.body["service"] = service_throughput(service, rows)
        # One list is tried, and refused.
        job = Job(service.url, rows, distinct=rows // 2)
        record("half of the rows are duplicates", rows // 2, run_ours(service, SINGLES, job), 1 + 2 / rows)
        with temporary_folder() as folder:
            job = Job(service.url, rows, folder=folder)
            run_ours(service, SINGLES, job)
            record("a rerun", 0, run_ours(service, SINGLES, job), 0)
            record("a rerun with one row changed", 1, run_ours(service, SINGLES, replace(job, changed=7)), 1)
        fewest = math.ceil((rows - 1) / (LISTS.largest_batch or 1)) + POISONED_REQUESTS
        bisection = 2 * math.log2(LISTS.largest_batch or 1)
        job = Job(service.url, rows, poisoned=rows // 3)
        maximum = fewest + bisection + NEW_ROUTE_REQUESTS
        record("one row is poisoned", fewest, run_ours(service, LISTS, job, unanswered=1), maximum / fewest)
        # What was in flight at the kill is lost, and what had landed just before it; nothing else may be asked twice.
        killed = kill_and_rerun(service, rows)
        lost = killed["refused"] + killed["in_flight"] + killed["rate"] * UNWRITTEN_S
        record("killed half way and rerun", rows, killed, 1 + lost / rows)
    results.write()


if __name__ == "__main__":
    main()
