"""What a statement with models writes to, looked at before a model is asked: what DuckDB only finds when it runs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from sqlglot.tokens import TokenType

from ..errors import InputError
from ..redaction import preview
from .tokens import Statement
from .views import created

Rows = Callable[[str], list[tuple[Any, ...]]]

_KEPT = {"PREPARE": "a prepared statement", "MACRO": "a macro", "FUNCTION": "a macro"}


def refuse_kept(statement: Statement) -> None:
    """Refuse what would keep the statement after its predictions are gone.

    Args:
        statement: One with a model.

    Raises:
        InputError: It is PREPARE or CREATE MACRO.
    """
    words = [word for word in statement.words if word in _KEPT]
    if words and statement.words[0] in ("PREPARE", "CREATE"):
        raise InputError(
            f"{_KEPT[words[0]]} cannot hold a model. CREATE VIEW can: it is put in place where it is named"
        )


def is_already_there(statement: Statement, rows: Rows) -> bool:
    """Whether a table that is to be made IF NOT EXISTS is there, so that nothing is to be done.

    Args:
        statement: One with a model.
        rows: Runs a query.

    Returns:
        False for any other statement.

    Raises:
        InputError: It is CREATE TABLE of a table that is there; or COPY to a folder that is not.
    """
    if statement.words[:1] == ("COPY",):
        _refuse_missing_folder(statement)
    if statement.words[:1] != ("CREATE",) or "TABLE" not in statement.words or "REPLACE" in statement.words:
        return False
    header = created(statement.tokens, "TABLE")
    if not header.parts or not rows(_found(header.parts, is_temporary=bool(header.words & {"TEMP", "TEMPORARY"}))):
        return False
    if "IF" in header.words:
        return True
    name = preview(".".join(header.parts))
    raise InputError(f"there is a table {name} already. CREATE OR REPLACE TABLE replaces it, or give another name")


def _found(parts: list[str], *, is_temporary: bool) -> str:
    """The query of the tables of a name."""
    *before, name = [part.replace("'", "''").lower() for part in parts]
    database, schema = "current_database()", "current_schema()"
    if is_temporary:
        database = "'temp'"
    if len(before) == 2:
        database, schema = (f"'{part}'" for part in before)
    place = f"lower(database_name) = lower({database}) AND lower(schema_name) = lower({schema})"
    if is_temporary:
        place = "database_name = 'temp'"
    elif len(before) == 1:
        place = (
            f"(lower(database_name) = lower({database}) AND lower(schema_name) = '{before[0]}' "
            f"OR lower(database_name) = '{before[0]}' AND schema_name = 'main')"
        )
    return (
        "SELECT 1 FROM (SELECT database_name, schema_name, table_name FROM duckdb_tables() UNION ALL "
        "SELECT database_name, schema_name, view_name FROM duckdb_views()) "
        f"WHERE lower(table_name) = '{name}' AND {place}"
    )


def _refuse_missing_folder(statement: Statement) -> None:
    tokens = statement.tokens
    for word, path in pairwise(tokens):
        if word.text.upper() == "TO" and path.token_type is TokenType.STRING and "://" not in path.text:
            folder = Path(path.text).expanduser().parent
            if not folder.is_dir():
                raise InputError(f"{preview(path.text)} cannot be written: there is no folder {preview(str(folder))}")
