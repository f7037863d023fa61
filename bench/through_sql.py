"""5. Through SQL: the time of a join in a real MindsDB, beyond that of a handler that does nothing.

The service has no latency. Our join may take longer than the no-op handler's by what benchmark 2 measures for as many
rows in batches, plus 10 %. That cost is measured again between the joins. The same join runs in DuckDB without
MindsDB, in the Python of ``--sql-python``: there it may take longer than a join with stored predictions by as much. The
time to the first prediction is that from the start of MindsDB, or of ``huggingface-api-handler sql -c``, to the answer
to a SELECT, with CREATE ML_ENGINE and CREATE MODEL.
"""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from huggingface_api_handler.demo.mindsdb_server import MindsDB, running_mindsdb
from huggingface_api_handler.installation import install, uninstall

from .baselines import MODEL, Job, has_setting
from .client_cost import batched_cost
from .embedded_join import OURS as OURS_IN_DUCKDB
from .embedded_join import TEXT, label, measure_embedded, sql_python
from .measure import (
    RemoteService,
    Results,
    parse_arguments,
    running_service,
    service_throughput,
    temporary_folder,
)
from .service import Plan

PLAN = Plan(largest_batch=32)
COST_BOUND = 1.1
"""Our seconds beyond the no-op handler's, relative to the cost in benchmark 2."""
WARM_UP_SEED = 999
WARM_UP_ROWS = 100
OURS = "ours"
NOOP = "no-op handler"
NOOP_WIDE = "no-op handler, as many columns"
BATCHED_COST = "benchmark 2"
_NOOP_INIT = """from mindsdb.integrations.libs.const import HANDLER_TYPE

from bench.noop_handler import NoopHandler as Handler

name = "bench_noop"
title = "No-op"
version = "1"
description = "A handler that does nothing"
type = HANDLER_TYPE.ML
icon_path = "icon.svg"
permanent = False
import_error = None
"""
"""``__init__.py`` of a folder among MindsDB's handlers. It imports the handler by its absolute name, as ours does."""
_FIND_MINDSDB = "import importlib.util as u; print(next(iter(u.find_spec('mindsdb').submodule_search_locations)))"


def mindsdb_python() -> str | None:
    """This interpreter if it has MindsDB."""
    return sys.executable if importlib.util.find_spec("mindsdb") else None


@contextlib.contextmanager
def installed_handlers(python: str) -> Iterator[None]:
    """Install our handler and the no-op handler in the MindsDB of an interpreter for the length of the block."""
    found = subprocess.run([python, "-c", _FIND_MINDSDB], capture_output=True, text=True, check=True)
    package = Path(found.stdout.strip().splitlines()[-1])
    noop = package / "integrations" / "handlers" / "bench_noop_handler"
    was_installed = not install(package).changed
    try:
        noop.mkdir(exist_ok=True)
        (noop / "__init__.py").write_text(_NOOP_INIT)
        yield
    finally:
        shutil.rmtree(noop, ignore_errors=True)
        if not was_installed:
            uninstall(package)


def upload_texts(server: MindsDB, seed: int, rows: int) -> str:
    """Upload a table with the columns ``id`` and ``review``.

    Args:
        server: The MindsDB.
        seed: Tables of another seed have other texts.
        rows: How many rows.

    Returns:
        The table's name in SQL.
    """
    table = f"rows_{seed}_{rows}"
    with temporary_folder() as folder:
        path = Path(folder) / f"{table}.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "review"])
            writer.writerows(enumerate(Job("", rows, seed=seed).inputs()))
        server.upload(path, table)
    return f"files.{table}"


def create_model(server: MindsDB, name: str, handler: str, using: str, **settings: str | None) -> str:
    """Create an ML engine, and a model of it that predicts the column ``y``.

    Args:
        server: The MindsDB.
        name: The model's name.
        handler: The handler of the engine.
        using: USING arguments of the model, as SQL.
        settings: USING arguments of the engine. Those that are None are left out.

    Returns:
        The model's name in SQL.
    """
    engine_using = ", ".join(f"{key} = {value!r}" for key, value in settings.items() if value is not None)
    server.sql(f"CREATE ML_ENGINE {name}_engine FROM {handler}" + (f" USING {engine_using}" if engine_using else ""))
    server.sql(f"CREATE MODEL mindsdb.{name} PREDICT y USING engine = '{name}_engine', {using}")
    server.wait_for_model(name)
    return f"mindsdb.{name}"


def create_our_model(server: MindsDB, url: str, folder: str) -> str:
    """Create a model of our handler. See ``create_model``.

    Args:
        server: The MindsDB.
        url: Where the service is.
        folder: Where responses are stored.
    """
    cache_dir = folder if has_setting("cache_dir") else None
    using = f"task = 'text-classification', column = 'review', model = '{MODEL}'"
    return create_model(server, "ours", "huggingface_api", using, endpoint=url, cache_dir=cache_dir)


