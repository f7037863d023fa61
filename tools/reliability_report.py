"""``python -m tools.reliability_report [--check]``: docs/reliability.md, of the figures in docs/reliability.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.support.results import FILE
from tools.generated import run

PAGE = FILE.with_suffix(".md")

HEAD = """# Reliability

Made by `python -m tools.reliability_report` from `docs/reliability.json`, which the runs themselves write; not
written by hand. `make reliability` runs all of it again.
"""
FAULTS = """
## Faults

A table, and a service in a process of its own of whose requests three in ten go wrong, by a seeded plan. Each row was right or had
its reason, none was misplaced. The oracle is told the plan (`tests/faults/oracle.py`). The client's clock runs 20 times faster, and
so do its waits; seconds are real ones.
"""
LEAKS = """
## Leaks

What a process held after so many queries, less what it held before.
"""
KILLS = """
## Kills

A job killed with SIGKILL at random moments and begun anew, twenty times, until it is done (`tests/faults/test_kill.py`). The store
was whole after each kill, and no answer in it was asked for again. Answered twice is what was on its way, or waited to be written.
"""
CELLS = """
## Hostile cells

Cells of image columns that were refused, each with its reason in the row, by what they try (`tests/unit/inference/media`).
"""
FUZZ = """
## Fuzzing

Any bytes for an answer, to every task (`tests/faults/fuzz_answers.py`).
"""
ARGUMENTS = """
Any arguments and cells, in the statements of a person (`tests/faults/fuzz_arguments.py`).
"""


def table(head: list[str], rows: list[list[Any]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in line) + " |" for line in lines) + "\n"  # fmt: skip


def page(figures: dict[str, Any]) -> str:
    """The page, of the figures by run."""
    parts = [HEAD]
    runs = {name.removeprefix("faults "): run for name, run in sorted(figures.items()) if name.startswith("faults ")}
    if runs:
        fields = ["rows", "requests", "oracle_requests", "ratio", "rows_with_reason", "megabytes_before", "peak_megabytes", "seconds"]  # fmt: skip
        head = [
            "",
            *(name.replace("_", " ").replace("ratio", "requests over the oracle's") for name in fields),
            "faults",
        ]
        rows = [[name, *(run[field] for field in fields), sum(run["faults"].values())] for name, run in runs.items()]
        kinds = sorted({kind for run in runs.values() for kind in run["faults"]})
        counts = [[kind, *(run["faults"].get(kind, 0) for run in runs.values())] for kind in kinds]
        parts += [FAULTS, table(head, rows), "\nFaults by kind:\n", table(["kind", *runs], counts)]
    leaks = {name.removeprefix("leaks "): run for name, run in sorted(figures.items()) if name.startswith("leaks ")}
    if leaks:
        names = sorted(next(iter(leaks.values()))["grown"])
        rows = [[name, run["queries"], *(run["grown"][field] for field in names)] for name, run in leaks.items()]
        parts += [LEAKS, table(["queries that end", "queries", *names], rows)]
    kills = {name.removeprefix("kill "): run for name, run in sorted(figures.items()) if name.startswith("kill ")}
    if kills:
        names = ["kills", "rows", "stored_before_the_last_run", "stored_asked_again", "answered_twice", "most_lost_in_a_kill"]  # fmt: skip
        rows = [[name, *(run[field] for field in names)] for name, run in kills.items()]
        parts += [KILLS, table(["route that takes", *(name.replace("_", " ") for name in names)], rows)]
    if "hostile cells" in figures:
        cells = figures["hostile cells"]
        rows = [[promise, count] for promise, count in cells["refused"].items()]
        total = ["all", sum(cells["refused"].values())]
        parts += [CELLS, table(["", "cells"], [*rows, total]),
                  f"\n{cells['listeners']} listeners stood where no cell may lead: {cells['connections']} connections were made to them.\n"]  # fmt: skip
    if "fuzz answers" in figures:
        fuzz = figures["fuzz answers"]
        rows = [[target, count] for target, count in sorted(fuzz["executions"].items())]
        parts += [FUZZ, table(["target", "executions"], rows),
                  f"\n{fuzz['seconds']} seconds, {fuzz['requests']:,} requests, {fuzz['tasks']} tasks.\n"]  # fmt: skip
    if "fuzz arguments" in figures:
        fuzz = figures["fuzz arguments"]
        rows = [
            [target, count, fuzz["outcomes"].get(f"{target}: refused", 0), fuzz["outcomes"].get(f"{target}: taken", 0)]
            for target, count in sorted(fuzz["executions"].items())
        ]
        parts += [ARGUMENTS, table(["statement", "executions", "refused in a sentence", "taken"], rows), f"\n{fuzz['seconds']} seconds.\n"]  # fmt: skip
    return "\n".join(parts)


def pages() -> dict[Path, str]:
    """The page's path and the text that belongs there."""
    return {PAGE: page(json.loads(FILE.read_text("utf-8")))}


if __name__ == "__main__":
    sys.exit(run("python -m tools.reliability_report", "Write docs/reliability.md.", pages()))
