"""The upkeep of answers in the Redis that several machines share. Imports redis (extra redis).

Its keys are looked through by SCAN, some at a time. Nothing is written but what is to be deleted. Redis does not know
whose an answer is: that is only in the MAC behind it. So answers are neither told apart by owner nor checked by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import cast

import redis

from ...config.store_address import StoreAddress
from ...errors import InputError
from ...redaction import Secret
from .redis_answers import MAC_BYTES, TAGS, TIMES, by_tag
from .redis_connection import Client, connect, disconnect, reason_of
from .redis_store import SECRET_KEY, Script
from .redis_tables import quota_key, usage_models, usage_of
from .response_cache import KEY_BYTES, stored_content
from .tables import ModelUsage
from .upkeep import ALL, AnswerSums, AnswerTimes, Deleted, Limits, StoredAnswer

_SCANNED_BY_UPKEEP = 1000
"""Keys that one SCAN looks at. Redis serves nobody else meanwhile: less than 1 ms."""

_KEYS_AT_ONCE = 256
"""Keys of one script."""

_VALUES_AT_ONCE = 32
"""Answers of one MGET, since media may have 64 MB each."""

_look = Script(
    """
    local found = {}
    for i, key in ipairs(KEYS) do
        found[2 * i - 1] = redis.call('GETRANGE', key, 0, 7)
        found[2 * i] = redis.call('STRLEN', key)
    end
    return found
    """
)

# Only where the answer is still the one that was looked at.
_delete = Script(
    """
    local count = 0
    for i, key in ipairs(KEYS) do
        if redis.call('GETRANGE', key, 0, 7) == ARGV[i] then
            count = count + redis.call('DEL', key)
        end
    end
    return count
    """
)


class RedisUpkeep:
    """The answers in a Redis (see ``upkeep.Upkeep``). ``open_redis`` makes it.

    Attributes:
        address: Where it is. ``str()`` shows no password.
        info: What INFO says of it; empty where this user may not ask.
        client: Its connection.
    """

    def __init__(self, address: StoreAddress, client: Client, info: dict[str, object]) -> None:
        """Use a connection.

        Args:
            address: Where it leads.
            client: The connection.
            info: What INFO says.
        """
        self.address, self.client, self.info = address, client, info

    @property
    def place(self) -> str:
        """As of ``Upkeep.place``."""
        return str(self.address)

    @property
    def secret(self) -> bytes | None:
        """As of ``Upkeep.secret``: None where Redis is empty."""
        return cast("bytes | None", self.client.get(cast(str, SECRET_KEY)))

    @property
    def now(self) -> float:
        """As of ``Upkeep.now``: Redis' clock."""
        seconds, microseconds = cast("tuple[int, int]", self.client.time())
        return seconds + microseconds / 1e6

    def sums(self, limits: Limits = ALL) -> Iterator[tuple[bytes | None, AnswerSums]]:
        """As of ``Upkeep.sums``: no owner is known.

        Args:
            limits: Which ones.

        Yields:
            None, and the sums of one answer.
        """
        now = self.now
        for _, _, times in self._looked_at():
            if limits.apply_to(times.stored_at, times.expires_at):
                sums = AnswerSums()
                sums.add(times, now)
                yield None, sums

    def delete(self, limits: Limits) -> Iterator[Deleted]:
        """As of ``Upkeep.delete``. What has expired, Redis has deleted itself.

        Args:
            limits: Which ones.

        Yields:
            What each step deleted.
        """
        old = (each for each in self._looked_at() if limits.apply_to(each[2].stored_at, each[2].expires_at))
        while some := list(islice(old, _KEYS_AT_ONCE)):
            found = {key: (head, times.size) for key, head, times in some}
            for keys in by_tag(list(found)):
                heads, sizes = zip(*(found[key] for key in keys), strict=True)
                count = cast(int, _delete(self.client, _names(keys), heads))
                yield Deleted(count, sum(sizes))

    def answers(self) -> Iterator[StoredAnswer | None]:
        """As of ``Upkeep.answers``: checked by their checksums only.

        Yields:
            One after another; None for one that is damaged.
        """
        looked_at = (key for key, _, _ in self._looked_at())
        while some := list(islice(looked_at, _VALUES_AT_ONCE)):
            for keys in by_tag(some):
                values = cast("list[bytes | None]", self.client.mget(_names(keys)))
                for key, value in zip(keys, values, strict=True):
                    if value is not None:  # it has expired meanwhile
                        yield _stored_answer(key, value)

    def usage(self) -> Iterator[ModelUsage]:
        """As of ``Upkeep.usage``. The names of models are keyed hashes.

        Yields:
            A model at a time.
        """
        for name in usage_models(self.client):
            found = usage_of(self.client, name)
            if found is not None:
                yield found

    def profiles(self) -> Iterator[tuple[bytes, bytes]]:
        """As of ``Upkeep.profiles``.

        Yields:
            Key and record.
        """
        before, after = b"{hfapi:route:", b"}:profile"
        scanned = self.client.scan_iter(match=before + b"*" + after, count=_SCANNED_BY_UPKEEP)
        for name in set(cast("Iterator[bytes]", scanned)):
            record = cast("bytes | None", self.client.get(cast(str, name)))
            if record is not None:
                yield bytes.fromhex(name.removeprefix(before).removesuffix(after).decode()), record

    def counts(self, scope: bytes) -> dict[str, int]:
        """As of ``Upkeep.counts``.

        Args:
            scope: Whose.

        Returns:
            Units by period.
        """
        secret = self.secret
        if secret is None:
            return {}
        found = cast("dict[bytes, bytes]", self.client.hgetall(cast(str, quota_key(secret, scope))))
        return {period.decode(): int(used) for period, used in found.items()}

    def _looked_at(self) -> Iterator[tuple[bytes, bytes, AnswerTimes]]:
        """Each key of an answer, once: the key as others know it, the first bytes of its value, and its times."""
        seen: set[bytes] = set()
        found = (key for key in self._keys() if key not in seen)
        while some := list(islice(found, _KEYS_AT_ONCE)):
            unseen = sorted(set(some) - seen)  # a SCAN may name a key twice
            seen.update(unseen)
            for keys in by_tag(unseen):
                looked = cast("list[bytes | int]", _look(self.client, _names(keys), []))
                for key, head, size in zip(keys, looked[::2], looked[1::2], strict=True):
                    if isinstance(head, bytes) and isinstance(size, int) and size >= TIMES.size + MAC_BYTES:
                        stored_at, expires_at = TIMES.unpack(head)
                        yield key, head, AnswerTimes(None, stored_at, expires_at, size - TIMES.size - MAC_BYTES)

    def _keys(self) -> Iterator[bytes]:
        length = len(TAGS[0]) + KEY_BYTES  # keys of queries and of claims are longer
        scanned = self.client.scan_iter(match=b"{hfapi:?}*", count=_SCANNED_BY_UPKEEP)
        for name in cast("Iterator[bytes]", scanned):
            key = name[len(TAGS[0]) :]
            if len(name) == length and TAGS[key[0] >> 4] == name[: len(TAGS[0])]:
                yield key


@contextmanager
def open_redis(address: StoreAddress) -> Iterator[RedisUpkeep]:
    """Connect to a Redis.

    Args:
        address: Where it is, with its password.

    Yields:
        The Redis. The connection is closed at the end of the block.

    Raises:
        InputError: It cannot be reached, lets nobody in, or refuses what is asked of it. No password is in the message.
    """
    password = Secret(address.password.get_secret_value()) if address.password else None
    client: Client | None = None
    try:
        client, info = connect(address)
        yield RedisUpkeep(address, client, info)
    except redis.RedisError as error:
        raise InputError(f"the shared store {address} cannot be used ({reason_of(error, password)})") from None
    finally:
        disconnect(client)


def _names(keys: Sequence[bytes]) -> list[bytes]:
    return [TAGS[key[0] >> 4] + key for key in keys]


def _stored_answer(key: bytes, value: bytes) -> StoredAnswer | None:
    if len(value) < TIMES.size + MAC_BYTES:
        return None
    stored_at, expires_at = TIMES.unpack_from(value)
    data = value[TIMES.size : -MAC_BYTES]
    try:
        return StoredAnswer(key, AnswerTimes(None, stored_at, expires_at, len(data)), *stored_content(key, data))
    except ValueError:
        return None
