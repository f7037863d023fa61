"""The tables of ``tables`` in the Redis that several machines share.

Counts and usage do not expire, so that no ``volatile`` policy drops them, and are written to a full Redis too: they
are few. Their names are hashes keyed with the store's secret.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from hashlib import blake2b
from typing import TypeVar, cast

from .redis_answers import RedisAnswers
from .redis_connection import Client
from .redis_store import RedisStore, Script
from .tables import DAY_S, MAX_STORED_DAYS, MergeUsage, ModelUsage, Tables, UsageHistory, day_of

T = TypeVar("T")

_NAME_BYTES = 12
"""Length of what stands for a scope or a model in a key."""

_MAX_STORED_QUERIES = 1000
"""Queries of a model whose usage is kept. Older ones are deleted, and stay in the sum."""

_SCANNED_AT_ONCE = 1000
"""Keys that one SCAN looks at. Redis serves nobody else meanwhile: less than 1 ms."""

_MAX_MERGES = 100
"""Times that a sum is made anew because another machine has changed it meanwhile."""

# HDEL comes first, since a full Redis refuses a script whose first write may need memory. Fields of other months are
# those of past ones.
_reserve = Script(
    """
    redis.call('HDEL', KEYS[1], '')
    local used, room = {}, tonumber(ARGV[1])
    for i = 2, #ARGV, 3 do
        local period, limit, last_counts = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
        local count = tonumber(redis.call('HGET', KEYS[1], period))
        if not count then
            count = last_counts
            for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
                if string.find(period, '^%d') and field < string.sub(period, 1, 7) then
                    redis.call('HDEL', KEYS[1], field)
                end
            end
        end
        count = math.max(0, count)
        table.insert(used, count)
        room = math.min(room, limit - count)
    end
    for i, count in ipairs(used) do
        redis.call('HSET', KEYS[1], ARGV[3 * i - 1], count + math.max(0, room))
    end
    return used
    """
)

_add = Script(
    """
    redis.call('HDEL', KEYS[1], '')
    for i = 2, #ARGV do
        if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 1 then
            redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[1])
        end
    end
    """
)

# The sums are put in place only where they are made of those that are there, and a query is not counted again where the
# connection broke under it.
_insert_usage = Script(
    """
    redis.call('LTRIM', KEYS[2], 0, ARGV[4] - 2)
    if redis.call('LPOS', KEYS[2], ARGV[1]) then
        return 1
    end
    local day = redis.call('HGET', KEYS[3], ARGV[5])
    if (redis.call('GET', KEYS[1]) or '') ~= ARGV[2] or (day or '') ~= ARGV[6] then
        return 0
    end
    if not day then
        for _, field in ipairs(redis.call('HKEYS', KEYS[3])) do
            if field < ARGV[8] then
                redis.call('HDEL', KEYS[3], field)
            end
        end
    end
    redis.call('LPUSH', KEYS[2], ARGV[1])
    redis.call('SET', KEYS[1], ARGV[3])
    redis.call('HSET', KEYS[3], ARGV[5], ARGV[7])
    return 1
    """
)

_ENTRY = struct.Struct(">8sd")
"""Of a query's usage in the list: a number that no other has, and when it ended."""


class RedisQuotas:
    """Counted requests (see ``tables.QuotaTable``): a hash of periods for each scope."""

    def __init__(self, store: RedisStore) -> None:
        """Use a store.

        Args:
            store: Where requests are counted.
        """
        self._store = store

    def now(self) -> float:
        """Redis' clock, which is one for all machines."""
        return self._store.now()

    def reserve(
        self, scope: bytes, size: int, limits: Mapping[str, int], last_counts: Mapping[str, int]
    ) -> Future[dict[str, int] | None]:
        """As of ``QuotaTable.reserve``.

        Args:
            scope: Whose requests they are.
            size: Requests wanted.
            limits: The limit of each period.
            last_counts: How many are used in each period, where Redis was emptied.

        Returns:
            Requests used before by period.
        """
        arguments = [value for period, limit in limits.items() for value in (period, limit, last_counts.get(period, 0))]

        def reserve(client: Client) -> dict[str, int] | None:
            """Count requests as used."""
            used = _reserve(client, [self._key(scope)], [size, *arguments])
            return dict(zip(limits, used, strict=True))

        return self._store.run(reserve, None)

    def add(self, scope: bytes, periods: Sequence[str], count: int) -> Future[None]:
        """As of ``QuotaTable.add``.

        Args:
            scope: Whose requests they are.
            periods: The keys of the periods.
            count: How many.

        Returns:
            Done once they are counted.
        """
        return self._store.run(lambda client: _add(client, [self._key(scope)], [count, *periods]), None)

    def _key(self, scope: bytes) -> bytes:
        return quota_key(self._store.secret, scope)


