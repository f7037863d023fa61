"""Stored answers in the Redis that several machines share: each is a key that expires by itself.

Many are read with one MGET and stored by one script. The bytes are those of the SQLite file: checksum and answer, with
a MAC over them, which anybody who can write to Redis would need the store's secret for.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from hmac import compare_digest
from itertools import groupby
from typing import TypeVar, cast

from .redis_store import Client, RedisStore, Script
from .secret import Seal
from .tables import MAX_APPENDED_ROWS, PendingRows

T = TypeVar("T")

_MAX_SELECTED_KEYS = 2048
"""Keys of one MGET. Redis serves nobody else meanwhile: about 1 ms."""

_MAX_COMMAND_BYTES = 8 * 1024 * 1024
"""Bytes of answers in one script, unless one answer has more."""

_TAGS = tuple(b"{hfapi:%x}" % nibble for nibble in range(16))
"""What the key of an answer begins with, by its first four bits: so many parts of a Redis Cluster may have them."""

_TIMES = struct.Struct(">II")
"""When an answer was stored, and when it expires, in whole seconds since 1970, as an answer begins."""

_MAC_BYTES = 16
_HEADER_BYTES = _TIMES.size + _MAC_BYTES

_append = Script(
    """
    for i, key in ipairs(KEYS) do
        redis.call('SET', key, ARGV[i + 1], 'EX', ARGV[1])
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

    def _run(self, seal: Seal, operation: Callable[[Client], T], default: T, *, away: T) -> Future[T]:
        """Run an operation, unless the secret is another one by now: then nobody would find the keys."""
        store = self._store
        return store.run(lambda client: operation(client) if store.secret == seal.secret else default, away)

    def _select(self, client: Client, seal: Seal, keys: Sequence[bytes], since: int) -> list[tuple[bytes, bytes]]:
        found = []
        for part in self._parts(keys, _MAX_SELECTED_KEYS):
            values = cast("list[bytes | None]", client.mget([_TAGS[key[0] >> 4] + key for key in part]))
            for key, value in zip(part, values, strict=True):
                if value is not None and (answer := _opened(seal, key, value, since)) is not None:
                    found.append((key, answer))
        return found

    def _append(self, client: Client, seal: Seal, rows: PendingRows, stored_at: int, ttl_s: float) -> None:
        expires_at = int(stored_at + ttl_s)
        times, ttl = _TIMES.pack(stored_at, expires_at), max(1, int(ttl_s))
        sealed = seal.sealed(rows, stored_at, expires_at)
        values = {
            bytes(key): b"".join((times, mac, answer))
            for key, answer, mac in zip(sealed[::3], sealed[1::3], sealed[2::3], strict=True)
        }
        for part in self._parts(list(values), MAX_APPENDED_ROWS):
            for keys in _within(part, values):
                _append(client, [_TAGS[key[0] >> 4] + key for key in keys], [ttl, *(values[key] for key in keys)])

    def _parts(self, keys: Sequence[bytes], most: int) -> Iterator[Sequence[bytes]]:
        """Keys in parts of one command: in a Redis Cluster those of one tag."""
        groups = [keys]
        if self._store.is_cluster:
            by_tag = sorted(keys, key=_tag)
            groups = [list(group) for _, group in groupby(by_tag, _tag)]
        for group in groups:
            for start in range(0, len(group), most):
                yield group[start : start + most]


def _query_key(query: bytes) -> bytes:
    return b"{hfapi:%x}?" % (query[0] >> 4) + query


def _record_query(client: Client, query: bytes, ttl_s: float) -> None:
    client.set(_query_key(query), b"", ex=max(1, int(ttl_s)))


def _opened(seal: Seal, key: bytes, value: bytes, since: int) -> bytes | None:
    """The answer in a value; None where it is too old, or somebody else wrote or changed it."""
    if len(value) < _HEADER_BYTES:
        return None
    stored_at, expires_at = _TIMES.unpack_from(value)
    answer, mac = value[_HEADER_BYTES:], value[_TIMES.size : _HEADER_BYTES]
    expected = seal.mac(key, stored_at, expires_at, seal.owner, answer)
    return answer if stored_at >= since and compare_digest(mac, expected or b"") else None


def _within(keys: Sequence[bytes], values: Mapping[bytes, bytes]) -> Iterator[Sequence[bytes]]:
    """Keys in parts whose values are no more than a command should have."""
    if len(keys) > 1 and sum(len(values[key]) for key in keys) > _MAX_COMMAND_BYTES:
        middle = len(keys) // 2
        yield from _within(keys[:middle], values)
        yield from _within(keys[middle:], values)
    else:
        yield keys


def _tag(key: bytes) -> int:
    return key[0] >> 4
