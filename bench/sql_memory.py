"""10. Memory of SQL: peak memory and client cost of a long table through a model, over the same statement without it.

``COPY (SELECT t.id, m.y FROM 'rows.parquet' AS t JOIN sentiment AS m) TO ...`` in DuckDB, without MindsDB, each in a
process of its own, on a service that takes lists. All texts differ. DuckDB's ``memory_limit`` is 500 MB in both, but
for the case that says so. The client cost is the CPU time of the process beyond that of the statement without a model,
relative to the CPU time of ``predict`` on the same rows.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import measure
from .service import Plan
from .sql_scan import FRAME, Scan, ScanResult, run_scan

ROWS = 5_000_000
QUICK_ROWS = 100_000
PLAN = Plan(capacity=64, largest_batch=64)
MEMORY_LIMIT = "500MB"
MEMORY_BOUND_BYTES = 1_000_000_000
"""Of the peak beyond that of the same statement without a model."""
COST_BOUND = 1.2
"""Of the CPU time beyond that of the same statement without a model, relative to that of ``predict``."""
_WORDS = "the parcel came late but staff were kind and it works as told so we would order again at this price "


def cases(parquet: str) -> dict[str, Scan]:
    """What is read, by the name in the results. Folder and service are left out.

    Args:
        parquet: The file of all rows.
    """
    scan = Scan(parquet, "", table=f"'{parquet}'", memory_limit=MEMORY_LIMIT)
    rows = f"AS SELECT * FROM '{parquet}'"
    return {
        "a Parquet file": scan,
        "inside BEGIN ... ROLLBACK": replace(scan, setup=("BEGIN", f"CREATE TABLE written {rows}"), table="written"),
        "a temporary table": replace(scan, setup=(f"CREATE TEMPORARY TABLE held {rows}",), table="held"),
        "a registered frame": replace(scan, is_frame=True, table=FRAME),
        "a Parquet file, without memory_limit": replace(scan, memory_limit=""),
    }


def write_rows(path: Path, rows: int) -> None:
    """Write a Parquet file with the columns ``id`` and ``review``, texts of 50 to 150 characters that all differ.

    Args:
        path: The file.
        rows: How many rows.
    """
    import duckdb

    text = f"id || ': ' || substr(repeat('{_WORDS}', 3), 1 + (hash(id) % 100)::INT, 40 + (hash(id + 1) % 100)::INT)"
    duckdb.execute(f"COPY (SELECT id, {text} AS review FROM range({rows}) AS r(id)) TO '{path}'")


def run_case(service: measure.RemoteService, scan: Scan, python: str = sys.executable) -> dict[str, Any]:
    """Run a scan without a model, and then with it, each with a folder of its own.

    Args:
        service: The service. Its plan is replaced.
        scan: One of ``cases``.
        python: An interpreter with DuckDB 2.

    Returns:
        Peaks, seconds, and how many rows are wrong or missing.
    """
    with measure.temporary_folder() as folder:
        plain = run_scan(replace(scan, folder=folder), python)
    service.set_plan(PLAN)
    with measure.temporary_folder() as folder:
        model = run_scan(replace(scan, folder=folder, url=service.url), python)
    stats = service.stats()
    return {
        "plain_bytes": plain.peak_bytes,
        "model_bytes": model.peak_bytes,
        "plain_seconds": plain.seconds,
        "model_seconds": model.seconds,
        "plain_cpu_seconds": plain.cpu_seconds,
        "model_cpu_seconds": model.cpu_seconds,
        "loaded_bytes": model.loaded_bytes,
        "inputs": stats["items"],
        "requests": stats["requests"],
        "wrong": model.wrong + plain.rows - model.rows,
    }


def run_predict(service: measure.RemoteService, parquet: str, python: str = sys.executable) -> ScanResult:
    """Run ``predict`` on all rows.

    Args:
        service: The service. Its plan is replaced.
        parquet: The file of all rows.
        python: An interpreter with DuckDB 2.
    """
    service.set_plan(PLAN)
    with measure.temporary_folder() as folder:
        return run_scan(Scan(parquet, folder, service.url, is_predict=True), python)


def check_case(results: measure.Results, name: str, case: dict[str, Any], predict: ScanResult) -> None:
    """Check what a case took.

    Args:
        results: Where it is stored.
        name: The case's name.
        case: What ``run_case`` measured.
        predict: The run of ``predict`` on the same rows.
    """
    results.body["cases"][name] = case
    has_limit = not name.endswith("without memory_limit")
    more_bytes = case["model_bytes"] - case["plain_bytes"]
    bound = MEMORY_BOUND_BYTES / 1e6 if has_limit else None
    results.check(f"{name}: MB beyond DuckDB's own", more_bytes / 1e6, bound)
    cost = (case["model_cpu_seconds"] - case["plain_cpu_seconds"]) / predict.cpu_seconds
    results.check(f"{name}: CPU time beyond DuckDB's own, relative to that of predict", cost, COST_BOUND)
    ratio = (case["model_seconds"] - case["plain_seconds"]) / predict.seconds
    results.check(f"{name}: seconds beyond DuckDB's own, relative to those of predict", ratio, None)
    results.check(f"{name}: rows wrong or missing", case["wrong"], 0)


def main() -> None:
    """Run the benchmark, write its results, and exit with 1 where a bound does not hold."""
    options = measure.parse_arguments(
        __doc__ or "",
        rows={"type": int, "help": f"rows of the table (default: {ROWS:,})"},
        only={"help": "the one case to run"},
    )
    results = measure.Results("sql_memory", options.quick)
    rows = options.rows or (QUICK_ROWS if options.quick else ROWS)
    results.body.update(rows=rows, cases={})
    with measure.running_service() as service, measure.temporary_folder() as folder:
        results.body["service"] = measure.service_throughput(service, 2000 if options.quick else 20_000)
        parquet = f"{folder}/rows.parquet"
        write_rows(Path(parquet), rows)
        predict = run_predict(service, parquet)
        if predict.wrong or predict.rows != rows:
            raise RuntimeError(f"predict: {predict.wrong} rows wrong, {predict.rows:,} of {rows:,} rows")
        results.body["predict"] = {"cpu_seconds": predict.cpu_seconds, "seconds": predict.seconds}
        for name, scan in cases(parquet).items():
            if options.only in (None, name):
                check_case(results, name, run_case(service, scan), predict)
    results.write()
    sys.exit(any(check["passed"] is False for check in results.checks))


if __name__ == "__main__":
    main()
