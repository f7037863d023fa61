"""Answers already paid for: what a row is stored under, looking it up, and keeping it as it lands."""

from __future__ import annotations

import asyncio
import hmac
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from hashlib import sha256
from typing import Any

import orjson

from ..settings import ModelSettings
from ..tasks import Media
from .store import LARGEST, Store

PREPROCESSING = 1
"""Version of how cells become what is sent. One more whenever the same cell is sent otherwise."""

_SENT = ("task", "model", "parameters", "system_prompt", "output_schema", "mask_token", "provider")
_KEY_BYTES = 16
_AT_ONCE = 500
_FLUSH_AT, _FLUSH_SECONDS = 256, 0.05
_WAITING = 5000
_LET_GO = 0.2
_WEEDED_EVERY = 3600.0

_weeded: dict[Store, float] = {}


class Answers:
    """Stored answers of one query: of one scope, route, model, task and set of parameters.

    Belongs to one event loop. ``scope`` says whose answers these are: nobody of another scope finds them.
    """

    def __init__(self, store: Store, scope: str, url: str, model: ModelSettings, ttl: float, *, read: bool) -> None:
        self._store, self._ttl, self._read = store, ttl, read
        sent = {name: getattr(model, name) for name in _SENT}
        query = orjson.dumps([scope, url, sent, PREPROCESSING], option=orjson.OPT_SORT_KEYS, default=str)
        store.opened.result()
        self._query = hmac.digest(store.secret, query, "sha256")
        self._landed: list[tuple[bytes, bytes, int, int]] = []
        self._flushed: set[Future[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._known: bool | None = None

    def key(self, item: Any) -> bytes:
        """What the answer to an input, its media loaded, is stored under."""
        return hmac.digest(self._query, _as_sent(item), "sha256")[:_KEY_BYTES]

    async def lookup(self, keys: Sequence[bytes]) -> dict[bytes, Any]:
        """The stored answers among ``keys``, as a task's ``split`` would give them."""
        if not self._read:
            return {}
        if self._known is None:
            self._known = await asyncio.wrap_future(self._store.run(self._was_asked, False))
        if not self._known:  # the first query of its kind, so nothing of it is stored
            return {}
        nothing: list[tuple[bytes, bytes]] = []
        found = await asyncio.wrap_future(self._store.run(lambda connection: self._select(connection, keys), nothing))
        return {key: _from_bytes(answer) for key, answer in found}

    def keep(self, key: bytes, answer: Any) -> None:
        """Store an answer, with others that land in the next few milliseconds, off this loop."""
        now = time.time()
        self._landed.append((key, _to_bytes(answer), int(now), int(now + self._ttl)))
        if len(self._landed) >= _FLUSH_AT:
            self._flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self._flush)

    @property
    def behind(self) -> bool:
        """Whether more answers wait to be written than should be held in memory."""
        return len(self._flushed) * _FLUSH_AT > _WAITING

    async def settled(self) -> None:
        """Wait until all that was kept is written."""
        self._flush()
        while self._flushed:
            await asyncio.wait([asyncio.wrap_future(future) for future in self._flushed])

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._landed:
            return
        landed, self._landed = self._landed, []
        writing = self._store.run(lambda connection: self._insert(connection, landed), None)
        self._flushed.add(writing)
        writing.add_done_callback(self._flushed.discard)

    def _was_asked(self, connection: sqlite3.Connection) -> bool:
        query = self._query[:_KEY_BYTES]
        return connection.execute("INSERT OR IGNORE INTO asked VALUES (?)", (query,)).rowcount == 0

    def _select(self, connection: sqlite3.Connection, keys: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
        since = int(time.time() - self._ttl)
        found: list[tuple[bytes, bytes]] = []
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            statement = f"SELECT key, answer FROM answers WHERE kept >= ? AND key IN ({marks})"  # noqa: S608
            found += connection.execute(statement, (since, *some))
        return found

    def _insert(self, connection: sqlite3.Connection, landed: Iterable[tuple[bytes, bytes, int, int]]) -> None:
        connection.executemany("INSERT OR REPLACE INTO answers(key, answer, kept, expires) VALUES (?, ?, ?, ?)", landed)
        if time.monotonic() - _weeded.get(self._store, float("-inf")) > _WEEDED_EVERY:
            _weeded[self._store] = time.monotonic()
            _weed(connection, LARGEST)


def _weed(connection: sqlite3.Connection, largest: int) -> None:
    """Let go of answers that have expired, and, over ``largest`` bytes, of the oldest fifth."""
    connection.execute("DELETE FROM answers WHERE expires < ?", (int(time.time()),))
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    if (pages - free) * size > largest:
        first, last = connection.execute("SELECT min(id), max(id) FROM answers").fetchone()
        connection.execute("DELETE FROM answers WHERE id <= ?", (first + (last - first) * _LET_GO,))
    connection.execute("PRAGMA incremental_vacuum(2000)").fetchall()


def _as_sent(item: Any) -> bytes:
    if isinstance(item, str):
        return item.encode()
    return orjson.dumps(item, option=orjson.OPT_PASSTHROUGH_DATACLASS, default=_content)


def _content(part: Any) -> Any:
    if isinstance(part, Media):
        return {"content": sha256(part.data).hexdigest(), "type": part.content_type}
    if isinstance(part, (frozenset, set)):
        return sorted(part)
    raise TypeError(f"{type(part).__name__} cannot be a part of an input")


_JSON, _MEDIA = b"j", b"m"


def _to_bytes(answer: Any) -> bytes:
    if isinstance(answer, Media):
        return _MEDIA + answer.content_type.encode() + b"\0" + answer.data
    return _JSON + orjson.dumps(answer)


def _from_bytes(stored: bytes) -> Any:
    if stored[:1] == _MEDIA:
        content_type, _, data = stored[1:].partition(b"\0")
        return Media(data, content_type.decode())
    return orjson.loads(stored[1:])


class NoAnswers:
    """In place of ``Answers`` where none are kept."""

    behind = False

    def key(self, item: Any) -> bytes:
        return b""

    async def lookup(self, keys: Sequence[bytes]) -> Mapping[bytes, Any]:
        return {}

    def keep(self, key: bytes, answer: Any) -> None:
        pass

    async def settled(self) -> None:
        pass
