"""Stored answers in the Redis that several machines share: each is a key that expires by itself.

Many are read with one MGET and stored by one script. The bytes are those of the SQLite file: checksum and answer, with
a MAC over them, which anybody who can write to Redis would need the store's secret for.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from hmac import compare_digest
from typing import TypeVar, cast

from .redis_connection import Client
from .redis_store import RedisStore, Script
from .secret import Seal
from .tables import MAX_APPENDED_ROWS, NOTHING_CLAIMED, Claimed, PendingRows

T = TypeVar("T")

_MAX_SELECTED_KEYS = 2048
"""Keys of one MGET. Redis serves nobody else meanwhile: about 1 ms."""

_MAX_COMMAND_BYTES = 8 * 1024 * 1024
"""Bytes of answers in one script, unless one answer has more."""

TAGS = tuple(b"{hfapi:%x}" % nibble for nibble in range(16))
"""What the key of an answer begins with, by its first four bits: so many parts of a Redis Cluster may have them."""

TIMES = struct.Struct(">II")
"""When an answer was stored, and when it expires, in whole seconds since 1970: what a value begins with."""

MAC_BYTES = 16
"""Length of the MAC behind an answer, as the script ``_append`` has it too."""

# All answers come in one argument: 256 of their own take longer to send than to store.
_append = Script(
    """
    local at = 1
    for i, key in ipairs(KEYS) do
        local past = at + struct.unpack('>I4', ARGV[3], 4 * i - 3) + 16
        redis.call('SET', key, ARGV[2] .. string.sub(ARGV[4], at, past - 1), 'EX', ARGV[1])
        at = past
    end
    """
)

_claim = Script(
    """
    local by_others = {}
    for i, key in ipairs(KEYS) do
        if not redis.call('SET', key, ARGV[1], 'NX', 'PX', ARGV[2]) then
            if redis.call('GET', key) == ARGV[1] then
                redis.call('PEXPIRE', key, ARGV[2])
            else
                table.insert(by_others, i)
            end
        end
    end
    return by_others
    """
)

_release = Script(
    """
    for _, key in ipairs(KEYS) do
        if redis.call('GET', key) == ARGV[1] then
            redis.call('DEL', key)
        end
    end
    """
)


class RedisAnswers:
    """Stored answers (see ``tables.AnswerTable``), each under a key of its own."""

    def __init__(self, store: RedisStore) -> None:
        """Use a store.

        Args:
            store: Where answers are stored.
        """
        self._store = store

    def secret(self) -> bytes:
        """As of ``AnswerTable.secret``."""
        self._store.wait_until_open()
        return self._store.secret

    def open_query(self, seal: Seal, query: bytes) -> Future[bool]:
        """As of ``AnswerTable.open_query``.

        Args:
            seal: Of any scope.
            query: The query's key.

        Returns:
            False where no answer can be stored.
        """
        return self._run(seal, lambda client: bool(client.exists(_query_key(query))), False, away=True)

    def select(self, seal: Seal, keys: Sequence[bytes], max_age_s: float) -> Future[list[tuple[bytes, bytes]]]:
        """As of ``AnswerTable.select``.

        Args:
            seal: Of any scope.
            keys: What to look for.
            max_age_s: Skip answers stored longer ago.

        Returns:
            Pairs of key and answer.
        """
        no_rows: list[tuple[bytes, bytes]] = []
        selecting = partial(self._select, seal=seal, keys=keys, since=int(self._store.now() - max_age_s))
        return self._run(seal, selecting, no_rows, away=no_rows)

    def record_query(self, seal: Seal, query: bytes, ttl_s: float) -> None:
        """As of ``AnswerTable.record_query``.

        Args:
            seal: Of its scope.
            query: The query's key.
            ttl_s: Seconds for which its answers are stored.
        """
        recording = partial(_record_query, query=query, ttl_s=ttl_s)
        self._run(seal, recording, None, away=None)

    def append(self, seal: Seal, rows: PendingRows, ttl_s: float) -> Future[None]:
        """As of ``AnswerTable.append``.

        Args:
            seal: Of their scope.
            rows: Keys and answers in turn.
            ttl_s: Seconds after which Redis deletes them.

        Returns:
            Done once they are written.
        """
        appending = partial(self._append, seal=seal, rows=rows, stored_at=int(self._store.now()), ttl_s=ttl_s)
        return self._run(seal, appending, None, away=None)

    def vacuum(self, seal: Seal, query: bytes, ttl_s: float) -> None:
        """As of ``AnswerTable.vacuum``: the query is recorded again. What expires Redis deletes itself.

        Args:
            seal: Of their scope.
            query: The key of the query that stored rows.
            ttl_s: As of ``record_query``.
        """
        self.record_query(seal, query, ttl_s)

    def flush(self) -> Future[None]:
        """As of ``AnswerTable.flush``.

        Returns:
            Done once all is written.
        """
        return self._store.run(lambda _client: None, None)

    def index(self) -> None:
        """Do nothing: what was appended is visible."""

    def claim(self, seal: Seal, query: bytes, keys: Sequence[bytes], token: bytes, lease_s: float) -> Future[Claimed]:
        """As of ``AnswerTable.claim``.

        Args:
            seal: Of their scope.
            query: Is not needed: to look for answers again costs little here, so nobody asks who else claims.
            keys: Whose answers are to be asked for.
            token: Of who claims.
            lease_s: Seconds after which the claims end.

        Returns:
            Which of them others have.
        """
        lease_ms = max(1, int(lease_s * 1000))

        def claim(client: Client) -> Claimed:
            """Claim, some keys at a time."""
            by_others: set[bytes] = set()
            for some in self._claim_commands(keys):
                numbers = cast("list[int]", _claim(client, list(map(_claim_key, some)), [token, lease_ms]))
                by_others.update(some[number - 1] for number in numbers)
            return Claimed(by_others, is_alone=False)

        return self._run(seal, claim, NOTHING_CLAIMED, away=NOTHING_CLAIMED)

    def release(self, seal: Seal, query: bytes, keys: Sequence[bytes], token: bytes, lease_s: float) -> None:
        """As of ``AnswerTable.release``.

        Args:
            seal: Of their scope.
            query: Is not needed.
            keys: Whose claims are to end.
            token: Of who has claimed them.
            lease_s: Is not needed.
        """

        def release(client: Client) -> None:
            """Release, some keys at a time."""
            for some in self._claim_commands(keys):
                _release(client, list(map(_claim_key, some)), [token])

        self._run(seal, release, None, away=None)

    def _claim_commands(self, keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
        """Keys in parts that one script may have."""
        for part in by_tag(keys) if self._store.is_cluster else [keys]:
            for start in range(0, len(part), MAX_APPENDED_ROWS):
                yield part[start : start + MAX_APPENDED_ROWS]

    def _run(self, seal: Seal, operation: Callable[[Client], T], default: T, *, away: T) -> Future[T]:
        """Run an operation, unless the secret is another one by now: then nobody would find the keys."""
        store = self._store
        return store.run(lambda client: operation(client) if store.secret == seal.secret else default, away)

    def _select(self, client: Client, seal: Seal, keys: Sequence[bytes], since: int) -> list[tuple[bytes, bytes]]:
        found = []
        for part in by_tag(keys) if self._store.is_cluster else [keys]:
            for start in range(0, len(part), _MAX_SELECTED_KEYS):
                some = part[start : start + _MAX_SELECTED_KEYS]
                values = cast("list[bytes | None]", client.mget([TAGS[key[0] >> 4] + key for key in some]))
                for key, value in zip(some, values, strict=True):
                    if value is not None and (answer := _verified(seal, key, value, since)) is not None:
                        found.append((key, answer))
        return found

    def _append(self, client: Client, seal: Seal, rows: PendingRows, stored_at: int, ttl_s: float) -> None:
        expires_at = int(stored_at + ttl_s)
        times, ttl = TIMES.pack(stored_at, expires_at), max(1, int(ttl_s))
        for some in _commands(rows, is_cluster=self._store.is_cluster):
            sealed, answers = seal.sealed(some, stored_at, expires_at), some[1::2]
            keys = [TAGS[key[0] >> 4] + key for key in sealed[::3]]
            del sealed[::3]  # answers and MACs in turn are left
            sizes = struct.pack(f">{len(answers)}I", *map(len, answers))
            _append(client, keys, [ttl, times, sizes, b"".join(sealed)])


def _query_key(query: bytes) -> bytes:
    return b"{hfapi:%x}?" % (query[0] >> 4) + query


def _claim_key(key: bytes) -> bytes:
    return TAGS[key[0] >> 4] + b"!" + key


def _record_query(client: Client, query: bytes, ttl_s: float) -> None:
    client.set(_query_key(query), b"", ex=max(1, int(ttl_s)))


def _verified(seal: Seal, key: bytes, value: bytes, since: int) -> bytes | None:
    """The answer in a value; None where it is too old, or somebody else wrote or changed it."""
    if len(value) < TIMES.size + MAC_BYTES:
        return None
    stored_at, expires_at = TIMES.unpack_from(value)
    answer, mac = value[TIMES.size : -MAC_BYTES], value[-MAC_BYTES:]
    expected = seal.mac(key, stored_at, expires_at, seal.owner, answer)
    return answer if stored_at >= since and compare_digest(mac, expected or b"") else None


def _commands(rows: PendingRows, *, is_cluster: bool) -> Iterator[PendingRows]:
    """Rows in parts that one script may have: not too many, not too large, in a Redis Cluster of one tag."""
    count = len(rows) // 2
    if is_cluster and len({key[0] >> 4 for key in rows[::2]}) > 1:
        answers = {bytes(key): answer for key, answer in zip(rows[::2], rows[1::2], strict=True)}
        for keys in by_tag(list(answers)):
            parts = [part for key in keys for part in (bytearray(key), answers[key])]
            yield from _commands(parts, is_cluster=is_cluster)
    elif count > MAX_APPENDED_ROWS or (count > 1 and sum(map(len, rows)) > _MAX_COMMAND_BYTES):
        middle = (count + 1) // 2 * 2
        yield from _commands(rows[:middle], is_cluster=is_cluster)
        yield from _commands(rows[middle:], is_cluster=is_cluster)
    else:
        yield rows


def by_tag(keys: Sequence[bytes]) -> list[list[bytes]]:
    """Put keys of one tag together, which are in one slot of a Redis Cluster.

    Args:
        keys: Of answers, as ``AnswerTable`` has them.

    Returns:
        Those of each tag.
    """
    groups: dict[int, list[bytes]] = {}
    for key in keys:
        groups.setdefault(key[0] >> 4, []).append(key)
    return list(groups.values())
