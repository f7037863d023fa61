"""Usage kept over processes: that of each query of a model, and the sum of all of them."""

from __future__ import annotations

import logging
import sqlite3
import time
from typing import NamedTuple

import orjson
import pandas as pd

from ..storage.scope import Scope
from ..storage.sqlite import Store
from .usage import Usage, UsageValue

logger = logging.getLogger(__name__)

_MAX_STORED_QUERIES = 1000
"""Queries of a model whose usage is kept. Older ones are deleted, and stay in the sum."""

_MAX_SHOWN_QUERIES = 20
"""Queries in ``usage_table``, as many as fit on a screen."""

_SHOWN_DECIMALS = 4
"""Decimals of times in ``usage_table``: a tenth of a millisecond."""


class _UsageHistory(NamedTuple):
    """The ``total`` of all queries of a model, and the ``recent`` ones with their times, newest first."""

    total: Usage | None
    recent: list[tuple[float, Usage]]


def record(store: Store, scope: Scope | None, usage: Usage) -> None:
    """Store the usage of a query in the background.

    Args:
        store: Where usage is kept.
        scope: Whose query it was. Nothing is stored without a model.
        usage: The query's usage.
    """
    if scope is not None and scope.model is not None:
        model = scope.model
        store.run(lambda connection: _insert(connection, model, usage), None)


def usage_table(store: Store, model: str) -> pd.DataFrame:
    """Read the usage of a model's queries.

    Args:
        store: Where usage is kept.
        model: The model of ``Scope``.

    Returns:
        A row for all queries together, whose ``query`` is 'all', then one for each of the last 20, newest first. The
        columns are those of ``Usage.as_dict()`` without ``task``, ``model`` and ``host``; ``errors`` and
        ``failovers`` are JSON. Times are in seconds. No rows where there was no query.
    """
    empty = _UsageHistory(None, [])
    total, recent = store.run(lambda connection: _select(connection, model), empty).result()
    rows = [{"query": "all", **_to_row(total)}] if total else []
    rows += [
        {"query": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at)), **_to_row(usage)} for at, usage in recent
    ]
    columns = ["query", *_to_row(Usage("", "", ""))]
    return pd.DataFrame(rows, columns=columns)


def total_usage(store: Store, model: str) -> Usage | None:
    """Read the sum of a model's queries.

    Args:
        store: Where usage is kept.
        model: The model of ``Scope``.

    Returns:
        The sum; None where there was no query.
    """
    return store.run(lambda connection: _select(connection, model).total, None).result()


def _to_row(usage: Usage) -> dict[str, UsageValue]:
    row = usage.as_dict()
    for name in ("errors", "failovers"):
        row[name] = orjson.dumps(row[name]).decode()
    for name, value in row.items():
        if isinstance(value, float):
            row[name] = round(value, _SHOWN_DECIMALS)
    return {name: value for name, value in row.items() if name not in ("task", "model", "host")}


def _insert(connection: sqlite3.Connection, model: str, usage: Usage) -> None:
    connection.execute(
        "INSERT INTO receipts(model, at, receipt) VALUES (?, ?, ?)", (model, time.time(), _to_json(usage))
    )
    surplus = "SELECT id FROM receipts WHERE model = ? ORDER BY id DESC LIMIT -1 OFFSET ?"
    connection.execute(f"DELETE FROM receipts WHERE id IN ({surplus})", (model, _MAX_STORED_QUERIES))  # noqa: S608
    row = connection.execute("SELECT receipt FROM totals WHERE model = ?", (model,)).fetchone()
    if row is not None:
        total = _from_json(row[0])
        if total is not None:
            total.add(usage)
            usage = total
    connection.execute("INSERT OR REPLACE INTO totals VALUES (?, ?)", (model, _to_json(usage)))


def _select(connection: sqlite3.Connection, model: str) -> _UsageHistory:
    total = connection.execute("SELECT receipt FROM totals WHERE model = ?", (model,)).fetchone()
    recent = connection.execute(
        "SELECT at, receipt FROM receipts WHERE model = ? ORDER BY id DESC LIMIT ?", (model, _MAX_SHOWN_QUERIES)
    )
    readable = [(at, usage) for at, data in recent if (usage := _from_json(data)) is not None]
    return _UsageHistory(_from_json(total[0]) if total else None, readable)


def _to_json(usage: Usage) -> bytes:
    return orjson.dumps(usage.to_record(), option=orjson.OPT_NON_STR_KEYS)


def _from_json(data: bytes) -> Usage | None:
    try:
        return Usage.from_record(orjson.loads(data))
    except (ValueError, TypeError, AttributeError):
        logger.warning("a receipt cannot be read, and is left out of the count")
        return None
