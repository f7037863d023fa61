"""Statements whose outcome must not depend on whether MindsDB runs its ML tasks itself or through a queue."""

from __future__ import annotations

import time
from pathlib import Path

from huggingface_api_handler.demo.mindsdb_server import MindsDB, SQLError

_POLL_INTERVAL_S = 0.1
_SETTLE_TIMEOUT_S = 60.0

ROWS = 12
_JOIN = "SELECT t.id, m.y, m.y_error FROM files.queued AS t JOIN mindsdb.queued AS m"
_MODEL = "engine = 'queued', task = 'text-classification', column = 'text'"
_VERSIONS = "SELECT version, status, active FROM mindsdb.models WHERE name = 'queued'"
_PREDICTED = [[number, str(number)[-1], None] for number in range(ROWS)]

STATEMENTS: list[tuple[str, object]] = [
    (f"CREATE MODEL mindsdb.queued PREDICT y USING {_MODEL}, model = 'm'", "done"),
    ("SELECT * FROM mindsdb.queued WHERE text = 'row x'", [["x", 0.75, '{"x":0.75}', None, "row x"]]),
    (_JOIN, _PREDICTED),
    (f"{_JOIN} USING batch_size = 5, track_column = id", _PREDICTED),
    (
        "SELECT * FROM mindsdb.queued WHERE review = 'row x'",
        "[queued/queued]: InputError: column names the column 'text', which the table does not have. Its columns: 'review'",
    ),
    (
        f"CREATE MODEL mindsdb.wrong PREDICT y USING {_MODEL.replace('classification', 'clasification')}",
        "[queued]: InputError: there is no task 'text-clasification'; did you mean 'text-classification'?",
    ),
    (
        "DESCRIBE mindsdb.queued.settings",
        [["task", "text-classification"], ["column", "text"], ["model", "m"], ["target", "y"]],
    ),
    (f"RETRAIN mindsdb.queued USING {_MODEL.partition(', ')[2]}, model = 'other'", "done"),
    (_VERSIONS, [[1, "complete", False], [2, "complete", True]]),
    ("SELECT y FROM mindsdb.queued.1 WHERE text = 'row x'", [["x"]]),
    ("SELECT y FROM mindsdb.queued WHERE text = 'row z'", [["z"]]),
    ("FINETUNE mindsdb.queued FROM files (SELECT * FROM queued)", "done"),
    (_VERSIONS, [[1, "complete", False], [2, "complete", True], [3, "error", False]]),
    (
        f"CREATE MODEL mindsdb.from_table FROM files (SELECT * FROM queued) PREDICT y USING {_MODEL}, model = 'm'",
        "done",
    ),
    ("SELECT status, error FROM mindsdb.models WHERE name = 'from_table'", [["complete", None]]),
    ("DROP MODEL mindsdb.from_table", []),
    ("DROP MODEL mindsdb.queued", []),
    ("SELECT name FROM mindsdb.models WHERE name = 'queued'", []),
]
"""Each with its rows, its error, or 'done' where it makes a model, which is waited for."""


def create_table(mindsdb: MindsDB, folder: Path) -> None:
    """Upload ``files.queued``, which the statements read.

    Args:
        mindsdb: Where to.
        folder: For the file.
    """
    file = folder / "queued.csv"
    file.write_text("id,text\n" + "".join(f"{number},row {number}\n" for number in range(ROWS)))
    mindsdb.upload(file, "queued")


def outcome(mindsdb: MindsDB, statement: str) -> object:
    """Run a statement.

    Args:
        mindsdb: Where.
        statement: One of ``STATEMENTS``.

    Returns:
        What it came to, in the form in which ``STATEMENTS`` has it.
    """
    try:
        rows = mindsdb.sql(statement).rows
    except SQLError as error:
        return str(error)
    if statement.startswith(("CREATE MODEL", "RETRAIN", "FINETUNE")):
        _wait_for_models(mindsdb)
        return "done"
    return rows


def _wait_for_models(mindsdb: MindsDB) -> None:
    deadline = time.monotonic() + _SETTLE_TIMEOUT_S
    while mindsdb.sql("SELECT name FROM mindsdb.models WHERE status = 'generating'").rows:
        assert time.monotonic() < deadline
        time.sleep(_POLL_INTERVAL_S)
