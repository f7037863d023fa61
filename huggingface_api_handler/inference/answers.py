"""Answers already paid for: what a row is stored under, looking it up, and keeping it as it lands."""

from __future__ import annotations

import asyncio
import hmac
import sqlite3
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from hashlib import sha256
from typing import Any
from weakref import WeakKeyDictionary

import orjson

from ..settings import ModelSettings
from ..tasks import Media
from .store import LARGEST, Store

PREPROCESSING = 1
"""Version of how cells become what is sent. One more whenever the same cell is sent otherwise."""

_SENT = ("task", "model", "parameters", "system_prompt", "output_schema", "mask_token", "provider")
_KEY_BYTES = 16
_AT_ONCE = 500
_FLUSH_AT, _FLUSH_SECONDS, _LOOK_SECONDS = 256, 0.01, 0.002
MOST_UNWRITTEN = 512
"""Answers that have landed and are not yet written, above which nothing more is asked: the most that a kill loses."""

_LET_GO = 0.2
_FREE, _VACUUMED = 0.25, 1000  # share of free pages above which so many are cut off at a time
_WEEDED_EVERY = 3600.0

_weeded: WeakKeyDictionary[Store, float] = WeakKeyDictionary()


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
        self._flushed: dict[Future[None], int] = {}
        self._catching_up = asyncio.Lock()
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
            self._known = await asyncio.wrap_future(self._store.run(self._was_asked, True))
        if not self._known:  # the first query of its kind, so nothing of it is stored
            return {}
        nothing: list[tuple[bytes, bytes]] = []
        found = await asyncio.wrap_future(self._store.run(lambda connection: self._select(connection, keys), nothing))
        stored = {}
        for key, kept in found:
            with suppress(ValueError, TypeError):  # damaged: it is asked again
                stored[key] = _from_bytes(key, kept)
        return stored

    def keep(self, key: bytes, answer: Any) -> None:
        """Store an answer, with others that land in the next few milliseconds, off this loop."""
        now = time.time()
        try:
            kept = _to_bytes(key, answer)
        except TypeError:  # a provider's helper may read what is no JSON
            return
        self._landed.append((key, kept, int(now), int(now + self._ttl)))
        if len(self._landed) >= _FLUSH_AT:
            self._flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self._due)

    @property
    def behind(self) -> bool:
        """Whether more answers wait to be written than should be held in memory."""
        return len(self._landed) + sum(list(self._flushed.values())) > MOST_UNWRITTEN

    async def caught_up(self) -> None:
        """Wait until answers are no longer ``behind``."""
        async with self._catching_up:  # one looks, and the others need not wake
            while self.behind:
                self._flush()
                await asyncio.sleep(_LOOK_SECONDS)

    async def settled(self) -> None:
        """Wait until all that was kept is written."""
        self._flush()
        while self._flushed:
            await asyncio.wait([asyncio.wrap_future(future) for future in list(self._flushed)])

    def _due(self) -> None:
        if self._flushed:  # a disk that is slow to write is given more at once
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self._due)
        else:
            self._flush()

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._landed:
            return
        landed, self._landed = self._landed, []
        writing = self._store.run(lambda connection: self._insert(connection, landed), None)
        self._flushed[writing] = len(landed)
        writing.add_done_callback(lambda done: self._flushed.pop(done, None))

    def _was_asked(self, connection: sqlite3.Connection) -> bool:
        query = self._query[:_KEY_BYTES]
        return connection.execute("SELECT 1 FROM asked WHERE query = ?", (query,)).fetchone() is not None

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
        connection.execute("INSERT OR IGNORE INTO asked VALUES (?)", (self._query[:_KEY_BYTES],))
        connection.executemany("INSERT OR REPLACE INTO answers(key, answer, kept, expires) VALUES (?, ?, ?, ?)", landed)
        if time.monotonic() - _weeded.get(self._store, float("-inf")) > _WEEDED_EVERY:
            _weeded[self._store] = time.monotonic()
            connection.execute("DELETE FROM answers WHERE expires < ?", (int(time.time()),))
        _keep_within(connection, LARGEST)


def _keep_within(connection: sqlite3.Connection, largest: int) -> None:
    """Over ``largest`` bytes let go of the oldest fifth, until they fit, and give free pages back to the disk."""
    pages, free, size = _pages(connection)
    while (pages - free) * size > largest:
        first, last = connection.execute("SELECT min(id), max(id) FROM answers").fetchone()
        if first is None:
            break
        connection.execute("DELETE FROM answers WHERE id <= ?", (first + int((last - first) * _LET_GO),))
        pages, free, size = _pages(connection)
    if free > max(_VACUUMED, pages * _FREE):
        connection.execute(f"PRAGMA incremental_vacuum({_VACUUMED})").fetchall()


def _pages(connection: sqlite3.Connection) -> tuple[int, int, int]:
    """Pages of the file, those of them that are free, and the bytes of one."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return pages, free, size


def _as_sent(item: Any) -> bytes:
    if isinstance(item, str):
        return b"s" + item.encode()
    return b"j" + orjson.dumps(item, option=orjson.OPT_PASSTHROUGH_DATACLASS, default=_content)


def _content(part: Any) -> Any:
    if isinstance(part, Media):
        return {"content": sha256(part.data).hexdigest(), "type": part.content_type}
    if isinstance(part, (frozenset, set)):
        return sorted(part)
    raise TypeError(f"{type(part).__name__} cannot be a part of an input")


_JSON, _MEDIA = b"j", b"m"


def _to_bytes(key: bytes, answer: Any) -> bytes:
    if isinstance(answer, Media):
        kept = _MEDIA + answer.content_type.encode() + b"\0" + answer.data
    else:
        kept = _JSON + orjson.dumps(answer)
    return _checksum(key, kept) + kept


def _from_bytes(key: bytes, stored: bytes) -> Any:
    """What ``_to_bytes`` made of the answer under this key; ValueError where a bit of it is another."""
    checksum, kept = stored[:4], stored[4:]
    if checksum != _checksum(key, kept):
        raise ValueError("a stored answer is damaged")
    if kept[:1] == _MEDIA:
        content_type, _, data = kept[1:].partition(b"\0")
        return Media(data, content_type.decode())
    return orjson.loads(kept[1:])


def _checksum(key: bytes, kept: bytes) -> bytes:
    # SQLite has none for its pages, and a digit that changed would be a wrong row.
    return zlib.crc32(kept, zlib.crc32(key)).to_bytes(4, "big")


class NoAnswers:
    """In place of ``Answers`` where none are kept."""

    behind = False

    async def caught_up(self) -> None:
        pass

    def key(self, item: Any) -> bytes:
        return b""

    async def lookup(self, keys: Sequence[bytes]) -> Mapping[bytes, Any]:
        return {}

    def keep(self, key: bytes, answer: Any) -> None:
        pass

    async def settled(self) -> None:
        pass
