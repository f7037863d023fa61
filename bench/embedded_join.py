"""The join of benchmark 5 in this process's DuckDB, without MindsDB; and the time from the command to a prediction."""

from __future__ import annotations

import importlib.metadata
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .baselines import MODEL, ClientScores, Job, cpu_seconds, engine_arguments
from .client_cost import batched_cost
from .measure import (
    CLIENT_TIMEOUT_S,
    ROOT,
    ClientError,
    RemoteService,
    Results,
    client_environment,
    run_client,
    temporary_folder,
)
from .service import Plan, score

if TYPE_CHECKING:
    from huggingface_api_handler.sql import Connection

COST_BOUND = 1.1
"""Seconds beyond the join without a model, relative to the CPU time of ``predict``."""
WARM_UP_SEED = 999
WARM_UP_ROWS = 100
OURS = "ours in DuckDB"
PLAIN = "DuckDB, without a model"
BATCHED_COST = "benchmark 2, in that Python"
TEXT = "The parcel came late, but staff were kind."
_JOIN = "SELECT t.id, t.review, m.y FROM {table} AS t JOIN ours AS m"
_PLAIN_JOIN = "SELECT t.id, t.review, p.y FROM {table} AS t JOIN {table}_predictions AS p ON p.review = t.review"


def sql_python() -> str | None:
    """This interpreter if it has the DuckDB that is needed."""
    try:
        version = importlib.metadata.version("duckdb")
    except importlib.metadata.PackageNotFoundError:
        return None
    return sys.executable if int(version.partition(".")[0]) >= 2 else None


def model_statements(engine: dict[str, object]) -> list[str]:
    """The statements that make the model ``ours``.

    Args:
        engine: USING arguments of its engine.
    """
    using = ", ".join(f"{name} = {value!r}" for name, value in engine.items())
    task = f"task = 'text-classification', column = 'review', model = '{MODEL}'"
    return [
        f"CREATE ML_ENGINE ours_engine FROM huggingface_api USING {using}",
        f"CREATE MODEL ours PREDICT y USING {task}, engine = 'ours_engine'",
    ]


def label(review: str) -> str:
    """What the service answers."""
    return "POSITIVE" if score(review) >= 0.5 else "NEGATIVE"


def _load(connection: Connection, table: str, inputs: Sequence[str]) -> None:
    """Make a table of the inputs, and one of their predictions."""
    import pandas as pd

    frame = pd.DataFrame({"id": range(len(inputs)), "review": inputs, "y": [label(each) for each in inputs]})
    connection.duckdb.register("bench_frame", frame)
    connection.duckdb.execute(f"CREATE TABLE {table} AS SELECT id, review FROM bench_frame")
    connection.duckdb.execute(f"CREATE TABLE {table}_predictions AS SELECT review, y FROM bench_frame")
    connection.duckdb.unregister("bench_frame")


def join(job: Job, inputs: list[str]) -> Callable[[], ClientScores]:
    """Join a table of the inputs with their predictions, then with a model. ``usage`` has what each took."""
    from huggingface_api_handler.sql import connect

    with connect() as connection:
        for statement in model_statements(engine_arguments(job)):
            connection.sql(statement)
        _load(connection, "warm_up", Job("", WARM_UP_ROWS, seed=WARM_UP_SEED).inputs())
        _load(connection, "reviews", inputs)
        connection.sql(_JOIN.format(table="warm_up")).fetchall()
        usage = {}
        for name, sql in (("plain", _PLAIN_JOIN), ("join", _JOIN)):
            cpu_started, started = cpu_seconds(), time.perf_counter()
            rows = connection.sql(sql.format(table="reviews")).fetchall()
            usage[f"{name}_seconds"] = time.perf_counter() - started
            usage[f"{name}_cpu_seconds"] = cpu_seconds() - cpu_started
    right = {review for _, review, given in rows if given == label(review)}
    return lambda: ClientScores([score(each) if each in right else None for each in inputs], usage)


def first_prediction(python: str, service: RemoteService) -> float:
    """Seconds from the command to its end, with an engine, a model and one prediction.

    Args:
        python: An interpreter with DuckDB 2.
        service: The service.

    Raises:
        ClientError: The command failed, or gave no right prediction.
    """
    with temporary_folder() as folder:
        engine: dict[str, object] = {"endpoint": service.url, "cache_dir": folder}
        script = "; ".join([*model_statements(engine), f"SELECT m.y FROM ours AS m WHERE m.review = '{TEXT}'"])
        started = time.monotonic()
        done = subprocess.run(
            [python, "-m", "huggingface_api_handler", "sql", "-c", script],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=client_environment(),
            timeout=CLIENT_TIMEOUT_S,
            check=False,
        )
        seconds = time.monotonic() - started
    if done.returncode != 0 or label(TEXT) not in done.stdout:
        raise ClientError((done.stderr or done.stdout).strip()[-500:])
    return seconds


def measure_embedded(
    results: Results, service: RemoteService, plan: Plan, python: str, rows: int, repeat: int
) -> dict[str, list[float]]:
    """Run the join and the command in turns, each round on a table of its own, and check them.

    Args:
        results: Where the figures are stored.
        service: The service. Its plan is replaced.
        plan: How it behaves.
        python: An interpreter with DuckDB 2.
        rows: Rows of each table.
        repeat: How many rounds.

    Returns:
        The seconds of each round by name.
    """
    seconds: dict[str, list[float]] = {name: [] for name in (PLAIN, OURS, BATCHED_COST)}
    first: list[float] = []
    cpu_ratios: list[float] = []
    wrong = 0
    for seed in range(repeat):
        service.set_plan(plan)
        result = run_client("embedded_join:join", Job(service.url, rows, seed=seed), python=python)
        seconds[PLAIN].append(result.usage["plain_seconds"])
        seconds[OURS].append(result.usage["join_seconds"])
        wrong += result.unanswered + result.wrong
        first.append(first_prediction(python, service))
        cost = batched_cost(service, rows, python=python)
        seconds[BATCHED_COST].append(cost["cpu_us_per_row"] * rows / 1e6)
        cpu = result.usage["join_cpu_seconds"] - result.usage["plain_cpu_seconds"]
        cpu_ratios.append(cpu / seconds[BATCHED_COST][-1])
    more = [ours - plain for ours, plain in zip(seconds[OURS], seconds[PLAIN], strict=True)]
    ratios = [each / cost for each, cost in zip(more, seconds[BATCHED_COST], strict=True)]
    name = f"{rows:,} rows in DuckDB"
    results.check(f"{name}: seconds more than the join without a model", statistics.median(more), None)
    what = "seconds more than the join without a model, relative to the CPU time of benchmark 2 in that Python"
    results.check(f"{name}: {what}", statistics.median(ratios), COST_BOUND)
    what = "CPU time more than the join without a model, relative to that of benchmark 2 in that Python"
    results.check(f"{name}: {what}", statistics.median(cpu_ratios), None)
    results.check(f"{name}: rows wrong or missing", wrong, 0)
    results.body["first_prediction_in_duckdb"] = first
    results.check("from the command to the first prediction, in DuckDB: seconds", statistics.median(first), None)
    return seconds
