"""What is stored of queries, wherever it is: answers, requests counted for quotas, and usage.

``sqlite_tables`` has them in a file of this machine, ``redis_tables`` in a Redis that several machines share. No
operation fails a query: where a store cannot be used its future gives what each method names. Operations of one store
are done in the order of the calls.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from typing import NamedTuple, Protocol

from .secret import Seal

MAX_APPENDED_ROWS = 256
"""Rows that are appended best: one statement in SQLite, one script in Redis."""

TOKEN_BYTES = 8
"""Length of what tells the claims of one query from those of others."""

PendingRows = list[bytearray]
"""Keys and answers in turn, to be stored. Of all binary types, sqlite3 looks up no adapter for ``bytearray`` alone."""

MergeUsage = Callable[[bytes | None], bytes]
"""The stored sum of a model's queries, None where there is none, to the sum with one query more."""

MAX_STORED_DAYS = 400
"""Days of which the sums of each model are stored: a year, and the month of the year before to compare with."""

DAY_S = 86_400.0
"""Seconds of a day."""


class Claimed(NamedTuple):
    """What came of a claim.

    Attributes:
        by_others: The keys that another query has claimed.
        is_alone: Whether no other query of the same key has claimed anything for the length of a claim. False where
            that is not known.
    """

    by_others: Collection[bytes]
    is_alone: bool


NOTHING_CLAIMED = Claimed(frozenset(), is_alone=False)
"""Where the store cannot be used: as if nobody claimed anything."""


class AnswerTable(Protocol):
    """Stored answers. Where the store has another secret than the seal, nothing is stored and nothing found."""

    def secret(self) -> bytes:
        """Wait until the store is open, off event loops.

        Returns:
            The key of its hashes, 32 bytes.
        """
        ...

    def open_query(self, seal: Seal, query: bytes) -> Future[bool]:
        """Look up whether answers to a query may be stored, and make all that are visible to ``select``.

        Args:
            seal: Of any scope.
            query: The query's key, see ``ResponseCache``.

        Returns:
            False where none can be, so that ``select`` need not be called. True where that is not known.
        """
        ...

    def select(self, seal: Seal, keys: Sequence[bytes], max_age_s: float) -> Future[list[tuple[bytes, bytes]]]:
        """Find stored answers by key. One without the right MAC is left out: somebody else wrote or changed it.

        Args:
            seal: Of their scope.
            keys: What to look for. All keys have the same length.
            max_age_s: Skip answers stored longer ago.

        Returns:
            A pair (key, answer) for each key found, in no particular order; nothing where the store cannot be used.
        """
        ...

    def record_query(self, seal: Seal, query: bytes, ttl_s: float) -> None:
        """Note that answers to a query may be stored from now on.

        Args:
            seal: Of its scope.
            query: The query's key.
            ttl_s: Seconds for which these answers are stored.
        """
        ...

    def append(self, seal: Seal, rows: PendingRows, ttl_s: float) -> Future[None]:
        """Store rows, all or none of each ``MAX_APPENDED_ROWS``.

        Args:
            seal: Of their scope, so that ``select`` believes them.
            rows: Keys and answers in turn.
            ttl_s: Seconds after which they may be deleted.

        Returns:
            Done once they are written, or cannot be.
        """
        ...

    def vacuum(self, seal: Seal, query: bytes, ttl_s: float) -> None:
        """Do what keeps the table small and fast. Call it after some thousand rows.

        Args:
            seal: Of their scope.
            query: The key of the query that stored rows. It is recorded again, since the store may be a new one by now.
            ttl_s: As of ``record_query``.
        """
        ...

    def flush(self) -> Future[None]:
        """Tell when all that was handed over so far is written.

        Returns:
            Done by then.
        """
        ...

    def index(self) -> None:
        """Make what was appended visible to ``select``, after the query. Nobody waits for it."""
        ...

    def claim(self, seal: Seal, query: bytes, keys: Sequence[bytes], token: bytes, lease_s: float) -> Future[Claimed]:
        """Claim keys that nobody else has claimed, and renew the claims that one has.

        A claim ends by itself. It says that its answer was asked for not longer ago than ``lease_s``.

        Args:
            seal: Of their scope.
            query: The query's key.
            keys: Whose answers are to be asked for. All have the same length.
            token: Of who claims, ``TOKEN_BYTES`` long.
            lease_s: Seconds after which the claims end.

        Returns:
            Which of them others have; ``NOTHING_CLAIMED`` where the store cannot be used.
        """
        ...

    def release(self, seal: Seal, query: bytes, keys: Sequence[bytes], token: bytes, lease_s: float) -> None:
        """End claims before their time, in the background, since no answer will come.

        Args:
            seal: Of their scope.
            query: As of ``claim``.
            keys: As of ``claim``. Those that others have are left alone.
            token: Of who has claimed them.
            lease_s: As of ``claim``.
        """
        ...


