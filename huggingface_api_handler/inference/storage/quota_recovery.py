"""The counts of quotas, taken from a damaged store into the new one: a limit must not begin anew with it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from . import schema

QuotaRow = tuple[bytes, str, int]
"""Scope, period and requests used, as the table ``quotas`` has them."""

_MAX_ROWS = 10_000
"""More than any store has: two for each engine and period. A damaged table may seem to have no end."""

_MAX_USED = 2**53
"""More than can be sent. What is larger is damage."""


def read_quotas(damaged: Path) -> list[QuotaRow]:
    """Read what can be read of the counts in a damaged store.

    Args:
        damaged: The file, which was judged to be this user's alone before.

    Returns:
        The rows, none where the table cannot be read or is not defined as here.
    """
    rows: list[QuotaRow] = []
    try:
        # immutable: nothing beside the file is looked at, and nothing is changed in it.
        with closing(sqlite3.connect(f"file:{quote(str(damaged))}?mode=ro&immutable=1", uri=True)) as connection:
            if schema.defines_quotas(connection):
                for row in connection.execute("SELECT scope, period, used FROM quotas LIMIT ?", (_MAX_ROWS,)):
                    if _is_quota(row):
                        rows.append(row)
    except Exception:  # a damaged file may raise anything; what was read before counts
        return rows
    return rows


def write_quotas(connection: sqlite3.Connection, rows: list[QuotaRow]) -> None:
    """Write counts into a store. Where another process has counted on meanwhile, the larger number stays.

    Args:
        connection: The store's, outside of a transaction.
        rows: What ``read_quotas`` gave.
    """
    connection.executemany(
        "INSERT INTO quotas VALUES (?, ?, ?) ON CONFLICT(scope, period) DO UPDATE SET used = max(used, excluded.used)",
        rows,
    )


def _is_quota(row: tuple[object, ...]) -> bool:
    scope, period, used = row
    return isinstance(scope, bytes) and isinstance(period, str) and isinstance(used, int) and 0 <= used <= _MAX_USED
