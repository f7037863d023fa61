"""The profile of a route in Redis, for the next query of any machine."""

from __future__ import annotations

from concurrent.futures import Future

from ..storage.redis_connection import Client
from ..storage.redis_store import RedisStore
from .route_key import redis_key
from .stored_profile import Update

_STORED_PROFILE_TTL_S = 7 * 24 * 3600  # sizes of batches are a hint for longer than an hour


class RedisProfileRecord:
    """The profile of one route, in a key of its own."""

    def __init__(self, store: RedisStore, name: str) -> None:
        """Name the route. Nothing is read or written yet.

        Args:
            store: What the machines share.
            name: The route's name.
        """
        self._store, self._name = store, name

    def read(self) -> Future[bytes | None]:
        """As of ``stored_profile.ProfileRecord``.

        Returns:
            What is stored.
        """
        return self._store.run(self._read, None)

    def update(self, update: Update) -> None:
        """As of ``stored_profile.ProfileRecord``.

        Args:
            update: As of ``stored_profile.ProfileRecord``.
        """

        def write(client: Client) -> None:
            client.set(self._key, update(self._read(client)), ex=_STORED_PROFILE_TTL_S)

        self._store.run(write, None)

    def _read(self, client: Client) -> bytes | None:
        stored = client.get(self._key)
        return stored if isinstance(stored, bytes) else None

    @property
    def _key(self) -> bytes:
        return redis_key(self._store.secret, self._name) + b":profile"
