"""The tables of ``tables`` in the SQLite file of a machine."""

from __future__ import annotations

import itertools
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from . import claim_table, response_table
from .secret import Seal
from .sqlite import Store
from .tables import (
    DAY_S,
    MAX_STORED_DAYS,
    NOTHING_CLAIMED,
    Claimed,
    MergeUsage,
    ModelUsage,
    PendingRows,
    Tables,
    UsageHistory,
    day_of,
    reservable,
)

T = TypeVar("T")

_MAX_STORED_QUERIES = 1000
"""Queries of a model whose usage is kept. Older ones are deleted, and stay in the sum."""

_DAY = "day "
"""What the name of a day's sum begins with, in the table ``totals``: the model and the day follow. No model has such a
name, and a version that knows no days looks for models only."""

_DAY_CHARS = len("2000-01-01")
"""Length of a day."""

_MONTH_CHARS = len("2000-01")
"""Length of a month's key, with which those of its hours begin."""


class SqliteAnswers:
    """Stored answers (see ``tables.AnswerTable``), by the SQL of ``response_table``."""

    def __init__(self, store: Store) -> None:
        """Use a store.

        Args:
            store: Where answers are stored.
        """
        self._store = store
        self._ended_deleted_at = float("-inf")
        self._claim_numbers = itertools.count()

    def secret(self) -> bytes:
        """As of ``AnswerTable.secret``."""
        self._store.wait_until_open()
        return self._store.secret

    def open_query(self, seal: Seal, query: bytes) -> Future[bool]:
        """As of ``AnswerTable.open_query``.

        Args:
            seal: Of any scope.
            query: The query's key.

        Returns:
            False where no answer can be stored.
        """
        opening = partial(response_table.open_query, query=query)
        return self._store.run(self._if_same_secret(seal, opening, False), True)

    def select(self, seal: Seal, keys: Sequence[bytes], max_age_s: float) -> Future[list[tuple[bytes, bytes]]]:
        """As of ``AnswerTable.select``.

        Args:
            seal: Of any scope.
            keys: What to look for.
            max_age_s: Skip answers stored longer ago.

        Returns:
            Pairs of key and answer.
        """
        no_rows: list[tuple[bytes, bytes]] = []
        since = int(time.time() - max_age_s)
        selecting = partial(response_table.select, keys=keys, since=since, seal=seal)
        return self._store.run(self._if_same_secret(seal, selecting, no_rows), no_rows)

    def record_query(self, seal: Seal, query: bytes, ttl_s: float) -> None:
        """As of ``AnswerTable.record_query``.

        Args:
            seal: Of its scope.
            query: The query's key.
            ttl_s: Is not needed: the note stays.
        """
        recording = partial(response_table.record_query, query=query)
        self._store.run_untransacted(self._if_same_secret(seal, recording, None), None)

    def append(self, seal: Seal, rows: PendingRows, ttl_s: float) -> Future[None]:
        """As of ``AnswerTable.append``.

        Args:
            seal: Of their scope.
            rows: Keys and answers in turn.
            ttl_s: Seconds after which they may be deleted.

        Returns:
            Done once they are written.
        """
        now = time.time()
        appending = partial(
            response_table.append, rows=rows, stored_at=int(now), expires_at=int(now + ttl_s), seal=seal
        )
        return self._store.run_untransacted(self._if_same_secret(seal, appending, None), None)

    def vacuum(self, seal: Seal, query: bytes, ttl_s: float) -> None:
        """As of ``AnswerTable.vacuum``.

        Args:
            seal: Of their scope.
            query: The key of the query that stored rows.
            ttl_s: Is not needed.
        """
        vacuuming = partial(response_table.vacuum, query=query)
        self._store.run(self._if_same_secret(seal, vacuuming, None), None)

    def flush(self) -> Future[None]:
        """As of ``AnswerTable.flush``.

        Returns:
            Done once all is written.
        """
        # The store runs one operation after another, so all before this one is done then.
        return self._store.run_untransacted(lambda _connection: None, None)

    def index(self) -> None:
        """As of ``AnswerTable.index``."""
        self._store.run(response_table.index, None)

    def claim(self, seal: Seal, query: bytes, keys: Sequence[bytes], token: bytes, lease_s: float) -> Future[Claimed]:
        """As of ``AnswerTable.claim``.

        Args:
            seal: Of their scope.
            query: The query's key.
            keys: Whose answers are to be asked for.
            token: Of who claims.
            lease_s: Seconds after which the claims end.

        Returns:
            Which of them others have.
        """

        number = next(self._claim_numbers)

        def claim(connection: sqlite3.Connection) -> Claimed:
            """Claim, and now and then delete what has ended."""
            now = time.time()
            if not 0 <= now - self._ended_deleted_at < lease_s:
                self._ended_deleted_at = now
                claim_table.delete_ended(connection, now)
            return claim_table.claim(connection, query, keys, token, number, lease_s, now)

        return self._store.run(self._if_same_secret(seal, claim, NOTHING_CLAIMED), NOTHING_CLAIMED)

    def release(self, seal: Seal, query: bytes, keys: Sequence[bytes], token: bytes, lease_s: float) -> None:
        """As of ``AnswerTable.release``.

        Args:
            seal: Of their scope.
            query: The query's key.
            keys: Whose claims are to end.
            token: Of who has claimed them.
            lease_s: Seconds after which the claims end in any case.
        """
        number, expires_at = next(self._claim_numbers), time.time() + lease_s
        releasing = partial(
            claim_table.release, query=query, keys=keys, token=token, number=number, expires_at=expires_at
        )
        self._store.run(self._if_same_secret(seal, releasing, None), None)

    def _if_same_secret(
        self, seal: Seal, operation: Callable[[sqlite3.Connection], T], default: T
    ) -> Callable[[sqlite3.Connection], T]:
        """The operation, unless the store was opened with another secret meanwhile: then nobody would find the keys."""
        return lambda connection: operation(connection) if self._store.secret == seal.secret else default