def join_with_model(server: MindsDB, model: str, table: str) -> tuple[float, list[list[Any]]]:
    """Join a table with a model.

    Returns:
        Seconds, and rows of ``id``, ``review`` and the predicted label.
    """
    started = time.monotonic()
    answer = server.sql(f"SELECT t.id, t.review, m.y FROM {table} AS t JOIN {model} AS m")
    return time.monotonic() - started, answer.rows


def count_wrong(rows: list[list[Any]], expected: int) -> int:
    """How many of the expected rows are missing or have the wrong label."""
    right = sum(given == label(review) for _, review, given in rows)
    return expected - int(right)


def measure(results: Results, service: RemoteService, python: str, rows: int, repeat: int) -> dict[str, list[float]]:
    """Run the joins in turns in one MindsDB, each round on a table of its own, and check that no row is wrong.

    Args:
        results: Where they are stored, with the time to the first prediction.
        service: The service. Its plan is replaced.
        python: An interpreter with MindsDB.
        rows: Rows per table.
        repeat: How many rounds.

    Returns:
        The seconds of each round by name.
    """
    seconds: dict[str, list[float]] = {name: [] for name in (NOOP, NOOP_WIDE, OURS, BATCHED_COST)}
    wrong = 0
    service.set_plan(PLAN)
    started = time.monotonic()
    with temporary_folder() as folder, installed_handlers(python), running_mindsdb(python=python) as server:
        ours = create_our_model(server, service.url, folder)
        first = server.sql(f"SELECT m.y FROM {ours} AS m WHERE m.review = '{TEXT}'").rows
        results.body["first_prediction"] = time.monotonic() - started
        wrong += first != [[label(TEXT)]]
        models = {
            NOOP: create_model(server, "noop", "bench_noop", "columns = 'target'"),
            NOOP_WIDE: create_model(server, "noop_wide", "bench_noop", "columns = 'all'"),
            OURS: ours,
        }
        warm_up = upload_texts(server, WARM_UP_SEED, WARM_UP_ROWS)
        for model in models.values():
            join_with_model(server, model, warm_up)
        for seed in range(repeat):
            table = upload_texts(server, seed, rows)
            for name, model in models.items():
                join_seconds, answer = join_with_model(server, model, table)
                seconds[name].append(join_seconds)
                wrong += count_wrong(answer, rows) if name == OURS else rows - len(answer)
            results.body["requests"] = service.stats()["requests"]
            seconds[BATCHED_COST].append(batched_cost(service, rows)["cpu_us_per_row"] * rows / 1e6)
            service.set_plan(PLAN)
    results.check(f"{rows:,} rows: rows wrong or missing", wrong, 0)
    return seconds


def check_joins(results: Results, seconds: dict[str, list[float]], rows: int) -> None:
    """Check the seconds of the joins in MindsDB.

    Args:
        results: Where they are stored.
        seconds: What ``measure`` returns.
        rows: Rows per table.
    """
    median = {name: statistics.median(each) for name, each in seconds.items()}
    for name, bound in ((NOOP, COST_BOUND), (NOOP_WIDE, None)):
        more = [ours - noop for ours, noop in zip(seconds[OURS], seconds[name], strict=True)]
        ratios = [each / cost for each, cost in zip(more, seconds[BATCHED_COST], strict=True)]
        results.check(f"{rows:,} rows: seconds more than the {name}", statistics.median(more), None)
        what = f"seconds more than the {name}, relative to the CPU time of benchmark 2"
        results.check(f"{rows:,} rows: {what}", statistics.median(ratios), bound)
    results.check(f"{rows:,} rows: time, relative to the {NOOP}", median[OURS] / median[NOOP], None)


def main() -> None:
    """Run the benchmark and write its results."""
    options = parse_arguments(
        __doc__ or "",
        mindsdb_python={"default": mindsdb_python(), "help": "an interpreter with MindsDB"},
        sql_python={"default": sql_python(), "help": "an interpreter with DuckDB 2; without one its join is left out"},
        rows={"type": int, "help": "rows per join"},
    )
    if options.mindsdb_python is None:
        raise SystemExit("This environment has no MindsDB. Name an interpreter that has it with --mindsdb-python.")
    results = Results("through_sql", options.quick)
    rows = options.rows or (5000 if options.quick else 100_000)
    with running_service() as service:
        results.body["service"] = service_throughput(service, 2000 if options.quick else 20_000)
        seconds = measure(results, service, options.mindsdb_python, rows, options.repeat)
        check_joins(results, seconds, rows)
        if options.sql_python is not None:
            in_duckdb = measure_embedded(results, service, PLAN, options.sql_python, rows, options.repeat)
            ratio = statistics.median(in_duckdb[OURS_IN_DUCKDB]) / statistics.median(seconds[OURS])
            results.check(f"{rows:,} rows in DuckDB: time, relative to ours in MindsDB", ratio, None)
            seconds |= in_duckdb
    first = results.body["first_prediction"]
    results.check("from the command to the first prediction, in MindsDB: seconds", first, None)
    median = {name: statistics.median(each) for name, each in seconds.items()}
    results.body.update(rows=rows, seconds=seconds, median=median, batched_cost_seconds=median[BATCHED_COST])
    results.write()


if __name__ == "__main__":
    main()
