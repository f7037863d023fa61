"""1. Finding the ceiling: our time over that of an ideal client that was told all about the service, in one run.

Nothing is configured in any case. Each client is a fresh process that has learned nothing before.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, NamedTuple

from .baselines import Job
from .ideal_client import best_batch, best_seconds, in_flight
from .measure import ClientError, Remote, Results, arguments, ceiling_of, client, service, spread
from .service import BUCKET, Plan


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
TOO_LONG = 5
"""Times the ideal client's seconds, and half a minute, after which ours is given up."""
_KEPT = ("requests", "refused", "violations", "in_the_air", "most_active", "timeline")
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


def bound_for(ideal_seconds: float) -> float | None:
    """Our time over the ideal client's: no promise below 10 s, 1.25 there, 1.05 from 20 s on."""
    return 1.05 if ideal_seconds >= 20 else 1.25 if ideal_seconds >= 9.5 else None


def run_case(remote: Remote, case: Case, seconds: float, seed: int) -> dict[str, Any]:
    plan = case.plan
    rows = rows_for(plan, seconds)
    remote.follow(plan)
    ideal = _kept(client("ideal_client:ideal_client", Job(remote.url, rows, seed=seed, plan=asdict(plan))), remote)
    remote.follow(plan)
    patience = TOO_LONG * ideal["seconds"] + 30
    try:
        ours = _kept(client("ours", Job(remote.url, rows, seed=seed), timeout=patience), remote)
    except ClientError as error:
        nothing = {"seconds": patience, "wrong": 0, "unanswered": rows, "receipt": {"first_error": str(error)}}
        ours = _kept(nothing, remote)
    lists = plan.largest_batch != 1
    return {
        "rows": rows,
        "ideal_client": ideal,
        "ours": ours,
        "time_ratio": ours["seconds"] / ideal["seconds"],
        "requests_ratio": ours["requests"] / (ideal["requests"] if lists else rows),
    }


def _kept(got: dict[str, Any], remote: Remote) -> dict[str, Any]:
    """What is told of a client's run: its own part, and the service's."""
    stats = remote.stats()
    return {
        "seconds": round(got["seconds"], 3),
        "wrong": got["wrong"],
        "unanswered": got["unanswered"],
        **{name: stats[name] for name in _KEPT},
        "first_error": got["receipt"].get("first_error"),
    }


def main() -> None:
    given = arguments(__doc__ or "", case={"help": "the one case to run"}, seconds={"type": float})
    results = Results("ceiling", given.quick)
    cases = [given.case] if given.case else QUICK if given.quick else list(CASES)
    results.body["bucket_seconds"] = BUCKET
    results.body["cases"] = {}
    with service() as remote:
        results.body["service"] = ceiling_of(remote, 2000 if given.quick else 20_000)
        for name in cases:
            case = CASES[name]
            seconds = given.seconds or (2.0 if given.quick else case.seconds)
            runs = [run_case(remote, case, seconds, seed) for seed in range(given.repeat)]
            runs.sort(key=lambda run: float(run["time_ratio"]))
            median = runs[(len(runs) - 1) // 2]
            lists = case.plan.largest_batch != 1
            results.body["cases"][name] = {
                **median,
                "all_time_ratios": [round(run["time_ratio"], 3) for run in runs],
                "plan": {key: value for key, value in asdict(case.plan).items() if value != getattr(Plan(), key)},
                "ideal_client_in_flight": in_flight(case.plan),
                "best_by_plan": best_seconds(case.plan, median["rows"], best_batch(case.plan, median["rows"])),
            }
            results.check(
                f"{name}: time over ideal client's", median["time_ratio"], bound_for(median["ideal_client"]["seconds"])
            )
            worst = max(run["requests_ratio"] for run in runs)
            base = "ideal client's" if lists else "rows"
            results.check(f"{name}: requests over {base}", worst, 1.3 if lists else 1.1)
            results.check(f"{name}: sent before announced", max(run["ours"]["violations"] for run in runs), 0)
            impolite = max(
                sum(run["ideal_client"]["refused"].values()) + run["ideal_client"]["violations"] for run in runs
            )
            results.check(f"{name}: ideal client refused or early", impolite, 1 if case.plan.loading else 0)
            bad = max(run["ours"]["wrong"] + run["ours"]["unanswered"] for run in runs)
            results.check(f"{name}: rows wrong or unanswered", bad, 0)
        ratios = [case["time_ratio"] for case in results.body["cases"].values()]
        results.body["time_ratios"] = spread(ratios)
    results.write()


if __name__ == "__main__":
    main()