class RedisUsage:
    """Usage of queries (see ``tables.UsageTable``): a sum, a list and a hash of days for each model."""

    def __init__(self, store: RedisStore) -> None:
        """Use a store.

        Args:
            store: Where usage is stored.
        """
        self._store = store

    def insert(self, model: str, record: bytes, merge: MergeUsage) -> None:
        """As of ``UsageTable.insert``.

        Args:
            model: Whose query it was.
            record: The usage.
            merge: Makes the new sum.
        """
        now = self._store.now()
        entry = _ENTRY.pack(secrets.token_bytes(8), now) + record
        day, oldest = day_of(now), day_of(now - MAX_STORED_DAYS * DAY_S)

        def insert(client: Client) -> None:
            """Put the usage in its place and in the sums."""
            keys = self._keys(model)
            for _ in range(_MAX_MERGES):
                total = cast("bytes | None", client.get(keys[0]))
                of_day = cast("bytes | None", client.hget(cast(str, keys[2]), day))
                sums = (entry, total or b"", merge(total), _MAX_STORED_QUERIES)
                if _insert_usage(client, keys, [*sums, day, of_day or b"", merge(of_day), oldest]):
                    return

        self._store.run(insert, None)

    def select(self, model: str, recent: int) -> UsageHistory:
        """As of ``UsageTable.select``.

        Args:
            model: Whose queries.
            recent: Queries to read.

        Returns:
            What is stored.
        """

        def select(client: Client) -> UsageHistory:
            """The sum, and the newest queries."""
            total, newest, _ = self._keys(model)
            return UsageHistory(cast("bytes | None", client.get(total)), _newest(client, newest, recent))

        return self._store.run(select, UsageHistory(None, [])).result()

    def _keys(self, model: str) -> list[bytes]:
        return _usage_keys(_name(self._store.secret, model.encode()))


def redis_tables(store: RedisStore) -> Tables:
    """All tables of a store.

    Args:
        store: The Redis.

    Returns:
        The tables.
    """
    return Tables(RedisAnswers(store), RedisQuotas(store), RedisUsage(store))


def quota_key(secret: bytes, scope: bytes) -> bytes:
    """The key under which a scope's requests are counted.

    Args:
        secret: The store's.
        scope: As of ``QuotaTable.reserve``.

    Returns:
        The key of a hash of periods.
    """
    return b"{hfapi:quota:%b}" % _name(secret, scope)


def _name(secret: bytes, text: bytes) -> bytes:
    return blake2b(text, key=secret, digest_size=_NAME_BYTES).hexdigest().encode()


def _usage_keys(name: bytes) -> list[bytes]:
    """Of the sum, the list of queries and the days of a model."""
    tag = b"{hfapi:usage:%b}" % name
    return [tag + b"total", tag + b"queries", tag + b"days"]


def _newest(client: Client, key: bytes, count: int) -> list[tuple[float, bytes]]:
    entries = cast("list[bytes]", client.lrange(cast(str, key), 0, count - 1)) if count else []
    return [(_ENTRY.unpack_from(entry)[1], entry[_ENTRY.size :]) for entry in entries]


def usage_models(client: Client) -> list[bytes]:
    """List the models of which usage is stored.

    Args:
        client: Of the Redis.

    Returns:
        Keyed hashes of their names, in hexadecimal.
    """
    before, after = b"{hfapi:usage:", b"}total"
    found = client.scan_iter(match=before + b"*" + after, count=_SCANNED_AT_ONCE)
    return sorted({key.removeprefix(before).removesuffix(after) for key in cast("Iterator[bytes]", found)})


def usage_of(client: Client, name: bytes) -> ModelUsage | None:
    """Read all that is stored of the usage of a model.

    Args:
        client: Of the Redis.
        name: Of ``usage_models``.

    Returns:
        The records; None where there are none.
    """
    total, queries, days = _usage_keys(name)
    record = cast("bytes | None", client.get(total))
    if record is None:  # somebody has deleted it
        return None
    of_days = cast("dict[bytes, bytes]", client.hgetall(cast(str, days)))
    by_day = {day.decode(errors="replace"): each for day, each in of_days.items()}
    return ModelUsage(name.decode(errors="replace"), record, by_day, _newest(client, queries, _MAX_STORED_QUERIES))
