"""A DuckDB file opened, or said why not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..redaction import preview

if TYPE_CHECKING:
    import duckdb

MIN_DUCKDB = (2, 0)
"""DuckDB 1.3, which MindsDB pins, gives a wrong answer to one form of LATERAL."""

_LOCKED = re.compile(r"Could not set lock on file.*?(\(PID \d+\))", re.DOTALL)


def open_database(path: str, read_only: bool) -> duckdb.DuckDBPyConnection:
    """Open a database.

    Args:
        path: of the file; ":memory:" for none.
        read_only: whether nothing may be written to it.

    Returns:
        DuckDB's connection, which looks for no Python variables.

    Raises:
        InputError: DuckDB is missing or too old, or the file cannot be opened.
    """
    try:
        import duckdb
    except ModuleNotFoundError:
        raise InputError("DuckDB is not installed: pip install 'huggingface_api_handler[sql]'") from None
    if tuple(int(part) for part in duckdb.__version__.split(".")[:2]) < MIN_DUCKDB:
        raise InputError(
            f"DuckDB 2 is needed, and {duckdb.__version__} is installed, which MindsDB pins. Use another environment: "
            "pip install 'huggingface_api_handler[sql]'"
        )
    try:
        connection = duckdb.connect(path, read_only=read_only)
    except duckdb.IOException as error:
        raise InputError(_why_not_open(path, str(error))) from error
    # FROM name would look for a Python variable of that name here, where the caller has none.
    connection.execute("SET python_enable_replacements = false")
    return connection


def _why_not_open(path: str, message: str) -> str:
    if (locked := _LOCKED.search(message)) is not None:
        return (
            f"{preview(path)} is open in another process {locked[1]}. One process at a time can use a DuckDB file that "
            "is written to: close it there first"
        )
    file = Path(path)
    if not file.parent.is_dir():
        return f"{preview(path)} cannot be opened: there is no folder {preview(str(file.parent))}"
    if "database does not exist" in message:
        return f"there is no file {preview(path)} to be read"
    return f"{preview(path)} cannot be opened. DuckDB says: {message}"
