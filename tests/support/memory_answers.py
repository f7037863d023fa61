"""Stored answers and claims in memory, by any clock: what several queries of one virtual time share."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeVar

from huggingface_api_handler.inference.storage.secret import SECRET_BYTES, Seal
from huggingface_api_handler.inference.storage.tables import NOTHING_CLAIMED, Claimed, PendingRows

T = TypeVar("T")


def done(result: T) -> Future[T]:
    """A future that has its result.

    Args:
        result: The result.

    Returns:
        The future.
    """
    future: Future[T] = Future()
    future.set_result(result)
    return future


class MemoryAnswers:
    """Stored answers (see ``tables.AnswerTable``) of one scope.

    Args:
        clock: Seconds.

    Attributes:
        answers: By key.
        claims: By key, who has claimed it and until when.
        operations: How often keys were claimed.
        selected: How many keys were looked for.
        is_away: Whether it cannot be used.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.answers: dict[bytes, bytes] = {}
        self.claims: dict[bytes, tuple[bytes, float]] = {}
        self.operations = self.selected = 0
        self.is_away = False
        self._clock = clock
        self._recorded: set[bytes] = set()
        self._members: dict[tuple[bytes, bytes], float] = {}

    def secret(self) -> bytes:
        """As of ``AnswerTable``."""
        return b"s" * SECRET_BYTES

    def open_query(self, seal: Seal, query: bytes) -> Future[bool]:
        """As of ``AnswerTable``."""
        return done(query in self._recorded)

    def select(self, seal: Seal, keys: Sequence[bytes], max_age_s: float) -> Future[list[tuple[bytes, bytes]]]:
        """As of ``AnswerTable``."""
        self.selected += len(keys)
        return done([(key, self.answers[key]) for key in keys if key in self.answers])

    def record_query(self, seal: Seal, query: bytes, ttl_s: float) -> None:
        """As of ``AnswerTable``."""
        self._recorded.add(query)

    def append(self, seal: Seal, rows: PendingRows, ttl_s: float) -> Future[None]:
        """As of ``AnswerTable``."""
        if not self.is_away:
            self.answers.update(zip(map(bytes, rows[::2]), map(bytes, rows[1::2]), strict=True))
        return done(None)

    def vacuum(self, seal: Seal, query: bytes, ttl_s: float) -> None:
        """As of ``AnswerTable``."""

    def flush(self) -> Future[None]:
        """As of ``AnswerTable``."""
        return done(None)

    def index(self) -> None:
        """As of ``AnswerTable``."""

    def claim(self, seal: Seal, query: bytes, keys: Sequence[bytes], token: bytes, lease_s: float) -> Future[Claimed]:
        """As of ``AnswerTable``."""
        self.operations += 1
        if self.is_away:
            return done(NOTHING_CLAIMED)
        now = self._clock()
        members = {owner for (of, owner), until in self._members.items() if of == query and until > now}
        self._members[query, token] = now + lease_s
        by_others = {key for key in keys if self._is_held(key, token, now)}
        self.claims.update((key, (token, now + lease_s)) for key in keys if key not in by_others)
        return done(Claimed(by_others, not members - {token}))

    def release(self, seal: Seal, query: bytes, keys: Sequence[bytes], token: bytes, lease_s: float) -> None:
        """As of ``AnswerTable``."""
        for key in keys:
            if self.claims.get(key, (b"", 0.0))[0] == token:
                del self.claims[key]

    def _is_held(self, key: bytes, token: bytes, now: float) -> bool:
        owner, until = self.claims.get(key, (token, 0.0))
        return owner != token and until > now
