"""The record of a route in the answer store, for the processes of one machine."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from functools import partial

import orjson

from ..storage.sqlite import Store
from .route_key import route_key
from .route_ledger import MAX_PLAUSIBLE_PAUSE_S, Grant, Report, transact
from .route_record import RouteRecord, from_values, to_values

PAUSE_POLL_INTERVAL_S = 0.02
"""Between two looks for a pause: another process's pause is kept after this at the latest."""

_UPSERT_PAUSE = (
    "INSERT INTO routes(route, resume_at) VALUES (?, ?) "
    "ON CONFLICT(route) DO UPDATE SET resume_at = max(resume_at, excluded.resume_at)"
)
_UPSERT_RECORD = (
    "INSERT INTO routes(route, learned) VALUES (?, ?) ON CONFLICT(route) DO UPDATE SET learned = excluded.learned"
)


class SqliteLedger:
    """One route's record, in two rows of the table ``routes``: the pause, and under a key of its own all else."""

    def __init__(self, store: Store, name: str) -> None:
        """Name the route. Nothing is read or written yet.

        Args:
            store: What the processes share.
            name: The route's name.
        """
        self._store, self._name = store, name

    async def sync(self, report: Report) -> Grant | None:
        """Change the record by a report.

        Args:
            report: As of ``transact``.

        Returns:
            What the process may do; None where the store cannot be used.
        """
        return await asyncio.wrap_future(self._store.run(partial(self._transact, report=report), None))

    def leave(self, report: Report) -> None:
        """Change the record by the last report of a process. Nobody waits for it.

        Args:
            report: As of ``transact``.
        """
        self._store.run(partial(self._transact, report=report), None)

    def publish_pause(self, seconds: float) -> None:
        """Tell the other processes that no request may go for a while.

        Args:
            seconds: Length of the pause, from now. A pause that ends later is not shortened.
        """
        values = self._pause_key, time.time() + seconds
        self._store.run(lambda connection: connection.execute(_UPSERT_PAUSE, values).rowcount, 0)

    async def watch_pauses(self, on_pause: Callable[[float], None]) -> None:
        """Look for pauses until cancelled.

        Args:
            on_pause: Is told the seconds until the pause ends, at each look in which there is one.
        """
        while True:
            resume_at = await asyncio.wrap_future(self._store.run_untransacted(self._read_pause, 0.0))
            seconds = resume_at - time.time()
            if 0 < seconds < MAX_PLAUSIBLE_PAUSE_S:
                on_pause(seconds)
            await asyncio.sleep(PAUSE_POLL_INTERVAL_S)

    def _transact(self, connection: sqlite3.Connection, report: Report) -> Grant:
        record = self._read(connection)
        record.resume_at = self._read_pause(connection)
        grant = transact(record, report, time.time())
        if report.resume_at == record.resume_at > 0:
            connection.execute(_UPSERT_PAUSE, (self._pause_key, record.resume_at))
        connection.execute(_UPSERT_RECORD, (self._record_key, orjson.dumps(to_values(record))))
        return grant

    def _read(self, connection: sqlite3.Connection) -> RouteRecord:
        row = connection.execute("SELECT learned FROM routes WHERE route = ?", (self._record_key,)).fetchone()
        try:
            return from_values(orjson.loads(row[0])) if row and row[0] else RouteRecord()
        except (
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            OverflowError,
        ):  # damaged: whoever reports next writes it anew
            return RouteRecord()

    def _read_pause(self, connection: sqlite3.Connection) -> float:
        row = connection.execute("SELECT resume_at FROM routes WHERE route = ?", (self._pause_key,)).fetchone()
        return float(row[0]) if row else 0.0

    @property
    def _pause_key(self) -> bytes:
        """Made anew each time: the store's secret may be known only later."""
        return route_key(self._store.secret, self._name)

    @property
    def _record_key(self) -> bytes:
        return route_key(self._store.secret, f"record of {self._name}")
