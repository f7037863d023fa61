"""4. Scale: rows per second and peak memory, from 10,000 rows to 1,000,000.

Each size runs in a fresh process, on a service that takes lists: as one table, and in frames that are made as they
are read. The peak is the resident memory during the query, beyond what was resident with the table loaded, or, in
frames, after the imports.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TypedDict

from . import measure
from .baselines import FLAGGED, LONG_CHARS, Job
from .ideal_search import fewest_requests_in_search
from .service import Plan

SIZES = (10_000, 100_000, 1_000_000)
QUICK_SIZES = (2_000, 20_000)
ONE_RUN_FROM = 1_000_000
"""Sizes from here run once, since that takes long enough."""
PLAN = Plan(latency=0.01, capacity=64, largest_batch=64)
REFUSING = replace(PLAN, flagged=FLAGGED, max_chars=LONG_CHARS - 1)
REFUSED_REQUESTS_BOUND = 1.1
"""Our requests where two rows of a hundred are refused, relative to a search that knows which are too long."""
TABLE_FACTOR = 1.5
EXTRA_BYTES = 200 * 1024 * 1024
"""The bound of the peak memory: the size of the table times the factor, plus the extra."""
FRAME_ROWS = 10_000
QUICK_FRAME_ROWS = 1000
FRAMES_BOUND_BYTES = 300 * 1000 * 1000
"""The bound of the peak memory of a table in frames, of any length."""


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


def run(service: measure.RemoteService, rows: int, frame_rows: int = 0, plan: Plan = PLAN, unanswered: int = 0) -> Run:
    """Run ours once on a number of rows.

    Args:
        service: The service. Its plan is replaced.
        rows: How many rows.
        frame_rows: Rows of each frame; 0 for one table.
        plan: How the service behaves.
        unanswered: How many rows it refuses.

    Raises:
        RuntimeError: A row has no answer, or a wrong one.
    """
    service.set_plan(plan)
    client = "ours_in_frames" if frame_rows else "ours"
    result = measure.run_client(client, Job(service.url, rows, frame_rows=frame_rows, refused=unanswered > 0))
    result.raise_if_incomplete("ours", unanswered)
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


def run_refusing(service: measure.RemoteService, rows: int) -> tuple[Run, int]:
    """Run ours once where one row in a hundred is flagged and another too long.

    Args:
        service: The service. Its plan is replaced.
        rows: How many rows.

    Returns:
        The run, and the fewest requests.
    """
    texts = Job("", rows, refused=True).inputs()
    flags = [text.endswith(FLAGGED) for text in texts if len(text) < LONG_CHARS]
    too_long = rows - len(flags)
    sizes = [2**power for power in range(2, 7)]
    ours = run(service, rows, plan=REFUSING, unanswered=sum(flags) + too_long)
    return ours, too_long + fewest_requests_in_search(flags, sizes)


def main() -> None:
    """Run the benchmark and write its results."""
    options = measure.parse_arguments(__doc__ or "", rows={"type": int, "help": "the one size to run"})
    results = measure.Results("scale", options.quick)
    sizes = (options.rows,) if options.rows else QUICK_SIZES if options.quick else SIZES
    with measure.running_service() as service:
        results.body["service"] = measure.service_throughput(service, 2000 if options.quick else 20_000)
        times = {rows: 1 if rows >= ONE_RUN_FROM else options.repeat for rows in sizes}
        runs = [measure.median_of_runs(times[rows], partial(run, service, rows), "seconds") for rows in sizes]
        frame_rows = QUICK_FRAME_ROWS if options.quick else FRAME_ROWS
        in_frames = [
            measure.median_of_runs(times[rows], partial(run, service, rows, frame_rows), "seconds") for rows in sizes
        ]
        refusing, fewest_requests = run_refusing(service, sizes[-1])
    results.body["sizes"] = runs
    for each in runs:
        name = f"{each['rows']:,} rows"
        results.check(f"{name}: rows per second", each["rows_per_second"], None)
        results.check(f"{name}: peak memory, relative to 1.5 times the table + 200 MB", each["memory_ratio"], 1)
    results.body["in_frames"] = in_frames
    for each, whole in zip(in_frames, runs, strict=True):
        name = f"{each['rows']:,} rows in frames of {frame_rows:,}"
        over_imports = each["peak_bytes"] - each["startup_bytes"]
        results.check(f"{name}: rows per second, relative to one table", whole["seconds"] / each["seconds"], None)
        results.check(f"{name}: peak memory over the imports, relative to 300 MB", over_imports / FRAMES_BOUND_BYTES, 1)
    results.body["refusing"] = refusing
    name = f"{sizes[-1]:,} rows, 1 % flagged and 1 % too long"
    results.check(f"{name}: rows per second", refusing["rows_per_second"], None)
    ratio = refusing["requests"] / fewest_requests
    results.check(f"{name}: requests, relative to an ideal search", ratio, REFUSED_REQUESTS_BOUND)
    results.check(f"{name}: peak memory, relative to 1.5 times the table + 200 MB", refusing["memory_ratio"], 1)
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