class SqliteQuotas:
    """Counted requests (see ``tables.QuotaTable``)."""

    def __init__(self, store: Store) -> None:
        """Use a store.

        Args:
            store: Where requests are counted.
        """
        self._store = store

    def now(self) -> float:
        """This machine's clock."""
        return time.time()

    def reserve(
        self, scope: bytes, size: int, limits: Mapping[str, int], last_counts: Mapping[str, int]
    ) -> Future[dict[str, int] | None]:
        """As of ``QuotaTable.reserve``.

        Args:
            scope: Whose requests they are.
            size: Requests wanted.
            limits: The limit of each period.
            last_counts: Is not needed: a file that is begun anew gets the counts of the one before.

        Returns:
            Requests used before by period.
        """
        return self._store.run(partial(_reserve, scope=scope, size=size, limits=limits), None)

    def add(self, scope: bytes, periods: Sequence[str], count: int) -> Future[None]:
        """As of ``QuotaTable.add``.

        Args:
            scope: Whose requests they are.
            periods: The keys of the periods.
            count: How many.

        Returns:
            Done once they are counted.
        """
        return self._store.run(partial(_add, scope=scope, periods=periods, count=count), None)


class SqliteUsage:
    """Usage of queries (see ``tables.UsageTable``)."""

    def __init__(self, store: Store) -> None:
        """Use a store.

        Args:
            store: Where usage is stored.
        """
        self._store = store

    def insert(self, model: str, record: bytes, merge: MergeUsage) -> None:
        """As of ``UsageTable.insert``.

        Args:
            model: Whose query it was.
            record: The usage.
            merge: Makes the new sum.
        """
        self._store.run(partial(_insert_usage, model=model, record=record, merge=merge), None)

    def select(self, model: str, recent: int) -> UsageHistory:
        """As of ``UsageTable.select``.

        Args:
            model: Whose queries.
            recent: Queries to read.

        Returns:
            What is stored.
        """
        selecting = partial(_select_usage, model=model, recent=recent)
        return self._store.run(selecting, UsageHistory(None, [])).result()


def sqlite_tables(store: Store) -> Tables:
    """All tables of a store.

    Args:
        store: The file.

    Returns:
        The tables.
    """
    return Tables(SqliteAnswers(store), SqliteQuotas(store), SqliteUsage(store))


