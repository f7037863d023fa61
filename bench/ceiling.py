"""1. Finding the ceiling: our time over that of an ideal client that was told all about the service, in one run.

Nothing is configured in any case. Each client is a fresh process that has learned nothing before.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, NamedTuple

from .baselines import Job
from .ideal_client import best_batch, best_seconds, ideal_concurrency
from .measure import (
    ClientError,
    RemoteService,
    Results,
    parse_arguments,
    run_client,
    running_service,
    service_throughput,
    summary,
)
from .service import TIMELINE_STEP_S, Plan


class Case(NamedTuple):
    """A service, and the seconds that the ideal client is to need of it."""

    plan: Plan
    seconds: float = 21.0


CASES = {
    "one at a time, short queue": Case(Plan(latency=0.2, capacity=1, queue=4, refusal=503)),
    "5 ms, 4 at once": Case(Plan(latency=0.005, capacity=4, queue=16)),
    "20 ms, 12 at once, no queue": Case(Plan(latency=0.02, capacity=12, queue=0)),
    "100 ms, 16 at once, no queue": Case(Plan(latency=0.1, jitter=0.2, capacity=16, queue=0, refusal=503)),
    "40 ms, 8 at once, endless queue": Case(Plan(latency=0.04, capacity=8), 11.0),
    "200 ms, 64 at once": Case(Plan(latency=0.2, jitter=0.3, capacity=64, queue=32)),
    "250 ms, 256 at once": Case(Plan(latency=0.25, capacity=256, queue=128)),
    "2 s, 8 at once": Case(Plan(latency=2.0, jitter=0.1, capacity=8, queue=32), 24.0),
    "2 s, 64 at once": Case(Plan(latency=2.0, capacity=64, queue=64, refusal=503), 40.0),
    "5 a second, Retry-After": Case(Plan(latency=0.05, capacity=16, rate=5, announce="seconds")),
    "20 a second, X-RateLimit": Case(Plan(latency=0.3, capacity=32, rate=20, announce="x-ratelimit")),
    "50 a second, nothing announced": Case(Plan(latency=0.1, capacity=64, rate=50)),
    "100 a second, Retry-After as a date": Case(Plan(latency=0.1, capacity=64, rate=100, announce="date"), 11.0),
    "500 a second, RateLimit": Case(Plan(latency=0.02, capacity=64, rate=500, announce="ratelimit")),
    "cold start of 4 s": Case(Plan(latency=0.05, capacity=8, queue=16, loading=4.0), 11.0),
    "lists to 32": Case(Plan(latency=0.1, per_item=0.002, capacity=4, queue=16, largest_batch=32)),
    "lists to 128, slow by item": Case(
        Plan(latency=0.02, per_item=0.004, capacity=2, queue=8, largest_batch=128, too_large=422)
    ),
    "lists to 8, 32 at once": Case(Plan(latency=0.2, per_item=0.01, capacity=32, queue=32, largest_batch=8), 11.0),
    "lists to 64, 10 a second": Case(
        Plan(latency=0.15, per_item=0.001, capacity=16, rate=10, announce="seconds", largest_batch=64)
    ),
}
MAX_TIMES_IDEAL = 5
"""Times the ideal client's seconds, and half a minute, after which ours is given up."""
_REPORTED_STATS = ("requests", "refused", "violations", "in_transit", "peak_active", "timeline")
QUICK = (
    "5 ms, 4 at once",
    "100 ms, 16 at once, no queue",
    "20 a second, X-RateLimit",
    "lists to 32",
)


def rows_for(plan: Plan, seconds: float) -> int:
    """The rows for which the ideal client needs ``seconds``, by the plan; a bucket's first fill comes on top."""
    size = best_batch(plan, 1_000_000)
    each = plan.latency + plan.per_item * size
    rate = plan.capacity / each
    extra = 0.0
    if plan.rate is not None and plan.rate < rate:
        rate, extra = plan.rate, plan.bucket
    return max(8, int(((seconds - plan.loading) * rate + extra) * size))


