"""Receipts kept over processes: what each query of a model asked and spared, and all of them together."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections import Counter
from dataclasses import fields
from typing import Any

import orjson
import pandas as pd

from ..storage.scope import Scope
from ..storage.sqlite import Store
from .usage import Usage

logger = logging.getLogger(__name__)

_Kept = tuple[Usage | None, list[tuple[float, Usage]]]

_KEPT = 1000
_SHOWN = 20


def record(store: Store, scope: Scope | None, usage: Usage) -> None:
    """Keep the receipt of a query with those of its model."""
    if scope is not None and scope.model is not None:
        model = scope.model
        store.run(lambda connection: _keep(connection, model, usage), None)


def usage_table(store: Store, model: str) -> pd.DataFrame:
    """A row for all queries of a model together, then one for each of the last, newest first. Times in seconds."""
    nothing: _Kept = (None, [])
    total, last = store.run(lambda connection: _read(connection, model), nothing).result()
    rows = [{"query": "all", **_shown(total)}] if total else []
    rows += [{"query": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at)), **_shown(usage)} for at, usage in last]
    columns = ["query", *_shown(Usage("", "", ""))]
    return pd.DataFrame(rows, columns=columns)


def _shown(usage: Usage) -> dict[str, Any]:
    row = usage.as_dict()
    row["errors"] = orjson.dumps(row["errors"]).decode()
    for name, value in row.items():
        if isinstance(value, float):
            row[name] = round(value, 4)
    return {name: value for name, value in row.items() if name not in ("task", "model", "host")}


def _keep(connection: sqlite3.Connection, model: str, usage: Usage) -> None:
    connection.execute(
        "INSERT INTO receipts(model, at, receipt) VALUES (?, ?, ?)", (model, time.time(), _to_json(usage))
    )
    surplus = "SELECT id FROM receipts WHERE model = ? ORDER BY id DESC LIMIT -1 OFFSET ?"
    connection.execute(f"DELETE FROM receipts WHERE id IN ({surplus})", (model, _KEPT))  # noqa: S608
    row = connection.execute("SELECT receipt FROM totals WHERE model = ?", (model,)).fetchone()
    if row is not None:
        total = _from_json(row[0])
        if total is not None:
            total.add(usage)
            usage = total
    connection.execute("INSERT OR REPLACE INTO totals VALUES (?, ?)", (model, _to_json(usage)))


def _read(connection: sqlite3.Connection, model: str) -> _Kept:
    total = connection.execute("SELECT receipt FROM totals WHERE model = ?", (model,)).fetchone()
    last = connection.execute(
        "SELECT at, receipt FROM receipts WHERE model = ? ORDER BY id DESC LIMIT ?", (model, _SHOWN)
    )
    readable = [(at, usage) for at, kept in last if (usage := _from_json(kept)) is not None]
    return (_from_json(total[0]) if total else None), readable


def _to_json(usage: Usage) -> bytes:
    return orjson.dumps(vars(usage), option=orjson.OPT_NON_STR_KEYS)


def _from_json(kept: bytes) -> Usage | None:
    try:
        values = orjson.loads(kept)
        known = {each.name: values[each.name] for each in fields(Usage) if each.name in values}
        known["errors"] = Counter(known.get("errors", {}))
        known["latencies"] = Counter({int(step): count for step, count in known.get("latencies", {}).items()})
        return Usage(**known)
    except (ValueError, TypeError, AttributeError):
        logger.warning("a receipt cannot be read, and is left out of the count")
        return None
