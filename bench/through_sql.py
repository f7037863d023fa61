"""5. Through SQL: rows joined through a real MindsDB, over the same join with a handler that does nothing.

The service has no latency. What the join takes over the do-nothing handler's may be no more than what benchmark 2
measures for as many rows in batches, measured here again between the joins, plus 10 %.
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

from .baselines import Job, has_setting
from .client_cost import batched_cost
from .measure import Results, parse_arguments, running_service, service_throughput, temporary_folder
from .service import Plan, score

PLAN = Plan(largest_batch=32)
ALLOWANCE = 1.1
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
"""``__init__.py`` of a folder among MindsDB's handlers; the code is imported absolutely, as ours is."""
_FIND_MINDSDB = "import importlib.util as u; print(next(iter(u.find_spec('mindsdb').submodule_search_locations)))"


def mindsdb_python() -> str | None:
    """This interpreter, where it has MindsDB."""
    return sys.executable if importlib.util.find_spec("mindsdb") else None


@contextlib.contextmanager
def installed_handlers(python: str) -> Iterator[None]:
    """Ours and the one that does nothing in the MindsDB of an interpreter, for the length of the block."""
    found = subprocess.run([python, "-c", _FIND_MINDSDB], capture_output=True, text=True, check=True)
    package = Path(found.stdout.strip().splitlines()[-1])
    noop = package / "integrations" / "handlers" / "bench_noop_handler"
    already = not install(package).changed
    try:
        noop.mkdir(exist_ok=True)
        (noop / "__init__.py").write_text(_NOOP_INIT)
        yield
    finally:
        shutil.rmtree(noop, ignore_errors=True)
        if not already:
            uninstall(package)


def upload_texts(server: MindsDB, seed: int, rows: int) -> str:
    """A table of ``rows`` texts, different for each seed; its name."""
    table = f"rows_{seed}_{rows}"
    with temporary_folder() as folder:
        path = Path(folder) / f"{table}.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "review"])
            writer.writerows(enumerate(Job("", rows, seed=seed).inputs()))
        server.upload(path, table)
    return f"files.{table}"


def create_model(server: MindsDB, name: str, engine: str, using: str, **settings: Any) -> str:
    """An engine of a handler and a model of it that predicts ``y``; the model's name."""
    options = ", ".join(f"{key} = {value!r}" for key, value in settings.items() if value is not None)
    server.sql(f"CREATE ML_ENGINE {name}_engine FROM {engine}" + (f" USING {options}" if options else ""))
    server.sql(f"CREATE MODEL mindsdb.{name} PREDICT y USING engine = '{name}_engine', {using}")
    server.wait_for_model(name)
    return f"mindsdb.{name}"


def create_our_model(server: MindsDB, url: str, folder: str) -> str:
    kept = folder if has_setting("cache_dir") else None
    using = "task = 'text-classification', column = 'review', model = 'bench/model'"
    return create_model(server, "ours", "huggingface_api", using, endpoint=url, cache_dir=kept)


def join_with_model(server: MindsDB, model: str, table: str) -> tuple[float, list[list[Any]]]:
    """Seconds and rows (id, review, label) of a table joined with a model."""
    began = time.monotonic()
    answer = server.sql(f"SELECT t.id, t.review, m.y FROM {table} AS t JOIN {model} AS m")
    return time.monotonic() - began, answer.rows


def count_wrong(rows: list[list[Any]], expected: int) -> int:
    """Rows that are missing or have another label than their text's."""
    right = sum(label == ("POSITIVE" if score(review) >= 0.5 else "NEGATIVE") for _, review, label in rows)
    return expected - int(right)


def main() -> None:
    options = parse_arguments(__doc__ or "", mindsdb_python={"default": mindsdb_python()}, rows={"type": int})
    if options.mindsdb_python is None:
        raise SystemExit("MindsDB is not in this environment: name an interpreter that has it, --mindsdb-python")
    results = Results("through_sql", options.quick)
    rows = options.rows or (5000 if options.quick else 100_000)
    taken: dict[str, list[float]] = {}
    bad = 0
    with (
        running_service() as service,
        temporary_folder() as folder,
        installed_handlers(options.mindsdb_python),
        running_mindsdb(python=options.mindsdb_python) as server,
    ):
        results.body["service"] = service_throughput(service, 2000 if options.quick else 20_000)
        service.set_plan(PLAN)
        models = {
            "no-op handler": create_model(server, "noop", "bench_noop", "columns = 'target'"),
            "no-op handler, as many columns": create_model(server, "noop_wide", "bench_noop", "columns = 'all'"),
            "ours": create_our_model(server, service.url, folder),
        }
        warm = upload_texts(server, 999, 100)
        for model in models.values():
            join_with_model(server, model, warm)
        for seed in range(options.repeat):
            table = upload_texts(server, seed, rows)
            for name, model in models.items():
                seconds, answer = join_with_model(server, model, table)
                taken.setdefault(name, []).append(seconds)
                bad += count_wrong(answer, rows) if name == "ours" else rows - len(answer)
            results.body["requests"] = service.stats()["requests"]
            taken.setdefault("benchmark 2", []).append(batched_cost(service, rows)["cpu_us_per_row"] * rows / 1e6)
            service.set_plan(PLAN)
    median = {name: statistics.median(times) for name, times in taken.items()}
    results.body.update(rows=rows, seconds=taken, median=median, batched_cost_seconds=median["benchmark 2"])
    for name in ("no-op handler", "no-op handler, as many columns"):
        over = [ours - other for ours, other in zip(taken["ours"], taken[name], strict=True)]
        of_cost = [seconds / cost for seconds, cost in zip(over, taken["benchmark 2"], strict=True)]
        results.check(f"{rows:,} rows: seconds over the {name}", statistics.median(over), None)
        results.check(
            f"{rows:,} rows: the same over benchmark 2's cost of as many rows in batches",
            statistics.median(of_cost),
            ALLOWANCE if name == "no-op handler" else None,
        )
    results.check(f"{rows:,} rows: times the no-op handler", median["ours"] / median["no-op handler"], None)
    results.check(f"{rows:,} rows: wrong or missing", bad, 0)
    results.write()


if __name__ == "__main__":
    main()