def time_ratio_bound(ideal_seconds: float) -> float | None:
    """Our time over the ideal client's: no promise below 10 s, 1.25 there, 1.05 from 20 s on."""
    return 1.05 if ideal_seconds >= 20 else 1.25 if ideal_seconds >= 9.5 else None


def run_case(service: RemoteService, case: Case, seconds: float, seed: int) -> dict[str, Any]:
    plan = case.plan
    rows = rows_for(plan, seconds)
    service.set_plan(plan)
    ideal = _client_run(
        run_client("ideal_client:ideal_client", Job(service.url, rows, seed=seed, plan=asdict(plan))), service
    )
    service.set_plan(plan)
    timeout_s = MAX_TIMES_IDEAL * ideal["seconds"] + 30
    try:
        ours = _client_run(run_client("ours", Job(service.url, rows, seed=seed), timeout=timeout_s), service)
    except ClientError as error:
        timed_out = {"seconds": timeout_s, "wrong": 0, "unanswered": rows, "usage": {"first_error": str(error)}}
        ours = _client_run(timed_out, service)
    lists = plan.largest_batch != 1
    return {
        "rows": rows,
        "ideal_client": ideal,
        "ours": ours,
        "time_ratio": ours["seconds"] / ideal["seconds"],
        "requests_ratio": ours["requests"] / (ideal["requests"] if lists else rows),
    }


def _client_run(result: dict[str, Any], service: RemoteService) -> dict[str, Any]:
    """What is told of a client's run: its own part, and the service's."""
    stats = service.stats()
    return {
        "seconds": round(result["seconds"], 3),
        "wrong": result["wrong"],
        "unanswered": result["unanswered"],
        **{name: stats[name] for name in _REPORTED_STATS},
        "first_error": result["usage"].get("first_error"),
    }


def main() -> None:
    options = parse_arguments(__doc__ or "", case={"help": "the one case to run"}, seconds={"type": float})
    results = Results("ceiling", options.quick)
    cases = [options.case] if options.case else QUICK if options.quick else list(CASES)
    results.body["timeline_step_seconds"] = TIMELINE_STEP_S
    results.body["cases"] = {}
    with running_service() as service:
        results.body["service"] = service_throughput(service, 2000 if options.quick else 20_000)
        for name in cases:
            case = CASES[name]
            seconds = options.seconds or (2.0 if options.quick else case.seconds)
            runs = [run_case(service, case, seconds, seed) for seed in range(options.repeat)]
            runs.sort(key=lambda run: float(run["time_ratio"]))
            median = runs[(len(runs) - 1) // 2]
            lists = case.plan.largest_batch != 1
            results.body["cases"][name] = {
                **median,
                "all_time_ratios": [round(run["time_ratio"], 3) for run in runs],
                "plan": {key: value for key, value in asdict(case.plan).items() if value != getattr(Plan(), key)},
                "ideal_client_in_flight": ideal_concurrency(case.plan),
                "ideal_seconds_by_plan": best_seconds(case.plan, median["rows"], best_batch(case.plan, median["rows"])),
            }
            results.check(
                f"{name}: time over ideal client's",
                median["time_ratio"],
                time_ratio_bound(median["ideal_client"]["seconds"]),
            )
            worst = max(run["requests_ratio"] for run in runs)
            base = "ideal client's" if lists else "rows"
            results.check(f"{name}: requests over {base}", worst, 1.3 if lists else 1.1)
            results.check(f"{name}: sent before announced", max(run["ours"]["violations"] for run in runs), 0)
            ideal_errors = max(
                sum(run["ideal_client"]["refused"].values()) + run["ideal_client"]["violations"] for run in runs
            )
            results.check(f"{name}: ideal client refused or early", ideal_errors, 1 if case.plan.loading else 0)
            bad = max(run["ours"]["wrong"] + run["ours"]["unanswered"] for run in runs)
            results.check(f"{name}: rows wrong or unanswered", bad, 0)
        ratios = [case["time_ratio"] for case in results.body["cases"].values()]
        results.body["time_ratios"] = summary(ratios)
    results.write()


if __name__ == "__main__":
    main()
