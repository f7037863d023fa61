"""Stored answers of a query that may be answered by one provider or another.

Each provider's answers have keys of their own, since two may answer differently. What any of them has answered before
is found, whichever is asked now.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...tasks import Input
from .response_cache import KEY_BYTES, ResponseCache


class ProviderAnswers:
    """The stored answers of several providers of one model.

    Args:
        caches: Those of the provider that is asked, where new answers are stored; then those of the others.

    Attributes:
        claims: As of ``ResponseCache``, of the provider that is asked.
    """

    def __init__(self, caches: Sequence[ResponseCache]) -> None:
        self._own, self._caches = caches[0], caches
        self.claims = self._own.claims

    def key(self, item: Input) -> bytes:
        """Compute the keys of the answer to an input.

        Args:
            item: As of ``ResponseCache.key``.

        Returns:
            The key at each provider, one after the other.
        """
        return b"".join(cache.key(item) for cache in self._caches)

    def key_of_table(self, digest: bytes) -> bytes:
        """Compute the key of what is stored of a whole table.

        Args:
            digest: Tells tables apart.

        Returns:
            The keys of all providers.
        """
        return b"".join(cache.key_of_table(digest) for cache in self._caches)

    def look_again(self) -> None:
        """As of ``ResponseCache``, of every provider."""
        for cache in self._caches:
            cache.look_again()

    @property
    def is_known_empty(self) -> bool:
        """Whether ``lookup`` is certain to find nothing."""
        return all(cache.is_known_empty for cache in self._caches)

    async def lookup(self, keys: Sequence[bytes]) -> dict[bytes, object]:
        """Find stored answers, those of the provider that is asked before others.

        Args:
            keys: Of ``key``.

        Returns:
            The answer for each key that has one.
        """
        found: dict[bytes, object] = {}
        for number, cache in enumerate(self._caches):
            place = slice(number * KEY_BYTES, (number + 1) * KEY_BYTES)
            missing = {key[place]: key for key in keys if key not in found}
            stored = await cache.lookup(list(missing))
            found.update((missing[key], answer) for key, answer in stored.items())
        return found

    def put(self, key: bytes, answer: object) -> None:
        """Store an answer of the provider that is asked.

        Args:
            key: Of ``key``.
            answer: As of ``ResponseCache.put``.
        """
        self._own.put(key[:KEY_BYTES], answer)

    async def put_large(self, key: bytes, answer: object) -> None:
        """Store a large answer of the provider that is asked.

        Args:
            key: Of ``key``.
            answer: As of ``ResponseCache.put_large``.
        """
        await self._own.put_large(key[:KEY_BYTES], answer)

    @property
    def is_backlogged(self) -> bool:
        """Whether more answers wait to be written than a kill may lose."""
        return self._own.is_backlogged

    async def wait_for_backlog(self) -> None:
        """Wait until ``is_backlogged`` is False."""
        await self._own.wait_for_backlog()

    async def flush(self) -> None:
        """Write all answers put so far, and wait until they are written."""
        await self._own.flush()
