"""``python -m tools.scale_report [--check]``: docs/scale.md, by arithmetic of the figures in bench/results.

With a price or a number of rows it prints the page for these instead of writing it, such as
``python -m tools.scale_report --rows 50000000 --dollars-per-million-tokens 0.02``.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import textwrap
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_api_handler.inference.flow_control.report_schedule import MAX_CROWDED_INTERVAL_S
from tools.generated import ROOT, run

PAGE = ROOT / "docs" / "scale.md"
RESULTS = ROOT / "bench" / "results"
COMMAND = "python -m tools.scale_report"
BATCH = 32
"""Inputs in a list, as in the measurements."""
REQUESTS_PER_S = (20, 100, 1_000, 10_000)
REDIS_SHARE = 0.5
"""Of one CPU, which the reports of a route's workers may take."""
DAY_S = 86_400
HOUR_S = 3_600
LINE_CHARS = 108
GB_BYTES = 1e9


class Job(NamedTuple):
    """What is computed.

    Attributes:
        rows: Distinct inputs.
        dollars_per_1000_requests: Of a service that counts requests.
        dollars_per_million_tokens: Of a service that counts tokens.
        tokens_per_row: Read and written.
    """

    rows: int = 1_000_000_000
    dollars_per_1000_requests: float = 1.0
    dollars_per_million_tokens: float = 1.0
    tokens_per_row: float = 100.0


class Figures(NamedTuple):
    """What was measured, by benchmark.

    Attributes:
        client_cost: CPU time of a request and of a row.
        ceiling: Requests over the fewest, by service.
        scale_out: Workers in virtual time, the shared record, stored answers.
    """

    client_cost: dict[str, Any]
    ceiling: dict[str, Any]
    scale_out: dict[str, Any]


def page(job: Job, figures: Figures) -> str:
    """The page.

    Args:
        job: What is computed.
        figures: What was measured.

    Returns:
        Markdown.
    """
    parts = [
        _introduction(job),
        _requests(job, figures),
        _days(job, figures),
        _memory(job, figures),
        _dollars(job, figures),
        _workers(figures),
    ]
    return "\n\n".join(_filled(each.strip("\n")) for part in parts for each in part.strip().split("\n\n")) + "\n"


def _filled(paragraph: str) -> str:
    """A paragraph in lines; headings, lists and tables as they are."""
    return paragraph if paragraph[0] in "#-|" else textwrap.fill(paragraph, LINE_CHARS, break_on_hyphens=False)


def _introduction(job: Job) -> str:
    return f"""# Scale: {job.rows:,} rows

Made by `{COMMAND}` from the figures in `bench/results`, which the benchmarks write; not written by hand.
Nobody ran so many rows here. Each number below is a measured one, multiplied. Other rows or prices:
`{COMMAND} --help`.
"""


def _requests(job: Job, figures: Figures) -> str:
    cost = figures.client_cost
    rows = []
    for name, kind, size in (("1", "singles", 1), (f"{BATCH}", "batches", BATCH)):
        cpu_us = cost[kind]["ours"]["cpu_us_per_row"]
        rows.append(
            [name, f"{_requests_of(job, figures, size):,}", f"{cpu_us:.1f} us", f"{job.rows * cpu_us / 1e6 / HOUR_S:,.0f} hours"]
        )  # fmt: skip
    head = ["inputs in a request", "requests", "CPU of a row", "CPU of all rows"]
    return f"""## Requests and CPU

Requests are rows over inputs in a request, times what was sent over the fewest: {_single_ratio(figures):.3f} without lists
(`bench.scale_out`, 64 workers), {_list_ratio(figures):.3f} with lists of {BATCH} (`bench.ceiling`). CPU time is that of a worker, with answers
stored (`bench.client_cost`). Equal rows are asked once, so count distinct ones.

{_table(head, rows)}"""


def _days(job: Job, figures: Figures) -> str:
    rows = []
    for limit in REQUESTS_PER_S:
        cells = [f"{limit:,}"]
        for kind, size in (("singles", 1), ("batches", BATCH)):
            cpu_us = figures.client_cost[kind]["ours"]["cpu_us_per_row"] * size
            cells += [
                f"{_requests_of(job, figures, size) / limit / DAY_S:,.2f}",
                f"{max(1, math.ceil(limit * cpu_us / 1e6)):,}",
            ]
        rows.append(cells)
    head = ["requests a second", "days, single", "workers", f"days, lists of {BATCH}", "workers"]
    return f"""## Days, and how many workers you need

The limit of the service decides, not the number of workers. A worker is a process with one CPU. Workers are
the limit times the CPU time of a request, rounded up; more of them bring nothing.

{_table(head, rows)}"""


def _memory(job: Job, figures: Figures) -> str:
    answers, record = figures.scale_out["answers"], _record(figures, 64)
    shared, local = (job.rows * answers[name]["bytes"] / GB_BYTES for name in ("redis", "sqlite"))
    rows = [
        ["shared, in Redis", f"{shared:,.0f} GB", "-"],
        ["`answers = 'local'`", f"{record['bytes'] / 1e3:.1f} kB for 64 workers", f"{local:,.0f} GB"],
    ]
    redis = answers["redis"]
    hours = job.rows * (redis["put_cpu_us"] + redis["find_cpu_us"]) / 1e6 / HOUR_S
    head = ["answers", "Redis memory", "files of all machines together"]
    return f"""## Memory

A stored answer, a label with its score, takes {redis["bytes"]} bytes in Redis and {answers["sqlite"]["bytes"]} in a file. Larger answers take their
own bytes more. To store one in Redis takes {redis["put_cpu_us"]:.1f} us of a worker's CPU and to find one {redis["find_cpu_us"]:.1f} us: {hours:.1f} hours
for all rows.

{_table(head, rows)}"""


