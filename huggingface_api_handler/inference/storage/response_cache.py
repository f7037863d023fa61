"""Answers already paid for: what a row is stored under, looking it up, and keeping it as it lands."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from hashlib import blake2b, sha256
from typing import Any

import orjson

from ...config.settings import ModelSettings
from ...tasks import Input, Media
from ...tasks.input_types import cells_of
from . import response_table
from .response_table import AT_ONCE, PendingRows
from .sqlite import Store

PREPROCESSING = 1
"""Version of how cells become what is sent. One more whenever the same cell is sent otherwise."""

_SENT = ("task", "model", "parameters", "system_prompt", "output_schema", "mask_token", "provider")
_KEY_BYTES = 16
_WRITE_SECONDS, _MANY = 0.02, AT_ONCE // 4
_TIDY_EVERY = 2048  # answers
MAX_UNWRITTEN = 512
"""Answers that have landed and are not yet written, above which nothing more is asked: the most that a kill loses."""


class ResponseCache:
    """Stored answers of one query: of one scope, route, model, task and set of parameters.

    Belongs to one event loop. ``scope`` says whose answers these are: nobody of another scope finds them.
    """

    def __init__(self, store: Store, scope: str, url: str, model: ModelSettings, ttl: float, *, read: bool) -> None:
        self._store, self._ttl, self._read = store, ttl, read
        sent = {name: getattr(model, name) for name in _SENT}
        query = orjson.dumps([scope, url, sent, PREPROCESSING], option=orjson.OPT_SORT_KEYS, default=str)
        store.opened.result()
        # BLAKE2 with a key is a MAC as it is (RFC 7693 section 2.9).
        secret = blake2b(query, key=store.secret, digest_size=32).digest()
        self._query = secret[:_KEY_BYTES]
        self._keyed = blake2b(key=secret, digest_size=_KEY_BYTES)
        self._landed: PendingRows = []
        self._before = 0
        self._being_written: deque[tuple[Future[None], int]] = deque()
        self._catching_up = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._untidy, self._noted = 0, False
        self._known: bool | None = None

    def key(self, item: Input) -> bytes:
        """What the answer to an input, its media loaded, is stored under."""
        keyed = self._keyed.copy()
        keyed.update(_as_sent(item))
        return keyed.digest()

    @property
    def is_known_empty(self) -> bool:
        """Whether it is known that ``lookup`` finds nothing."""
        return not self._read or self._known is False

    async def lookup(self, keys: Sequence[bytes]) -> dict[bytes, Any]:
        """The stored answers among ``keys``, as a task's ``split`` would give them."""
        if not self._read:
            return {}
        if self._known is None:
            began = self._store.run(lambda connection: response_table.open_query(connection, self._query), True)
            self._known = await asyncio.wrap_future(began)
        if not self._known:  # the first query of its kind, so nothing of it is stored
            return {}
        nothing: list[tuple[bytes, bytes]] = []
        since = int(time.time() - self._ttl)
        found = self._store.run(lambda connection: response_table.select(connection, keys, since), nothing)
        stored = {}
        for key, kept in await asyncio.wrap_future(found):
            with suppress(ValueError, TypeError):  # damaged: it is asked again
                stored[key] = _from_bytes(key, kept)
        return stored

    def put(self, key: bytes, answer: Any) -> None:
        """Store an answer, with others that land soon after, off this loop."""
        try:
            self._landed += bytearray(key), _to_bytes(key, answer)
        except TypeError:  # a provider's helper may read what is no JSON
            return
        if len(self._landed) >= 2 * AT_ONCE:
            self._write(AT_ONCE)
        elif self._timer is None:
            self._set_timer()

    @property
    def is_backlogged(self) -> bool:
        """Whether more answers wait to be written than should be held in memory."""
        writing = self._being_written
        while writing and writing[0][0].done():
            writing.popleft()
        return bool(writing) and len(self._landed) // 2 + sum(count for _, count in writing) > MAX_UNWRITTEN

    async def wait_for_backlog(self) -> None:
        """Wait until answers are no longer ``behind``."""
        async with self._catching_up:  # one looks, and the others need not wake
            while self.is_backlogged:
                await asyncio.wait([asyncio.wrap_future(self._being_written[0][0])])

    async def flush(self) -> None:
        """Wait until all that was kept is written."""
        self._write(len(self._landed) // 2)
        if self._untidy:
            self._tidy()
        # The store does one thing after another, so all of the above is done before this.
        await asyncio.wrap_future(self._store.run_untransacted(lambda _connection: None, None))
        if self._noted:  # nobody waits for this
            self._store.run(response_table.index, None)

    def _set_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_WRITE_SECONDS, self._due)

    def _due(self) -> None:
        self._timer = None
        landed = len(self._landed) // 2
        # While many land a whole statement of them is soon together, and a slow disk is given more at once.
        slow = self._being_written and not self._being_written[-1][0].done()
        if landed - self._before < _MANY and not slow:
            # What one statement takes; the others go with those that land next.
            self._write(1 << landed.bit_length() - 1)
        self._before = len(self._landed) // 2
        if self._landed:
            self._set_timer()

    def _write(self, count: int) -> None:
        """Hand the first ``count`` that landed to the store."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._landed:
            return
        landed, self._landed = self._landed[: 2 * count], self._landed[2 * count :]
        self._before = 0
        if not self._noted:
            self._noted = True
            self._store.run_untransacted(lambda connection: response_table.record_query(connection, self._query), None)
        now = time.time()
        kept, expires = int(now), int(now + self._ttl)
        append = partial(response_table.append, landed=landed, kept=kept, expires=expires)
        self._being_written.append((self._store.run_untransacted(append, None), count))
        self._untidy += count
        if self._untidy >= _TIDY_EVERY:
            self._tidy()

    def _tidy(self) -> None:
        self._untidy = 0
        self._store.run(lambda connection: response_table.vacuum(connection, self._query), None)


def _as_sent(item: Input) -> bytes:
    if isinstance(item, str):
        return b"s" + item.encode()
    return b"j" + orjson.dumps(cells_of(item), option=orjson.OPT_PASSTHROUGH_DATACLASS, default=_content)


def _content(part: object) -> dict[str, str]:
    if isinstance(part, Media):
        return {"content": sha256(part.data).hexdigest(), "type": part.content_type}
    raise TypeError(f"{type(part).__name__} cannot be a part of an input")


_JSON, _MEDIA = b"j", b"m"


def _to_bytes(key: bytes, answer: Any) -> bytearray:
    if isinstance(answer, Media):
        kept = _MEDIA + answer.content_type.encode() + b"\0" + answer.data
    else:
        kept = _JSON + orjson.dumps(answer)
    return bytearray(_checksum(key, kept)) + kept


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


class NoResponseCache:
    """In place of ``Answers`` where none are kept."""

    is_backlogged = False
    is_known_empty = True

    async def wait_for_backlog(self) -> None:
        pass

    def key(self, item: Input) -> bytes:
        return b""

    async def lookup(self, keys: Sequence[bytes]) -> Mapping[bytes, Any]:
        return {}

    def put(self, key: bytes, answer: Any) -> None:
        pass

    async def flush(self) -> None:
        pass