class QuotaTable(Protocol):
    """Requests counted by scope and period."""

    def now(self) -> float:
        """The clock by which periods begin, in seconds since 1970."""
        ...

    def reserve(
        self, scope: bytes, size: int, limits: Mapping[str, int], last_counts: Mapping[str, int]
    ) -> Future[dict[str, int] | None]:
        """Count requests as used, as many as all limits leave and ``size`` at most, in one step.

        Args:
            scope: Whose requests they are.
            size: Requests wanted.
            limits: The limit of each period, by the period's key.
            last_counts: How many this process knows to be used in each period, for a store that was emptied.

        Returns:
            Those used before by period; None where the store cannot be used.
        """
        ...

    def add(self, scope: bytes, periods: Sequence[str], count: int) -> Future[None]:
        """Count requests that were sent, or undo it.

        Args:
            scope: Whose requests they are.
            periods: The keys of the periods.
            count: How many; below zero to give reserved ones back.

        Returns:
            Done once they are counted, or cannot be.
        """
        ...


def reservable(size: int, limits: Mapping[str, int], used: Mapping[str, int]) -> int:
    """How many requests may be reserved.

    Args:
        size: Requests wanted.
        limits: The limit of each period.
        used: Requests used in each period.

    Returns:
        As many as all limits leave, and ``size`` at most.

    >>> reservable(16, {"2000-01": 100, "2000-01-01T12": 10}, {"2000-01": 50, "2000-01-01T12": 7})
    3
    """
    return max(0, min(size, *(limit - used[period] for period, limit in limits.items())))


class UsageHistory(NamedTuple):
    """The ``total`` of all queries of a model, and the ``recent`` ones with their times, newest first, as stored."""

    total: bytes | None
    recent: list[tuple[float, bytes]]


class ModelUsage(NamedTuple):
    """All that is stored of the usage of one model, as records.

    Attributes:
        model: Whose queries. In Redis a keyed hash of it.
        total: The sum of all its queries.
        days: The sum of each day of UTC, as 2026-11-29. Older versions stored none.
        queries: The newest queries, each with the time of its end in seconds since 1970.
    """

    model: str
    total: bytes
    days: Mapping[str, bytes]
    queries: Sequence[tuple[float, bytes]]


def day_of(at: float) -> str:
    """The day of a time, in UTC.

    Args:
        at: Seconds since 1970.

    Returns:
        As 2026-11-29, so that days sort as texts.

    >>> day_of(0.0)
    '1970-01-01'
    """
    return time.strftime("%Y-%m-%d", time.gmtime(at))


class UsageTable(Protocol):
    """Usage of queries by model: their sum, that of each day, and the newest ones."""

    def insert(self, model: str, record: bytes, merge: MergeUsage) -> None:
        """Store the usage of a query in the background, in its place and in the sums.

        Args:
            model: Whose query it was.
            record: The usage.
            merge: Makes the new sums. It may be called several times.
        """
        ...

    def select(self, model: str, recent: int) -> UsageHistory:
        """Read the usage of a model. Waits for the store.

        Args:
            model: Whose queries.
            recent: Queries to read, the newest.

        Returns:
            What is stored; nothing where the store cannot be used.
        """
        ...


class Tables(NamedTuple):
    """Where each of the three is stored."""

    answers: AnswerTable
    quotas: QuotaTable
    usage: UsageTable
