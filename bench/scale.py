"""4. Scale: rows a second and peak memory over the DataFrame's own size, from 10,000 rows to 1,000,000.

Each size in a fresh process, on a service that takes lists. The peak is of resident memory while the query runs, over
what was resident with the table loaded.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from .baselines import Job
from .measure import Remote, Results, arguments, ceiling_of, client, median_of, service
from .service import Plan

SIZES = (10_000, 100_000, 1_000_000)
QUICK_SIZES = (2_000, 20_000)
PLAN = Plan(latency=0.01, capacity=64, largest_batch=64)
TIMES, BESIDE = 1.5, 200 * 1024 * 1024
"""The promise: peak memory over the table is at most so many times the table, and so many bytes beside."""


def run(remote: Remote, rows: int) -> dict[str, Any]:
    remote.follow(PLAN)
    taken = client("ours", Job(remote.url, rows))
    if taken["wrong"] or taken["unanswered"]:
        raise RuntimeError(f"{taken['wrong']} rows wrong, {taken['unanswered']} unanswered")
    memory, frame = taken["rss"], taken["frame"]
    return {
        "rows": rows,
        "rows_a_second": rows / taken["seconds"],
        "seconds": taken["seconds"],
        "cpu_us_a_row": taken["cpu_seconds"] / rows * 1e6,
        "requests": remote.stats()["requests"],
        "frame_bytes": frame,
        "empty_bytes": memory["empty"],
        "loaded_bytes": memory["loaded"],
        "peak_bytes": memory["peak"],
        "over_frame_bytes": memory["peak"] - memory["loaded"],
        "over_promise": (memory["peak"] - memory["loaded"]) / (TIMES * frame + BESIDE),
        "whole_process_over_promise": (memory["peak"] - memory["empty"]) / (TIMES * frame + BESIDE),
    }


def main() -> None:
    given = arguments(__doc__ or "", rows={"type": int, "help": "the one size to run"})
    results = Results("scale", given.quick)
    sizes = (given.rows,) if given.rows else QUICK_SIZES if given.quick else SIZES
    with service() as remote:
        results.body["service"] = ceiling_of(remote, 2000 if given.quick else 20_000)
        # The largest takes long enough for once.
        times = {rows: 1 if rows >= 1_000_000 else given.repeat for rows in sizes}
        taken = [median_of(times[rows], partial(run, remote, rows), "seconds") for rows in sizes]
    results.body["sizes"] = taken
    least, most = taken[0], taken[-1]
    for each in taken:
        results.check(f"{each['rows']:,} rows: rows a second", each["rows_a_second"], None)
        results.check(f"{each['rows']:,} rows: peak over the table, of 1.5 times it + 200 MB", each["over_promise"], 1)
    if most is not least:
        slower = least["rows_a_second"] / most["rows_a_second"]
        results.check(f"a row of {most['rows']:,}: time over that of {least['rows']:,}", slower, None)
        growth = (most["peak_bytes"] - least["peak_bytes"]) / (most["rows"] - least["rows"])
        results.check(f"bytes a row, from {least['rows']:,} to {most['rows']:,}, table included", growth, None)
    results.write()


if __name__ == "__main__":
    main()