def _reserve(connection: sqlite3.Connection, scope: bytes, size: int, limits: Mapping[str, int]) -> dict[str, int]:
    used = {}
    for period in limits:
        row = connection.execute("SELECT used FROM quotas WHERE scope = ? AND period = ?", (scope, period)).fetchone()
        used[period] = max(0, row[0]) if row else 0  # one below zero would lift the limit
        if row is None and period[0].isdecimal():  # a month, which ends those before; a job has no end of its own
            connection.execute("DELETE FROM quotas WHERE period < ?", (period[:_MONTH_CHARS],))
    _add(connection, scope, list(limits), reservable(size, limits, used))
    return used


def _add(connection: sqlite3.Connection, scope: bytes, periods: Sequence[str], count: int) -> None:
    for period in periods:
        connection.execute(
            # What is given back to a month that is over is given to nobody.
            "INSERT INTO quotas SELECT ?1, ?2, ?3 WHERE ?3 >= 0 OR EXISTS (SELECT 1 FROM quotas WHERE scope = ?1 AND "
            "period = ?2) ON CONFLICT(scope, period) DO UPDATE SET used = used + ?3",
            (scope, period, count),
        )


def _insert_usage(connection: sqlite3.Connection, model: str, record: bytes, merge: MergeUsage) -> None:
    now = time.time()
    connection.execute("INSERT INTO receipts(model, at, receipt) VALUES (?, ?, ?)", (model, now, record))
    surplus = "SELECT id FROM receipts WHERE model = ? ORDER BY id DESC LIMIT -1 OFFSET ?"
    connection.execute(f"DELETE FROM receipts WHERE id IN ({surplus})", (model, _MAX_STORED_QUERIES))  # noqa: S608
    _add_to_total(connection, model, merge)
    days = f"{_DAY}{model} "
    if _add_to_total(connection, days + day_of(now), merge):
        oldest = days + day_of(now - MAX_STORED_DAYS * DAY_S)
        # Of that length, since another model's name may begin with this one's.
        old_days = "DELETE FROM totals WHERE model > ? AND model < ? AND length(model) = ?"
        connection.execute(old_days, (days, oldest, len(oldest)))


def _add_to_total(connection: sqlite3.Connection, name: str, merge: MergeUsage) -> bool:
    """Add a query to a sum. True where there was none of that name."""
    row = connection.execute("SELECT receipt FROM totals WHERE model = ?", (name,)).fetchone()
    connection.execute("INSERT OR REPLACE INTO totals VALUES (?, ?)", (name, merge(row[0] if row else None)))
    return row is None


def _select_usage(connection: sqlite3.Connection, model: str, recent: int) -> UsageHistory:
    total = connection.execute("SELECT receipt FROM totals WHERE model = ?", (model,)).fetchone()
    return UsageHistory(total[0] if total else None, _newest(connection, model, recent))


def _newest(connection: sqlite3.Connection, model: str, recent: int) -> list[tuple[float, bytes]]:
    newest = "SELECT at, receipt FROM receipts WHERE model = ? ORDER BY id DESC LIMIT ?"
    return connection.execute(newest, (model, recent)).fetchall()


def usage_models(connection: sqlite3.Connection) -> list[str]:
    """List the models of which usage is stored.

    Args:
        connection: The store's.

    Returns:
        Their names, as of ``UsageTable.insert``.
    """
    names = connection.execute("SELECT model FROM totals ORDER BY model").fetchall()
    return [name for (name,) in names if not name.startswith(_DAY)]


def usage_of(connection: sqlite3.Connection, model: str) -> ModelUsage | None:
    """Read all that is stored of the usage of a model.

    Args:
        connection: The store's.
        model: As of ``UsageTable.insert``.

    Returns:
        The records; None where there are none.
    """
    total = connection.execute("SELECT receipt FROM totals WHERE model = ?", (model,)).fetchone()
    if total is None:  # another process has begun the store anew
        return None
    days = f"{_DAY}{model} "
    rows = connection.execute(
        "SELECT substr(model, ?), receipt FROM totals WHERE model > ? AND model <= ? AND length(model) = ?",
        (len(days) + 1, days, f"{days}9999-12-31", len(days) + _DAY_CHARS),
    )
    return ModelUsage(model, total[0], dict(rows.fetchall()), _newest(connection, model, _MAX_STORED_QUERIES))
