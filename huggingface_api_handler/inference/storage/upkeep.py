"""What a person does with stored answers: see how many there are, delete old ones, take them elsewhere.

``sqlite_upkeep`` has it for the file of a machine, ``redis_upkeep`` for a Redis that several machines share. All of it
goes in small steps, so that queries that run meanwhile wait for none of them long.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from .tables import ModelUsage


class AnswerTimes(NamedTuple):
    """What is known of a stored answer without reading it.

    Attributes:
        owner: What stands for the scope that it belongs to (``secret.owner_of``); None where that is not known.
        stored_at: When it arrived, in seconds since 1970.
        expires_at: When it may be deleted, in seconds since 1970.
        size: Of the answer as it is stored, in bytes.
    """

    owner: bytes | None
    stored_at: int
    expires_at: int
    size: int


class StoredAnswer(NamedTuple):
    """A stored answer.

    Attributes:
        key: A keyed hash of the input and of all that was sent with it.
        times: When it was stored, and whose it is.
        content_type: Of media; None for JSON.
        content: The media, or the JSON.
    """

    key: bytes
    times: AnswerTimes
    content_type: str | None
    content: bytes


class Limits(NamedTuple):
    """Which answers are meant: all to which one of these applies.

    Attributes:
        stored_before: Those that arrived before this time, in seconds since 1970; None for no such limit.
        expired_before: Those that expired before this time; None for no such limit.
    """

    stored_before: float | None
    expired_before: float | None

    def apply_to(self, stored_at: float, expires_at: float) -> bool:
        """Say whether an answer is meant.

        Args:
            stored_at: When it arrived, in seconds since 1970.
            expires_at: When it expires, in seconds since 1970.

        Returns:
            True where it is.

        >>> Limits(100, None).apply_to(99, 1000), Limits(None, 100).apply_to(99, 1000)
        (True, False)
        """
        is_old = self.stored_before is not None and stored_at < self.stored_before
        return is_old or (self.expired_before is not None and expires_at < self.expired_before)


ALL = Limits(float("inf"), None)
"""Each answer."""


class Deleted(NamedTuple):
    """What a step deleted: ``answers``, and the ``size`` of them in bytes."""

    answers: int
    size: int


@dataclass
class AnswerSums:
    """Many stored answers.

    Attributes:
        answers: How many.
        size: Of all of them as they are stored, in bytes.
        oldest: When the first arrived, in seconds since 1970; None where there is none.
        newest: When the last arrived.
        expired: How many have expired, and are not deleted yet.
    """

    answers: int = 0
    size: int = 0
    oldest: int | None = None
    newest: int | None = None
    expired: int = 0

    def add(self, times: AnswerTimes, now: float) -> None:
        """Count an answer.

        Args:
            times: Of the answer.
            now: Seconds since 1970.
        """
        self.answers += 1
        self.size += times.size
        self.oldest = times.stored_at if self.oldest is None else min(self.oldest, times.stored_at)
        self.newest = times.stored_at if self.newest is None else max(self.newest, times.stored_at)
        self.expired += times.expires_at < now

    def merge(self, other: AnswerSums) -> None:
        """Add those of another owner.

        Args:
            other: Its sums.
        """
        self.answers += other.answers
        self.size += other.size
        self.oldest = min((at for at in (self.oldest, other.oldest) if at is not None), default=None)
        self.newest = max((at for at in (self.newest, other.newest) if at is not None), default=None)
        self.expired += other.expired


class Upkeep(Protocol):
    """A store, as a person looks after it. Where it cannot be used, the block that opened it ends in ``InputError``."""

    @property
    def place(self) -> str:
        """Where it is, without a password."""
        ...

    @property
    def secret(self) -> bytes | None:
        """The key of its hashes; None where it has none yet."""
        ...

    @property
    def now(self) -> float:
        """The clock by which answers are stored, in seconds since 1970."""
        ...

    def sums(self, limits: Limits = ALL) -> Iterator[tuple[bytes | None, AnswerSums]]:
        """Count answers, some at a time.

        Args:
            limits: Which ones.

        Yields:
            An owner, and the sums of some of its answers.
        """
        ...

    def delete(self, limits: Limits) -> Iterator[Deleted]:
        """Delete answers, some at a time.

        Args:
            limits: Which ones.

        Yields:
            What each step deleted.
        """
        ...

    def answers(self) -> Iterator[StoredAnswer | None]:
        """Read all answers.

        Yields:
            One after another; None for one that is damaged, or that somebody else wrote or changed.
        """
        ...

    def usage(self) -> Iterator[ModelUsage]:
        """Read the usage of each model in turn.

        Yields:
            A model at a time.
        """
        ...

    def profiles(self) -> Iterator[tuple[bytes, bytes]]:
        """Read what was learned about routes.

        Yields:
            The key of a route (``flow_control.route_key``), and what is stored of it, which may be another record.
        """
        ...

    def counts(self, scope: bytes) -> dict[str, int]:
        """Read what is counted for the limits of an engine.

        Args:
            scope: As of ``tables.QuotaTable``.

        Returns:
            Units by period.
        """
        ...


def sums_by_owner(store: Upkeep, max_s: float | None = None) -> tuple[dict[bytes | None, AnswerSums], bool]:
    """Count the answers of a store.

    Args:
        store: An open one.
        max_s: Seconds after which no more is looked at; None for no such limit.

    Returns:
        The sums of each owner, and whether all answers are in them.
    """
    sums: dict[bytes | None, AnswerSums] = {}
    began = time.monotonic()
    for owner, some in store.sums():
        sums.setdefault(owner, AnswerSums()).merge(some)
        if max_s is not None and time.monotonic() - began > max_s:
            return sums, False
    return sums, True


def total_of(sums: Iterable[AnswerSums]) -> AnswerSums:
    """Add the sums of owners.

    Args:
        sums: Of each.

    Returns:
        The sum of all.
    """
    total = AnswerSums()
    for each in sums:
        total.merge(each)
    return total
