"""Usage kept over processes: that of each query of a model, and the sum of all of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import NamedTuple

import orjson
import pandas as pd

from ..storage.scope import Scope
from ..storage.tables import ModelUsage, UsageTable, day_of
from ..storage.upkeep import Upkeep
from .usage import Usage, UsageValue

logger = logging.getLogger(__name__)

_MAX_RECENT_QUERIES = 20
"""Queries that are read: as many as fit on a screen, and enough to say how others will go."""

_SHOWN_DECIMALS = 4
"""Decimals of times in ``usage_table``: a tenth of a millisecond."""

_USD_DECIMALS = 6
"""Decimals of dollars there: millionths, since a request often costs less than a hundredth of a cent."""


def record(table: UsageTable, scope: Scope | None, usage: Usage) -> None:
    """Store the usage of a query in the background.

    Args:
        table: Where usage is kept.
        scope: Whose query it was. Nothing is stored without a model.
        usage: The query's usage.
    """
    if scope is not None and scope.model is not None:
        table.insert(scope.model, _to_json(usage), lambda total: _to_json(_sum(total, usage)))


def usage_table(table: UsageTable, model: str) -> pd.DataFrame:
    """Read the usage of a model's queries.

    Args:
        table: Where usage is kept.
        model: The model of ``Scope``.

    Returns:
        A row for all queries together, whose ``query`` is 'all', then one for each of the last 20, newest first. The
        columns are those of ``Usage.as_dict()`` without ``task``, ``model`` and ``host``; ``errors``,
        ``failovers`` and ``cascade`` are JSON. Times are in seconds. No rows where there was no query.
    """
    total_record, newest = table.select(model, _MAX_RECENT_QUERIES)
    total = _from_json(total_record) if total_record else None
    recent = [(at, usage) for at, data in newest if (usage := _from_json(data)) is not None]
    rows = [{"query": "all", **_to_row(total)}] if total else []
    rows += [
        {"query": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at)), **_to_row(usage)} for at, usage in recent
    ]
    return pd.DataFrame(rows, columns=_columns())


def no_usage() -> pd.DataFrame:
    """The table of no queries.

    Returns:
        The columns of ``usage_table``, without rows.
    """
    return pd.DataFrame([], columns=_columns())


def recent_usage(table: UsageTable, model: str) -> list[Usage]:
    """Read the usage of a model's last queries.

    Args:
        table: Where usage is kept.
        model: The model of ``Scope``.

    Returns:
        That of each of the last 20, newest first.
    """
    newest = table.select(model, _MAX_RECENT_QUERIES).recent
    return [usage for _, data in newest if (usage := _from_json(data)) is not None]


class UsageByDay(NamedTuple):
    """The usage of one model.

    Attributes:
        model: Of ``Scope``, in Redis a keyed hash of it.
        total: Of all its queries.
        days: Of each day of UTC, as 2026-11-29. The total may have queries of earlier days that are in none.
    """

    model: str
    total: Usage
    days: dict[str, Usage]


def usage_by_day(store: Upkeep) -> Iterator[UsageByDay]:
    """Read the usage of each model by day.

    Days of which an older version stored no sum are made of the queries that are stored one by one: the last 1,000 of
    each model.

    Args:
        store: Where usage is kept.

    Yields:
        A model at a time. What cannot be read is left out.
    """
    for records in store.usage():
        total = _from_json(records.total)
        if total is not None:
            yield UsageByDay(records.model, total, _days(records))


def _days(records: ModelUsage) -> dict[str, Usage]:
    sums = {day: usage for day, data in records.days.items() if (usage := _from_json(data)) is not None}
    of_queries: dict[str, Usage] = {}
    for at, data in reversed(records.queries):
        if (usage := _from_json(data)) is None:
            continue
        day = day_of(at)
        if day in of_queries:
            of_queries[day].add(usage)
        else:
            of_queries[day] = usage
    # An older version counts in no day's sum, and a day may have more queries than are stored: the larger one counts.
    for day, usage in of_queries.items():
        if day not in sums or sums[day].queries < usage.queries:
            sums[day] = usage
    return dict(sorted(sums.items()))


def _columns() -> list[str]:
    return ["query", *_to_row(Usage("", "", ""))]


def _to_row(usage: Usage) -> dict[str, UsageValue]:
    row = usage.as_dict()
    for name in ("errors", "failovers"):
        row[name] = orjson.dumps(row[name]).decode()
    row["cascade"] = row["cascade"] and orjson.dumps(row["cascade"]).decode()
    for name, value in row.items():
        if isinstance(value, float):
            row[name] = round(value, _USD_DECIMALS if name.startswith("usd") else _SHOWN_DECIMALS)
    return {name: value for name, value in row.items() if name not in ("task", "model", "host")}


def _sum(total_record: bytes | None, usage: Usage) -> Usage:
    total = _from_json(total_record) if total_record else None
    if total is None:
        return usage
    total.add(usage)
    return total


def _to_json(usage: Usage) -> bytes:
    return orjson.dumps(usage.to_record(), option=orjson.OPT_NON_STR_KEYS)


def _from_json(data: bytes) -> Usage | None:
    try:
        return Usage.from_record(orjson.loads(data))
    except (ValueError, TypeError, AttributeError):
        logger.warning("a receipt cannot be read, and is left out of the count")
        return None
