"""2. Client cost: CPU of the client's process for each row, against a bare loop and AsyncInferenceClient.

One client in each process, 64 in flight where a client must be told; inputs all distinct, and the service in a process
of its own. Ours is measured as it is by default, and with its answer store off where it has one. Imports are left out
of the cost of a row and told beside it.
"""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import Any

from .baselines import Job, has_setting
from .measure import (
    RemoteService,
    Results,
    median_run,
    parse_arguments,
    run_client,
    running_service,
    service_throughput,
)
from .service import Plan

SINGLE_BOUND = 1.25
"""Times the bare loop, for single requests."""
BATCHED_BOUND = 25.0
"""Microseconds a row in batches of 32."""
SINGLES = Plan(latency=0.005, capacity=64)
BATCHES = Plan(latency=0.005, capacity=64, largest_batch=32)


def cost(service: RemoteService, name: str, plan: Plan, job: Job) -> dict[str, Any]:
    """Microseconds of CPU a row in one run of the client called ``name``, and what went over the wire."""
    service.set_plan(plan)
    taken = run_client(name, replace(job, url=service.url))
    stats = service.stats()
    if taken["wrong"] or taken["unanswered"]:
        raise RuntimeError(f"{name}: {taken['wrong']} rows wrong, {taken['unanswered']} unanswered")
    return {
        "rows": job.rows,
        "cpu_us_per_row": taken["cpu_seconds"] / job.rows * 1e6,
        "rows_per_second": job.rows / taken["seconds"],
        "startup_cpu_seconds": taken["startup_cpu_seconds"],
        "requests": stats["requests"],
        "rows_per_request": stats["items"] / stats["requests"],
        "peak_active": stats["peak_active"],
    }


def rounds(
    service: RemoteService, plan: Plan, jobs: dict[str, tuple[str, Job]], repeat: int
) -> dict[str, list[dict[str, Any]]]:
    """Runs by name, in turns, so that a machine that is slower for a while is slower for all."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in jobs}
    for _ in range(repeat):
        for name, (which, job) in jobs.items():
            runs[name].append(cost(service, which, plan, job))
    return runs


def batched_cost(service: RemoteService, rows: int, cache: bool | None = None) -> dict[str, Any]:
    """Ours in batches of 32."""
    return cost(service, "ours", BATCHES, Job("", rows, cache=cache))


def _ratio(runs: dict[str, list[dict[str, Any]]], name: str, over: str) -> float:
    """The median of what one took over what another took in the same round."""
    both = zip(runs[name], runs[over], strict=True)
    return statistics.median(one["cpu_us_per_row"] / other["cpu_us_per_row"] for one, other in both)


def main() -> None:
    options = parse_arguments(
        __doc__ or "", profile={"action": "store_true", "help": "where ours spends it, on stderr"}
    )
    results = Results("client_cost", options.quick)
    ways: list[tuple[str, bool | None]] = [("ours", None)]
    if has_setting("cache"):
        ways.append(("ours, answer store off", False))
    rows = 3000 if options.quick else 30_000
    with running_service() as service:
        if options.profile:
            for plan, count in ((SINGLES, rows), (BATCHES, rows * 10)):
                service.set_plan(plan)
                run_client("ours", Job(service.url, count, profile=True))
            return
        results.body["service"] = service_throughput(service, rows)
        singles = rounds(
            service,
            SINGLES,
            {
                **{name: ("ours", Job("", rows, cache=cache)) for name, cache in ways},
                "bare": ("bare", Job("", rows)),
                "AsyncInferenceClient": ("hub", Job("", max(500, rows // 10))),
            },
            options.repeat,
        )
        batches = rounds(
            service,
            BATCHES,
            {
                **{name: ("ours", Job("", rows * 10, cache=cache)) for name, cache in ways},
                "bare": ("bare", Job("", rows * 10, batch=32)),
            },
            options.repeat,
        )
    medians = {
        kind: {name: median_run(each, "cpu_us_per_row") for name, each in runs.items()}
        for kind, runs in (("singles", singles), ("batches", batches))
    }
    results.body.update(medians)
    for name, _ in ways:
        results.check(
            f"{name}: CPU of a single request over the bare loop's", _ratio(singles, name, "bare"), SINGLE_BOUND
        )
        row = medians["batches"][name]["cpu_us_per_row"]
        results.check(f"{name}: CPU of a row in batches of 32, us", row, BATCHED_BOUND)
        results.check(f"{name}: the same over the bare loop's", _ratio(batches, name, "bare"), None)
    hub = _ratio(singles, "AsyncInferenceClient", "ours")
    results.check("AsyncInferenceClient: CPU of a single request over ours", hub, None)
    results.write()


if __name__ == "__main__":
    main()
