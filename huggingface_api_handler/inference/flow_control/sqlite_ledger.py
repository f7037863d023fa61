"""The record of a route in the answer store, for the processes of one machine."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from functools import partial

import orjson

from ..storage.sqlite import Store
from .route_key import route_key
from .route_ledger import Grant, OnSignal, Report, transact
from .route_record import RouteRecord, from_values, to_values
from .signal_file import SignalFile

_UPSERT_RECORD = (
    "INSERT INTO routes(route, learned) VALUES (?, ?) ON CONFLICT(route) DO UPDATE SET learned = excluded.learned"
)


class SqliteLedger:
    """One route's record, in a row of the table ``routes``, with a file beside the store for what is urgent."""

    def __init__(self, store: Store, name: str) -> None:
        """Name the route. Nothing is read or written yet.

        Args:
            store: What the processes share.
            name: The route's name.
        """
        self._store, self._name = store, name
        self._named: tuple[bytes, SignalFile] | None = None
        self._listeners: list[OnSignal] = []

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
        if self._store.is_open:  # so the folder is trusted. The store's thread may be waiting for a lock
            self._signals.signal(seconds)

    async def watch(self, on_signal: OnSignal) -> None:
        """Let ``look`` tell of signals, until cancelled.

        Args:
            on_signal: Gets what other processes signal.
        """
        self._listeners.append(on_signal)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._listeners.remove(on_signal)

    def look(self) -> None:
        """Look for signals."""
        seconds = self._signals.look() if self._listeners else None
        if seconds is not None:
            for on_signal in self._listeners:
                on_signal(seconds)

    def _transact(self, connection: sqlite3.Connection, report: Report) -> Grant:
        record, now = self._read(connection), time.time()
        if (pause_s := self._signals.pause_s()) > 0:
            report = report._replace(resume_at=max(report.resume_at, now + pause_s))
        grant = transact(record, report, now)
        connection.execute(_UPSERT_RECORD, (self._record_key, orjson.dumps(to_values(record))))
        if not record.members:
            self._signals.remove()
        elif report.is_news:
            self._signals.signal(record.resume_at - now)
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

    @property
    def _signals(self) -> SignalFile:
        """Named anew where the store's secret is known only later."""
        secret, named = self._store.secret, self._named
        if named is None or named[0] != secret:
            name = f"{self._store.path.name}-route-{route_key(secret, self._name).hex()}"
            # At once, as the event loop and the store's thread both get here.
            named = self._named = secret, SignalFile(self._store.path.with_name(name))
        return named[1]

    @property
    def _record_key(self) -> bytes:
        return route_key(self._store.secret, f"record of {self._name}")
