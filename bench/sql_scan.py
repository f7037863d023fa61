"""One statement in a process of its own, with its memory: the child of ``bench.sql_memory``.

``python -m bench.sql_scan`` reads a ``Scan`` as JSON from stdin and prints a ``ScanResult`` as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .baselines import MODEL, cpu_seconds, memory_bytes, reset_memory_peak
from .measure import CLIENT_TIMEOUT_S, ROOT, ClientError, client_environment
from .service import score

if TYPE_CHECKING:
    from huggingface_api_handler.sql import Connection

CHECKED_ROWS = 1000
"""Of the result, evenly taken: their labels are compared with the right ones."""
FRAME = "frame_rows"
"""The name under which the rows of the file are registered as a frame."""


@dataclass(frozen=True)
class Scan:
    """A statement over the rows of a Parquet file, or ``predict`` on them.

    Attributes:
        parquet: The file, with the columns ``id`` and ``review``.
        folder: Where answers are stored, where DuckDB spills, and where the result is written.
        url: Where the service is; empty for the same statement without a model.
        setup: Statements before it.
        table: What is read, as SQL.
        is_frame: Whether the rows are registered as ``FRAME`` before.
        is_predict: Whether it is no statement, but ``predict`` on a frame with all rows.
        memory_limit: DuckDB's; empty for its default.
    """

    parquet: str
    folder: str
    url: str = ""
    setup: Sequence[str] = ()
    table: str = ""
    is_frame: bool = False
    is_predict: bool = False
    memory_limit: str = ""


@dataclass(frozen=True)
class ScanResult:
    """One run.

    Attributes:
        seconds: Of the statement.
        cpu_seconds: Of this process in that time.
        loaded_bytes: Resident memory before.
        peak_bytes: The most in that time.
        rows: Of the result.
        wrong: Rows without a label, and checked rows with another than their own.
    """

    seconds: float
    cpu_seconds: float
    loaded_bytes: int
    peak_bytes: int
    rows: int
    wrong: int


def run_scan(scan: Scan, python: str = sys.executable) -> ScanResult:
    """Run a scan in a fresh process and wait for it.

    Args:
        scan: What to run.
        python: An interpreter with DuckDB 2.

    Raises:
        ClientError: The process failed, with the end of its stderr.
    """
    command = [python, "-m", "bench.sql_scan"]
    done = subprocess.run(
        command,
        input=json.dumps(asdict(scan)),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=client_environment(),
        timeout=CLIENT_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise ClientError(done.stderr.strip()[-1000:] or "the scan died")
    return ScanResult(**json.loads(done.stdout.splitlines()[-1]))


def _measured(work: Callable[[], object]) -> tuple[float, float, int, int]:
    """Seconds, CPU seconds, memory before and at most, of a call."""
    loaded_bytes = memory_bytes("VmRSS")
    reset_memory_peak()
    cpu_started, started = cpu_seconds(), time.perf_counter()
    work()
    return time.perf_counter() - started, cpu_seconds() - cpu_started, loaded_bytes, memory_bytes("VmHWM")


def _label(review: str) -> str:
    return "POSITIVE" if score(review) >= 0.5 else "NEGATIVE"


def _predict(scan: Scan) -> ScanResult:
    import duckdb

    from huggingface_api_handler.inference import predict

    frame = duckdb.execute(f"SELECT id, review FROM '{scan.parquet}'").df()
    using = {"task": "text-classification", "column": "review", "model": MODEL, "target": "y"}
    out = frame.head(0)

    def work() -> None:
        nonlocal out
        out = predict(frame, using, {"endpoint": scan.url, "cache_dir": scan.folder})

    figures = _measured(work)
    step = max(1, len(frame) // CHECKED_ROWS)
    checked = zip(frame["review"][::step], out["y"][::step], strict=True)
    wrong = int(out["y"].isna().sum()) + sum(_label(review) != label for review, label in checked)
    return ScanResult(*figures, len(out), wrong)


def _create_model(connection: Connection, scan: Scan) -> None:
    connection.sql(
        f"CREATE ML_ENGINE e FROM huggingface_api USING endpoint = '{scan.url}', cache_dir = '{scan.folder}'"
    )
    connection.sql(
        "CREATE MODEL sentiment PREDICT y"
        f" USING task = 'text-classification', column = 'review', model = '{MODEL}', engine = 'e'"
    )


def _run_statement(scan: Scan) -> ScanResult:
    from huggingface_api_handler.sql import connect

    out = Path(scan.folder) / "out.parquet"
    with connect() as connection:
        duckdb = connection.duckdb
        duckdb.execute(f"SET temp_directory = '{scan.folder}'")
        if scan.memory_limit:
            duckdb.execute(f"SET memory_limit = '{scan.memory_limit}'")
        if scan.url:
            _create_model(connection, scan)
            select = f"SELECT t.id, m.y FROM {scan.table} AS t JOIN sentiment AS m"
        else:
            select = f"SELECT t.id, left(t.review, 8) AS y FROM {scan.table} AS t"
        if scan.is_frame:
            connection.register(FRAME, duckdb.execute(f"SELECT id, review FROM '{scan.parquet}'").df())
        for statement in scan.setup:
            connection.sql(statement)
        figures = _measured(lambda: connection.sql(f"COPY ({select}) TO '{out}'").fetchall())
        if "BEGIN" in scan.setup:
            connection.sql("ROLLBACK")
        rows, nulls = connection.sql(f"SELECT count(*), count(*) - count(y) FROM '{out}'").fetchall()[0]
        step = max(1, rows // CHECKED_ROWS)
        joined = f"SELECT r.review, o.y FROM '{out}' AS o JOIN '{scan.parquet}' AS r USING (id) WHERE id % {step} = 0"
        checked = duckdb.execute(joined).fetchall() if scan.url else []
    return ScanResult(*figures, rows, nulls + sum(_label(review) != label for review, label in checked))


def main() -> None:
    """Run the scan of stdin and print its result."""
    scan = Scan(**json.load(sys.stdin))
    result = _predict(scan) if scan.is_predict else _run_statement(scan)
    print(json.dumps(asdict(result)))


if __name__ == "__main__":
    main()
