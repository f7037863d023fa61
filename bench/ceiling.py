"""1. Finding the limits: our time relative to an ideal client that knows how the service behaves.

Nothing is configured. Each client is a fresh process and has to find out how many requests the service takes at once,
how many inputs per request and how many requests per second. The ideal client knows all of it beforehand.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import NamedTuple, TypedDict

from .baselines import ClientResult, Job
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
    """A service, and the seconds for which the ideal client is to be busy with it."""

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
    "lists, two answers only": Case(
        Plan(latency=0.1, per_item=0.002, capacity=4, queue=16, largest_batch=48, decimals=0), 21.0
    ),
    "40, 15, 40 a second": Case(
        Plan(latency=0.05, capacity=64, rate=40, changes=((15.0, {"rate": 15}), (35.0, {"rate": 40}))), 65.0
    ),
    "8 places, 50 times slower for 20 s": Case(
        Plan(latency=0.04, capacity=8, changes=((10.0, {"latency": 2.0}), (30.0, {"latency": 0.04}))), 40.0
    ),
}
QUICK_CASES = (
    "5 ms, 4 at once",
    "100 ms, 16 at once, no queue",
    "20 a second, X-RateLimit",
    "lists to 32",
)
QUICK_SECONDS = 2.0
TIMEOUT_FACTOR = 5
TIMEOUT_EXTRA_S = 30
"""Our client is killed after the ideal client's seconds times the factor, plus the extra."""
SINGLE_REQUESTS_BOUND = 1.1
"""Our requests, relative to the rows, where the service takes no lists."""
LIST_REQUESTS_BOUND = 1.3
"""Our requests, relative to the ideal client's, where it takes lists."""


def rows_for(plan: Plan, seconds: float) -> int:
    """The rows that keep the ideal client busy for so many seconds, besides those that a full token bucket admits."""
    size = best_batch(plan, 1_000_000)
    phases = plan.phases()
    ends = [*(since for since, _ in phases[1:]), seconds]
    requests = 0.0
    for number, ((since, phase), until) in enumerate(zip(phases, ends, strict=True)):
        rate = phase.capacity / (phase.latency + phase.per_item * size)
        if phase.rate is not None and phase.rate < rate:
            rate, requests = phase.rate, requests + (0.0 if number else phase.bucket)
        requests += max(0.0, min(until, seconds) - max(since, plan.loading)) * rate
    return max(8, int(requests * size))


def time_ratio_bound(plan: Plan, ideal_seconds: float) -> float | None:
    """The bound of our time relative to the ideal client's.

    Args:
        plan: How the service behaves.
        ideal_seconds: The ideal client's time. The longer it is, the less it matters what we need to find the limits.

    Returns:
        1.05 from 20 s, 1.25 from 10 s (rounded) or where the limits move meanwhile, else None.
    """
    if plan.changes and ideal_seconds >= 20:
        return 1.25
    return 1.05 if ideal_seconds >= 20 else 1.25 if ideal_seconds >= 9.5 else None


class ClientRun(TypedDict):
    """One client's run: its own figures, and those of the service (see ``Stats``)."""

    seconds: float
    wrong: int
    unanswered: int
    requests: int
    refused: dict[str, int]
    violations: int
    in_transit: int
    peak_active: int
    timeline: list[int]
    first_error: str | None


class CaseRun(TypedDict):
    """Both clients' runs of one case, and our time and requests relative to the ideal."""

    rows: int
    ideal_client: ClientRun
    ours: ClientRun
    time_ratio: float
    requests_ratio: float


