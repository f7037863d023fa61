"""2. Client cost: CPU time of the client's process per row, relative to a bare aiohttp loop.

Each client runs in a process of its own, 64 requests in flight where it has to be configured. All inputs differ. Ours
runs with its defaults, and once more without its response cache. Imports are not included.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypedDict

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

SINGLES_BOUND = 1.25
"""CPU time of our single requests, relative to the bare loop."""
BATCHES_BOUND_US = 25.0
"""CPU time per row of ours in batches."""
SINGLES = Plan(latency=0.005, capacity=64)
BATCHES = Plan(latency=0.005, capacity=64, largest_batch=32)
BATCH_SIZE = 32
EMBEDDINGS_BOUND = 1.2
"""CPU time per row of embeddings in OpenAI's batches of 64, relative to hf-inference's of 32."""
EMBEDDINGS = {
    "hf-inference, lists of 32": (replace(BATCHES, embeddings="lists"), ""),
    "/v1/embeddings, lists of 64": (replace(BATCHES, largest_batch=64, embeddings="base64"), "/v1/embeddings"),
}
"""By the name in the results: how the service behaves, and the path of the endpoint."""


class Cost(TypedDict):
    """One run of a client: its CPU time, its speed, and the requests that the service received."""

    rows: int
    cpu_us_per_row: float
    rows_per_second: float
    startup_cpu_seconds: float
    requests: int
    rows_per_request: float
    peak_active: int


def cost(service: RemoteService, name: str, plan: Plan, job: Job, python: str = sys.executable) -> Cost:
    """Run a client once.

    Args:
        service: The service. Its plan is replaced.
        name: The client, as in ``run_client``.
        plan: How the service behaves.
        job: What to predict. Its ``url`` is replaced.
        python: The interpreter to run.

    Raises:
        RuntimeError: A row has no answer, or a wrong one.
    """
    service.set_plan(plan)
    result = run_client(name, replace(job, url=service.url), python=python)
    result.raise_if_incomplete(name)
    stats = service.stats()
    return {
        "rows": job.rows,
        "cpu_us_per_row": result.cpu_seconds / job.rows * 1e6,
        "rows_per_second": job.rows / result.seconds,
        "startup_cpu_seconds": result.startup_cpu_seconds,
        "requests": stats["requests"],
        "rows_per_request": stats["items"] / stats["requests"],
        "peak_active": stats["peak_active"],
    }


def run_rounds(
    service: RemoteService, plan: Plan, jobs: Mapping[str, tuple[str, Job]], repeat: int
) -> dict[str, list[Cost]]:
    """Run several clients in turns, so that a machine that is slow for a while is slow for all of them.

    Args:
        service: The service.
        plan: How it behaves.
        jobs: By the name in the results: client and job.
        repeat: How many rounds.

    Returns:
        By the same names: one run for each round.
    """
    runs: dict[str, list[Cost]] = {name: [] for name in jobs}
    for _ in range(repeat):
        for name, (client, job) in jobs.items():
            runs[name].append(cost(service, client, plan, job))
    return runs


def batched_cost(service: RemoteService, rows: int, python: str = sys.executable) -> Cost:
    """Run ours once on a service that takes batches of 32."""
    return cost(service, "ours", BATCHES, Job("", rows), python)


def embeddings_costs(service: RemoteService, rows: int, repeat: int) -> dict[str, list[Cost]]:
    """Run ours in turns on services that answer with the same vectors, each in its form.

    Args:
        service: The service.
        rows: How many rows.
        repeat: How many rounds.

    Returns:
        By the names of ``EMBEDDINGS``: one run for each round.
    """
    runs: dict[str, list[Cost]] = {name: [] for name in EMBEDDINGS}
    for _ in range(repeat):
        for name, (plan, path) in EMBEDDINGS.items():
            runs[name].append(cost(service, "ours_embeddings", plan, Job("", rows, path=path)))
    return runs


def _ratio(runs: Mapping[str, Sequence[Cost]], name: str, other: str) -> float:
    """The median over the rounds of one client's CPU time per row relative to another's."""
    rounds = zip(runs[name], runs[other], strict=True)
    return float(statistics.median(one["cpu_us_per_row"] / two["cpu_us_per_row"] for one, two in rounds))


def _medians(runs: Mapping[str, Sequence[Cost]]) -> dict[str, dict[str, Any]]:
    return {name: median_run(each, "cpu_us_per_row") for name, each in runs.items()}


def profile(service: RemoteService, rows: int) -> None:
    """Print where ours spends its time: single requests, then batches with ten times the rows."""
    for plan, count in ((SINGLES, rows), (BATCHES, rows * 10)):
        service.set_plan(plan)
        run_client("ours", Job(service.url, count, profile=True))


def main() -> None:
    """Run the benchmark and write its results."""
    options = parse_arguments(__doc__ or "", profile={"action": "store_true", "help": "profile ours and stop"})
    results = Results("client_cost", options.quick)
    variants: dict[str, bool | None] = {"ours": None}
    if has_setting("cache"):
        variants["ours, without cache"] = False
    rows = 3000 if options.quick else 30_000
    with running_service() as service:
        if options.profile:
            profile(service, rows)
            return
        results.body["service"] = service_throughput(service, rows)
        single_jobs = {name: ("ours", Job("", rows, cache=cache)) for name, cache in variants.items()}
        single_jobs["bare loop"] = ("bare", Job("", rows))
        single_jobs["AsyncInferenceClient"] = ("hub", Job("", max(500, rows // 10)))
        singles = run_rounds(service, SINGLES, single_jobs, options.repeat)
        batch_jobs = {name: ("ours", Job("", rows * 10, cache=cache)) for name, cache in variants.items()}
        batch_jobs["bare loop"] = ("bare", Job("", rows * 10, batch=BATCH_SIZE))
        batches = run_rounds(service, BATCHES, batch_jobs, options.repeat)
        embeddings = embeddings_costs(service, rows, options.repeat)
    medians = {"singles": _medians(singles), "batches": _medians(batches), "embeddings": _medians(embeddings)}
    results.body.update(medians)
    for name in variants:
        ratio = _ratio(singles, name, "bare loop")
        results.check(f"{name}: CPU time of a single request, relative to the bare loop", ratio, SINGLES_BOUND)
        per_row = medians["batches"][name]["cpu_us_per_row"]
        results.check(f"{name}: CPU time per row in batches of {BATCH_SIZE}, microseconds", per_row, BATCHES_BOUND_US)
        ratio = _ratio(batches, name, "bare loop")
        results.check(f"{name}: CPU time per row in batches, relative to the bare loop", ratio, None)
    lists, openai = EMBEDDINGS
    ratio = _ratio(embeddings, openai, lists)
    results.check(f"{openai}: CPU time per row of embeddings, relative to {lists}", ratio, EMBEDDINGS_BOUND)
    ratio = _ratio(singles, "AsyncInferenceClient", "ours")
    results.check("AsyncInferenceClient: CPU time of a single request, relative to ours", ratio, None)
    results.write()


if __name__ == "__main__":
    main()
