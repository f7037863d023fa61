"""The profile of a route in the answer store: what one query found, for the next one of this process or another."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import orjson

from ..storage.sqlite import Store
from .batch_size import MAX_BATCH_SIZE, BatchSizeTuner
from .route_key import route_key
from .route_profile import RouteProfile
from .token_limit import TokenLimit

logger = logging.getLogger(__name__)

_PROFILE_TTL_S = 3600.0  # a key may be revoked, a server may change: an older profile is only a hint
_MIN_PACE = 1e-4  # bounds of all values of a stored pace, to reject garbage
_MAX_PACE = 1e6


class StoredProfile:
    """The profile of one route in a store."""

    def __init__(self, store: Store, name: str) -> None:
        """Name the route. Nothing is read or written yet.

        Args:
            store: Where it is.
            name: The route's name.
        """
        self._store, self._name = store, name

    async def load(self) -> tuple[RouteProfile, dict[str, float]]:
        """Read what earlier queries stored, of any process.

        Returns:
            The profile, and the pace as of ``Limiter.pace``; a new profile and no pace where nothing is stored.
        """
        statement = "SELECT learned FROM routes WHERE route = ?"
        reading = self._store.run(lambda connection: connection.execute(statement, (self._key,)).fetchone(), None)
        row = await asyncio.wrap_future(reading)
        return from_json(row[0]) if row and row[0] else (RouteProfile(), {})

    def save(self, profile: RouteProfile, pace: dict[str, float]) -> None:
        """Store what was found for the next query, of this process or another.

        Args:
            profile: What requests have shown.
            pace: As of ``Limiter.pace``.
        """
        record = to_json(profile, pace)
        statement = (
            "INSERT INTO routes(route, learned) VALUES (?, ?) "
            "ON CONFLICT(route) DO UPDATE SET learned = excluded.learned"
        )
        self._store.run(lambda connection: connection.execute(statement, (self._key, record)).rowcount, 0)

    @property
    def _key(self) -> bytes:
        """The route's key, made anew each time: the store's secret may be known only later."""
        return route_key(self._store.secret, self._name)


def to_json(profile: RouteProfile, pace: dict[str, float]) -> bytes:
    """Encode what is stored about a route.

    Args:
        profile: What requests have shown.
        pace: As of ``Limiter.pace``.

    Returns:
        JSON, with the time at which it was written.
    """
    tuner = profile.batch_size
    sizes = {"best": tuner.best, "refused": tuner.smallest_rejected, "settled": tuner.settled}
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
        pace = {str(name): float(value) for name, value in values["pace"].items()}
        are_credible = all(_MIN_PACE < value < _MAX_PACE for value in pace.values())
        if not (0 < best <= MAX_BATCH_SIZE and smallest_rejected > 0 and are_credible):
            raise ValueError("out of all bounds")
        profile = RouteProfile(
            values["answered"] is True and is_fresh,
            values["lists"] if is_fresh and isinstance(values["lists"], bool) else None,
            BatchSizeTuner(best, smallest_rejected, sizes["settled"] is True),
            token_limit=TokenLimit.from_record(values.get("length")) if is_fresh else TokenLimit(),
        )
        return profile, pace if is_fresh else {}
    except (ValueError, KeyError, TypeError, AttributeError):
        logger.warning("what was learned about a route cannot be read, and is learned anew")
        return RouteProfile(), {}