def _dollars(job: Job, figures: Figures) -> str:
    tokens = job.rows * job.tokens_per_row / 1e6 * job.dollars_per_million_tokens
    rows = [
        [f"{name} at ${job.dollars_per_1000_requests:g} per 1,000 requests",
         f"{_requests_of(job, figures, size) / 1000 * job.dollars_per_1000_requests:,.0f}"]
        for name, size in (("single requests", 1), (f"lists of {BATCH}", BATCH))
    ]  # fmt: skip
    rows.append(
        [f"{job.tokens_per_row:g} tokens a row at ${job.dollars_per_million_tokens:g} per million", f"{tokens:,.0f}"]
    )  # fmt: skip
    return f"""## Dollars

The prices here are round numbers to multiply, and no service's. Take yours from its price list:

- by requests: requests / 1,000 x price per 1,000 requests;
- by tokens: rows x tokens of a row / 1,000,000 x price per million tokens. Lists change nothing then.

{_table(["what is paid", "dollars"], rows)}
A stored answer costs nothing the next time. `USING dry_run = true` counts the requests of your own table.
"""


def _workers(figures: Figures) -> str:
    rows = []
    for each in figures.scale_out["runs"]:
        late_s = each["seconds"] * (1 - 1 / each["time_ratio"])
        cpu_us = _record(figures, each["workers"])["cpu_us_per_report"]
        rows.append(
            [each["service"], f"{each['workers']:,}", f"{each['rows']:,}", f"{each['time_ratio']:.2f}", f"{late_s:.1f}",
             f"{each['requests_ratio']:.3f}", f"{each['reports_per_second']:,.0f}",
             f"{each['reports_per_second'] * cpu_us / 1e6:.2f}"]
        )  # fmt: skip
    head = ["service", "workers", "rows", "time", "seconds lost", "requests", "reports a second", "Redis CPUs"]
    few, many = _record(figures, 64), _record(figures, 1024)
    return f"""## Many workers on one limit

In virtual time (`bench.scale_out`), on a route that is new to all. Time is relative to one ideal client that
knows the service, requests to rows. Seconds are lost once, while the limit is found; with 64 workers they do not
grow with the rows. Redis CPUs are reports a second times the CPU time of a report, which was measured on a real
Redis: {few["cpu_us_per_report"]:.0f} us with 64 workers, {many["cpu_us_per_report"]:,.0f} us with 1,024.

The table is from before workers reported less often while nothing changes. One run since, of 1,000 a second
with 64 workers, gave a time of 1.19 and 197 reports a second. `python -m bench.scale_out` runs all.

{_table(head, rows)}

The script of a report looks at all workers, and Redis runs one script at a time. So workers report less often
the more there are, down to once in {MAX_CROWDED_INTERVAL_S:g} s. Up to about {_most_workers(few, many):,} workers on one route take half a CPU of
Redis at most. Where "Redis CPUs" is above 1, one Redis cannot serve them: that row is what the scheme would
give with a faster one.

Limits are found slowly where reports are seldom. While there are fewer slots than workers, slots go round, and
each stays where it is until the next report. So take as many workers as the table of days says, and not more.
"""


def _most_workers(few: dict[str, Any], many: dict[str, Any]) -> int:
    """How many workers' reports take ``REDIS_SHARE`` of a CPU, where the cost of a report grows evenly with them."""
    slope_us = (many["cpu_us_per_report"] - few["cpu_us_per_report"]) / (many["members"] - few["members"])
    base_us = few["cpu_us_per_report"] - slope_us * few["members"]
    budget_us = REDIS_SHARE * MAX_CROWDED_INTERVAL_S * 1e6
    workers: float = (math.sqrt(base_us * base_us + 4 * slope_us * budget_us) - base_us) / (2 * slope_us)
    return round(workers / 10) * 10


def _requests_of(job: Job, figures: Figures, size: int) -> int:
    ratio = _single_ratio(figures) if size == 1 else _list_ratio(figures)
    return math.ceil(job.rows / size * ratio)


def _single_ratio(figures: Figures) -> float:
    return float(figures.scale_out["runs"][0]["requests_ratio"])


def _list_ratio(figures: Figures) -> float:
    return float(figures.ceiling["cases"][f"lists to {BATCH}"]["requests_ratio"])


def _record(figures: Figures, members: int) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in figures.scale_out["record"] if each["members"] == members)
    return found


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "".join(f"| {' | '.join(cells)} |\n" for cells in [head, ["---"] * len(head), *rows])


def pages(job: Job | None = None) -> dict[Path, str]:
    """The page's path and the text that belongs there.

    Args:
        job: What is computed; None for the page's own.

    Returns:
        One path and its text.
    """
    names = Figures._fields
    found = Figures(*(json.loads((RESULTS / f"{name}.json").read_text("utf-8")) for name in names))
    return {PAGE: page(job or Job(), found)}


def main() -> int:
    """The command line.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the page is outdated")
    for name, default in Job._field_defaults.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    options = parser.parse_args()
    job = Job(*(getattr(options, name) for name in Job._fields))
    if job != Job():
        print(pages(job)[PAGE])
        return 0
    return run(COMMAND, "Write docs/scale.md.", pages())


if __name__ == "__main__":
    sys.exit(main())
