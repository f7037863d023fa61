"""4. Scale: rows per second and peak memory, from 10,000 rows to 1,000,000.

Each size runs in a fresh process, on a service that takes lists. The peak is the resident memory during the query,
beyond what was resident with the table loaded.
"""

from __future__ import annotations

from functools import partial
from typing import TypedDict

from .baselines import Job
from .measure import (
    RemoteService,
    Results,
    median_of_runs,
    parse_arguments,
    run_client,
    running_service,
    service_throughput,
)
from .service import Plan

SIZES = (10_000, 100_000, 1_000_000)
QUICK_SIZES = (2_000, 20_000)
ONE_RUN_FROM = 1_000_000
"""Sizes from here run once, since that takes long enough."""
PLAN = Plan(latency=0.01, capacity=64, largest_batch=64)
TABLE_FACTOR = 1.5
EXTRA_BYTES = 200 * 1024 * 1024
"""The bound of the peak memory: the size of the table times the factor, plus the extra."""


class Run(TypedDict):
    """One run of ours. ``memory_ratio`` is the growth relative to the bound.

    ``memory_growth_bytes`` is the peak beyond the memory with the table loaded. ``process_memory_ratio`` is the same
    ratio for the peak beyond the memory after the imports.
    """

    rows: int
    rows_per_second: float
    seconds: float
    cpu_us_per_row: float
    requests: int
    frame_bytes: int
    startup_bytes: int
    loaded_bytes: int
    peak_bytes: int
    memory_growth_bytes: int
    memory_ratio: float
    process_memory_ratio: float


def run(service: RemoteService, rows: int) -> Run:
    """Run ours once on a number of rows.

    Raises:
        RuntimeError: A row has no answer, or a wrong one.
    """
    service.set_plan(PLAN)
    result = run_client("ours", Job(service.url, rows))
    result.raise_if_incomplete("ours")
    memory = result.memory
    bound_bytes = TABLE_FACTOR * result.frame_bytes + EXTRA_BYTES
    return {
        "rows": rows,
        "rows_per_second": rows / result.seconds,
        "seconds": result.seconds,
        "cpu_us_per_row": result.cpu_seconds / rows * 1e6,
        "requests": service.stats()["requests"],
        "frame_bytes": result.frame_bytes,
        "startup_bytes": memory.startup_bytes,
        "loaded_bytes": memory.loaded_bytes,
        "peak_bytes": memory.peak_bytes,
        "memory_growth_bytes": memory.peak_bytes - memory.loaded_bytes,
        "memory_ratio": (memory.peak_bytes - memory.loaded_bytes) / bound_bytes,
        "process_memory_ratio": (memory.peak_bytes - memory.startup_bytes) / bound_bytes,
    }


def main() -> None:
    """Run the benchmark and write its results."""
    options = parse_arguments(__doc__ or "", rows={"type": int, "help": "the one size to run"})
    results = Results("scale", options.quick)
    sizes = (options.rows,) if options.rows else QUICK_SIZES if options.quick else SIZES
    with running_service() as service:
        results.body["service"] = service_throughput(service, 2000 if options.quick else 20_000)
        times = {rows: 1 if rows >= ONE_RUN_FROM else options.repeat for rows in sizes}
        runs = [median_of_runs(times[rows], partial(run, service, rows), "seconds") for rows in sizes]
    results.body["sizes"] = runs
    for each in runs:
        name = f"{each['rows']:,} rows"
        results.check(f"{name}: rows per second", each["rows_per_second"], None)
        results.check(f"{name}: peak memory, relative to 1.5 times the table + 200 MB", each["memory_ratio"], 1)
    first, last = runs[0], runs[-1]
    if last is not first:
        slower = first["rows_per_second"] / last["rows_per_second"]
        results.check(f"{last['rows']:,} rows: time per row, relative to {first['rows']:,} rows", slower, None)
        growth = (last["peak_bytes"] - first["peak_bytes"]) / (last["rows"] - first["rows"])
        sizes_named = f"{first['rows']:,} to {last['rows']:,} rows"
        results.check(f"{sizes_named}: growth of the peak memory, table included, bytes per row", growth, None)
    results.write()


if __name__ == "__main__":
    main()
