"""4. Scale: rows a second and peak memory over the DataFrame's own size, from 10,000 rows to 1,000,000.

Each size in a fresh process, on a service that takes lists. The peak is of resident memory while the query runs, over
what was resident with the table loaded.
"""

from __future__ import annotations

from functools import partial
from typing import Any

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
PLAN = Plan(latency=0.01, capacity=64, largest_batch=64)
TABLE_FACTOR = 1.5
EXTRA_BYTES = 200 * 1024 * 1024
"""The promise: peak memory over the table is at most so many times the table, and so many bytes beside."""


def run(service: RemoteService, rows: int) -> dict[str, Any]:
    service.set_plan(PLAN)
    taken = run_client("ours", Job(service.url, rows))
    if taken["wrong"] or taken["unanswered"]:
        raise RuntimeError(f"{taken['wrong']} rows wrong, {taken['unanswered']} unanswered")
    memory, frame = taken["rss"], taken["frame"]
    return {
        "rows": rows,
        "rows_per_second": rows / taken["seconds"],
        "seconds": taken["seconds"],
        "cpu_us_per_row": taken["cpu_seconds"] / rows * 1e6,
        "requests": service.stats()["requests"],
        "frame_bytes": frame,
        "startup_bytes": memory["empty"],
        "loaded_bytes": memory["loaded"],
        "peak_bytes": memory["peak"],
        "memory_growth_bytes": memory["peak"] - memory["loaded"],
        "memory_ratio": (memory["peak"] - memory["loaded"]) / (TABLE_FACTOR * frame + EXTRA_BYTES),
        "process_memory_ratio": (memory["peak"] - memory["empty"]) / (TABLE_FACTOR * frame + EXTRA_BYTES),
    }


def main() -> None:
    options = parse_arguments(__doc__ or "", rows={"type": int, "help": "the one size to run"})
    results = Results("scale", options.quick)
    sizes = (options.rows,) if options.rows else QUICK_SIZES if options.quick else SIZES
    with running_service() as service:
        results.body["service"] = service_throughput(service, 2000 if options.quick else 20_000)
        # The largest takes long enough for once.
        times = {rows: 1 if rows >= 1_000_000 else options.repeat for rows in sizes}
        taken = [median_of_runs(times[rows], partial(run, service, rows), "seconds") for rows in sizes]
    results.body["sizes"] = taken
    least, most = taken[0], taken[-1]
    for each in taken:
        results.check(f"{each['rows']:,} rows: rows a second", each["rows_per_second"], None)
        results.check(f"{each['rows']:,} rows: peak over the table, of 1.5 times it + 200 MB", each["memory_ratio"], 1)
    if most is not least:
        slower = least["rows_per_second"] / most["rows_per_second"]
        results.check(f"a row of {most['rows']:,}: time over that of {least['rows']:,}", slower, None)
        growth = (most["peak_bytes"] - least["peak_bytes"]) / (most["rows"] - least["rows"])
        results.check(f"bytes a row, from {least['rows']:,} to {most['rows']:,}, table included", growth, None)
    results.write()


if __name__ == "__main__":
    main()
