"""The profile of a route in the answer store: what one query found, for the next one of this process or another."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, Protocol

import orjson

from ..storage.sqlite import Store
from .batch_size import MAX_BATCH_SIZE, BatchSizeTuner, TimelySize
from .route_key import route_key
from .route_profile import RouteProfile
from .token_limit import TokenLimit

logger = logging.getLogger(__name__)

_PROFILE_TTL_S = 3600.0  # a key may be revoked, a server may change: an older profile is only a hint
_MIN_PACE = 1e-4  # bounds of all values of a stored pace, to reject garbage
_MAX_PACE = 1e6


Update = Callable[[bytes | None], bytes]
"""What is stored, None where nothing is, to what is to be stored."""


class ProfileRecord(Protocol):
    """Where the profile of one route is stored."""

    def read(self) -> Future[bytes | None]:
        """Read it.

        Returns:
            What is stored; None where nothing is, or the store cannot be used.
        """
        ...

    def update(self, update: Update) -> None:
        """Change it. Nobody waits for this.

        Args:
            update: May be called twice.
        """
        ...


class SqliteProfileRecord:
    """A row of the table ``routes`` of the answer store."""

    def __init__(self, store: Store, name: str) -> None:
        """Name the route. Nothing is read or written yet.

        Args:
            store: Where it is.
            name: The route's name.
        """
        self._store, self._name = store, name

    def read(self) -> Future[bytes | None]:
        """As of ``ProfileRecord``.

        Returns:
            What is stored.
        """
        return self._store.run(self._read, None)

    def update(self, update: Update) -> None:
        """As of ``ProfileRecord``.

        Args:
            update: As of ``ProfileRecord``.
        """
        statement = (
            "INSERT INTO routes(route, learned) VALUES (?, ?) "
            "ON CONFLICT(route) DO UPDATE SET learned = excluded.learned"
        )

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(statement, (self._key, update(self._read(connection))))

        self._store.run(write, None)

    def _read(self, connection: sqlite3.Connection) -> bytes | None:
        row = connection.execute("SELECT learned FROM routes WHERE route = ?", (self._key,)).fetchone()
        return row[0] if row else None

    @property
    def _key(self) -> bytes:
        """The route's key, made anew each time: the store's secret may be known only later."""
        return route_key(self._store.secret, self._name)


class StoredProfile:
    """What queries on one route found, of all that share the record."""

    def __init__(self, record: ProfileRecord) -> None:
        """Use a record. Nothing is read or written yet.

        Args:
            record: Where it is stored.
        """
        self._record = record

    async def load(self) -> tuple[RouteProfile, dict[str, float]]:
        """Read what earlier queries stored, of any process.

        Returns:
            The profile, and the pace as of ``Limiter.pace``; a new profile and no pace where nothing is stored.
        """
        stored = await asyncio.wrap_future(self._record.read())
        return from_json(stored) if stored else (RouteProfile(), {})

    def save(self, profile: RouteProfile, pace: dict[str, float]) -> None:
        """Store what was found for the next query, beside what other processes found.

        Args:
            profile: What requests have shown.
            pace: As of ``Limiter.pace``.
        """
        self._record.update(partial(merged, found=to_json(profile, pace)))


def merged(stored: bytes | None, found: bytes) -> bytes:
    """Add what one process found to what is stored. It says nothing of what it has not tried.

    Args:
        stored: As of ``to_json``, of any process; None where nothing is stored.
        found: The same, of this process.

    Returns:
        The same, of both. Where both know something, it is what this process found.
    """
    values = orjson.loads(found)
    try:
        before: dict[str, Any] = orjson.loads(stored or b"")
        if abs(values["at"] - before["at"]) > _PROFILE_TTL_S:
            return found
        if values["lists"] is None:
            values["lists"] = before["lists"]
        if before["sizes"]["settled"] is True and not values["sizes"]["settled"]:
            values["sizes"] = before["sizes"]
        if values["length"]["tokens"] is None:
            values["length"] = before["length"]
        values["answered"] = values["answered"] or before["answered"]
        values["pace"] = {**before["pace"], **values["pace"]}
    except (ValueError, KeyError, TypeError):  # of garbage nothing is taken
        return found
    return orjson.dumps(values)


def to_json(profile: RouteProfile, pace: dict[str, float]) -> bytes:
    """Encode what is stored about a route.

    Args:
        profile: What requests have shown.
        pace: As of ``Limiter.pace``.

    Returns:
        JSON, with the time at which it was written.
    """
    tuner = profile.batch_size
    sizes = {
        "best": tuner.best,
        "refused": tuner.smallest_rejected,
        "settled": tuner.settled,
        "timely": tuner.timely.size,
    }
    return orjson.dumps(
        {
            "at": time.time(),
            "answered": profile.has_answered,
            "lists": profile.accepts_batches,
            "sizes": sizes,
            "length": profile.token_limit.to_record(),
            "pace": pace,
        }
    )


def from_json(record: bytes) -> tuple[RouteProfile, dict[str, float]]:
    """Decode what ``to_json`` wrote.

    Args:
        record: JSON.

    Returns:
        The profile and the pace. A record older than an hour gives the sizes of batches only. One that cannot be
        read gives a new profile and no pace, and a warning.
    """
    try:
        values: dict[str, Any] = orjson.loads(record)
        is_fresh = 0 <= time.time() - values["at"] < _PROFILE_TTL_S
        sizes = values["sizes"]
        best, smallest_rejected = int(sizes["best"]), int(sizes["refused"])
        timely = int(sizes.get("timely", MAX_BATCH_SIZE))
        pace = {str(name): float(value) for name, value in values["pace"].items()}
        are_credible = all(_MIN_PACE < value < _MAX_PACE for value in pace.values())
        if not (0 < best <= MAX_BATCH_SIZE and 0 < timely <= MAX_BATCH_SIZE and smallest_rejected > 0 and are_credible):
            raise ValueError("out of all bounds")
        profile = RouteProfile(
            values["answered"] is True and is_fresh,
            values["lists"] if is_fresh and isinstance(values["lists"], bool) else None,
            BatchSizeTuner(best, smallest_rejected, sizes["settled"] is True, timely=TimelySize(timely)),
            token_limit=TokenLimit.from_record(values.get("length")) if is_fresh else TokenLimit(),
        )
        return profile, pace if is_fresh else {}
    except (ValueError, KeyError, TypeError, AttributeError):
        logger.warning("what was learned about a route cannot be read, and is learned anew")
        return RouteProfile(), {}