def run_case(service: RemoteService, case: Case, seconds: float, seed: int) -> CaseRun:
    """Run the ideal client and ours on one case.

    Args:
        service: The service. Its plan is replaced.
        case: The case.
        seconds: How long the ideal client is to be busy.
        seed: Rows of another seed have other texts.
    """
    plan = case.plan
    rows = rows_for(plan, seconds)
    service.set_plan(plan)
    job = Job(service.url, rows, seed=seed, decimals=plan.decimals)
    ideal = _client_run(run_client("ideal_client:ideal_client", replace(job, plan=plan)), service)
    service.set_plan(plan)
    timeout = TIMEOUT_FACTOR * ideal["seconds"] + TIMEOUT_EXTRA_S
    try:
        result = run_client("ours", job, timeout=timeout)
    except ClientError as error:
        result = ClientResult(timeout, unanswered=rows, usage={"first_error": str(error)})
    ours = _client_run(result, service)
    return {
        "rows": rows,
        "ideal_client": ideal,
        "ours": ours,
        "time_ratio": ours["seconds"] / ideal["seconds"],
        "requests_ratio": ours["requests"] / (ideal["requests"] if plan.largest_batch != 1 else rows),
    }


def _client_run(result: ClientResult, service: RemoteService) -> ClientRun:
    stats = service.stats()
    return {
        "seconds": round(result.seconds, 3),
        "wrong": result.wrong,
        "unanswered": result.unanswered,
        "requests": stats["requests"],
        "refused": stats["refused"],
        "violations": stats["violations"],
        "in_transit": stats["in_transit"],
        "peak_active": stats["peak_active"],
        "timeline": stats["timeline"],
        "first_error": result.usage.get("first_error"),
    }


def check_case(results: Results, name: str, case: Case, runs: list[CaseRun]) -> None:
    """Store one case and check it: the median time, and the worst run of everything else."""
    median = sorted(runs, key=lambda run: run["time_ratio"])[(len(runs) - 1) // 2]
    results.body["cases"][name] = {
        **median,
        "all_time_ratios": sorted(round(run["time_ratio"], 3) for run in runs),
        "plan": {key: value for key, value in asdict(case.plan).items() if value != getattr(Plan(), key)},
        "ideal_client_in_flight": ideal_concurrency(case.plan),
        "ideal_seconds_by_plan": best_seconds(case.plan, median["rows"], best_batch(case.plan, median["rows"])),
    }
    bound = time_ratio_bound(case.plan, median["ideal_client"]["seconds"])
    results.check(f"{name}: time, relative to the ideal client", median["time_ratio"], bound)
    requests = max(run["requests_ratio"] for run in runs)
    if case.plan.largest_batch != 1:
        results.check(f"{name}: requests, relative to the ideal client", requests, LIST_REQUESTS_BOUND)
    else:
        results.check(f"{name}: requests, relative to the rows", requests, SINGLE_REQUESTS_BOUND)
    early = max(run["ours"]["violations"] for run in runs)
    results.check(f"{name}: requests before an announced time", early, 0)
    # The ideal client shows what is possible only where the service rejects none of its requests.
    rejected = max(sum(run["ideal_client"]["refused"].values()) + run["ideal_client"]["violations"] for run in runs)
    allowed = 1 if case.plan.loading else 0  # the request that starts the loading
    results.check(f"{name}: the ideal client's requests, rejected or early", rejected, allowed)
    bad = max(run["ours"]["wrong"] + run["ours"]["unanswered"] for run in runs)
    results.check(f"{name}: rows wrong or unanswered", bad, 0)


def main() -> None:
    """Run the benchmark and write its results."""
    options = parse_arguments(
        __doc__ or "",
        case={"help": "the one case to run"},
        seconds={"type": float, "help": "how long the ideal client is to be busy"},
    )
    results = Results("ceiling", options.quick)
    names = [options.case] if options.case else QUICK_CASES if options.quick else list(CASES)
    results.body["timeline_step_seconds"] = TIMELINE_STEP_S
    results.body["cases"] = {}
    with running_service() as service:
        results.body["service"] = service_throughput(service, 2000 if options.quick else 20_000)
        for name in names:
            case = CASES[name]
            seconds = options.seconds or (QUICK_SECONDS if options.quick else case.seconds)
            check_case(results, name, case, [run_case(service, case, seconds, seed) for seed in range(options.repeat)])
        results.body["time_ratios"] = summary([case["time_ratio"] for case in results.body["cases"].values()])
    results.write()


if __name__ == "__main__":
    main()
