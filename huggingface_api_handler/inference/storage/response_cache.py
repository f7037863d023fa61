"""Stored answers of one query: the key of an input, looking answers up, and storing new ones in the background.

An answer is the part of a response that belongs to one input: parsed JSON, or media.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from hashlib import blake2b, sha256

import orjson

from ...config.settings import ModelSettings
from ...pieces import LARGE_BYTES
from ...tasks import Input, Media
from ...tasks.chunking import must_refuse
from ...tasks.input_types import cells_of
from ..transport.large_bodies import off_loop
from .answer_claims import ANSWER_CLAIM_S, AnswerClaims
from .secret import Seal, owner_of
from .tables import MAX_APPENDED_ROWS, AnswerTable, PendingRows

PREPROCESSING_VERSION = 1
"""Part of every key. Raise it when a cell is sent differently than before, so that old answers are not found."""

MAX_UNWRITTEN_ROWS = 512
"""Answers received and not yet written, above which no request is sent. A kill loses no more than these."""

_UNWRITTEN_ROW_BYTES = 128 * 1024
"""So many bytes of a large answer count as a row of ``MAX_UNWRITTEN_ROWS``: 64 MB of them, and one answer more."""

_KEYED_SETTINGS = ("task", "model", "parameters", "system_prompt", "output_schema", "mask_token", "provider")
"""Settings that change what is sent, and so are part of every key."""

_KEYED_WHERE_GIVEN = ("candidate_labels", "question")
"""Settings that change what is sent too, and came later: the keys of models without them must not change."""

_UNCUT = {"long_text": "error"}
"""Part of the key where the server is told not to cut. Without that an answer may be to the beginning of a text."""

KEY_BYTES = 16
"""Length of a key. Two of a billion inputs share one with a probability of about 1e-21."""

_CHECKSUM_BYTES = 4
"""Length of a CRC-32."""

_WRITE_DELAY_S = 0.02
"""How long an answer may wait for others, so that one statement stores them together."""

_HIGH_RATE_ROWS = MAX_APPENDED_ROWS // 4
"""Answers within ``_WRITE_DELAY_S`` from which it is worth waiting for a whole statement of ``MAX_APPENDED_ROWS``."""

_VACUUM_EVERY_ROWS = 2048
"""Rows stored between two calls of ``vacuum``, so that its cost is spread over many."""


class ResponseCache:
    """Stored answers of one query: of one scope, route, model, task and set of parameters.

    Belongs to one event loop.

    Attributes:
        claims: What the query is about to ask. None where its answers are not to be found: equal inputs are asked anew.
    """

    def __init__(
        self, table: AnswerTable, scope: str, url: str, model: ModelSettings, ttl: float, *, read: bool
    ) -> None:
        """Derive the query's key. Waits until the store is open, so call it outside of the event loop.

        Args:
            table: Where answers are stored.
            scope: Who asks. A query of another scope finds none of these answers.
            url: Where requests go.
            model: What is asked.
            ttl: Seconds for which a stored answer may be used.
            read: False to store answers and find none.
        """
        self._table, self._ttl_s, self._read = table, ttl, read
        settings = {name: getattr(model, name) for name in _KEYED_SETTINGS}
        settings.update({name: given for name in _KEYED_WHERE_GIVEN if (given := getattr(model, name)) is not None})
        if model.definition.chunking is not None and must_refuse(model):
            settings.update(_UNCUT)
        query = orjson.dumps([scope, url, settings, PREPROCESSING_VERSION], option=orjson.OPT_SORT_KEYS, default=str)
        table_secret = table.secret()
        self._seal = Seal(table_secret, owner_of(table_secret, scope))
        # BLAKE2 with a key is a MAC as it is (RFC 7693 section 2.9).
        secret = blake2b(query, key=table_secret, digest_size=32).digest()
        self._query_key = secret[:KEY_BYTES]
        self._keyed_hash = blake2b(key=secret, digest_size=KEY_BYTES)
        can_claim = read and ttl >= ANSWER_CLAIM_S
        self.claims = AnswerClaims(table, self._seal, self._query_key) if can_claim else None
        self._pending: PendingRows = []
        self._previous_pending_rows = 0
        self._writes: deque[tuple[Future[None], int]] = deque()
        self._backlog_lock = asyncio.Lock()
        self._write_timer: asyncio.TimerHandle | None = None
        self._rows_since_vacuum = 0
        self._is_query_recorded = False
        self._was_asked_before: bool | None = None

    def key(self, item: Input) -> bytes:
        """Compute the key of the answer to an input.

        Args:
            item: The input as it is sent, its media loaded.

        Returns:
            A keyed hash of 16 bytes, different for each scope, route, model and set of parameters.
        """
        keyed_hash = self._keyed_hash.copy()
        keyed_hash.update(bytes_of(item, _content))
        return keyed_hash.digest()

    def key_of_table(self, digest: bytes) -> bytes:
        """Compute the key of what is stored of a whole table.

        Args:
            digest: Tells tables apart.

        Returns:
            A keyed hash as of ``key``, and none of an input's.
        """
        keyed_hash = self._keyed_hash.copy()
        keyed_hash.update(_TABLE_TAG + digest)
        return keyed_hash.digest()

    @property
    def is_known_empty(self) -> bool:
        """Whether ``lookup`` is certain to find nothing. False until the first ``lookup`` has ended."""
        return not self._read or (self._was_asked_before is False and not (self.claims and self.claims.has_company))

    def look_again(self) -> None:
        """Find from now on what other processes have stored meanwhile, too. It may be called on any thread.

        A query that is alone looks once whether there may be stored answers, as it begins: to look each time would cost
        more than it saves. So call it where the work of another process is taken over.
        """
        self._was_asked_before = None

    async def lookup(self, keys: Sequence[bytes]) -> dict[bytes, object]:
        """Find stored answers.

        Args:
            keys: Keys of inputs, see ``key``.

        Returns:
            The answer for each key that has one, as ``Task.split`` gave it. Damaged answers are left out.
        """
        if not self._read:
            return {}
        was_asked = self._was_asked_before
        if was_asked is None or not (was_asked or self.claims is None or self.claims.is_alone):
            was_asked = await asyncio.wrap_future(self._table.open_query(self._seal, self._query_key))
            self._was_asked_before = was_asked
        if not was_asked:
            return {}
        selecting = self._table.select(self._seal, keys, self._ttl_s)
        answers = {}
        for key, data in await asyncio.wrap_future(selecting):
            with suppress(ValueError, TypeError):  # damaged: it is asked again
                is_large = len(data) > LARGE_BYTES
                answers[key] = await off_loop(_from_bytes, key, data) if is_large else _from_bytes(key, data)
        return answers

    def put(self, key: bytes, answer: object) -> None:
        """Store an answer in the background, together with others that arrive soon after.

        Args:
            key: The key of its input.
            answer: Parsed JSON or media. Anything else is not stored.
        """
        try:
            self._pending += bytearray(key), _to_bytes(key, answer)
        except TypeError:  # a provider's helper may return what is no JSON
            return
        if len(self._pending) >= 2 * MAX_APPENDED_ROWS:
            self._write(MAX_APPENDED_ROWS)
        elif self._write_timer is None:
            self._start_timer()

    async def put_large(self, key: bytes, answer: object) -> None:
        """Store an answer as ``put`` does. A large one is written as bytes on the thread for large bodies.

        Args:
            key: As of ``put``.
            answer: As of ``put``.
        """
        try:
            data = await off_loop(_to_bytes, key, answer)
        except TypeError:
            return
        self._write(len(self._pending) // 2)
        self._pending += bytearray(key), data
        self._write(1, weight=1 + len(data) // _UNWRITTEN_ROW_BYTES)

    @property
    def is_backlogged(self) -> bool:
        """Whether more answers wait to be written than a kill may lose."""
        writes = self._writes
        while writes and writes[0][0].done():
            writes.popleft()
        return bool(writes) and len(self._pending) // 2 + sum(rows for _, rows in writes) > MAX_UNWRITTEN_ROWS

    async def wait_for_backlog(self) -> None:
        """Wait until ``is_backlogged`` is False."""
        async with self._backlog_lock:  # one waiter polls, and the others need not wake
            while self.is_backlogged:
                await asyncio.wait([asyncio.wrap_future(self._writes[0][0])])

    async def flush(self) -> None:
        """Write all answers put so far, and wait until they are written."""
        self._write(len(self._pending) // 2)
        if self._rows_since_vacuum:
            self._vacuum()
        await asyncio.wrap_future(self._table.flush())
        if self._is_query_recorded:
            self._table.index()

    def _start_timer(self) -> None:
        self._write_timer = asyncio.get_running_loop().call_later(_WRITE_DELAY_S, self._on_timer)

    def _on_timer(self) -> None:
        self._write_timer = None
        pending_rows = len(self._pending) // 2
        # At a high rate a whole statement is full soon. While the disk is slow, the next write may be larger.
        is_disk_slow = self._writes and not self._writes[-1][0].done()
        if pending_rows - self._previous_pending_rows < _HIGH_RATE_ROWS and not is_disk_slow:
            # The largest power of two, which is one statement. The others are written with the next answers.
            self._write(1 << pending_rows.bit_length() - 1)
        self._previous_pending_rows = len(self._pending) // 2
        if self._pending:
            self._start_timer()

    def _write(self, count: int, weight: int | None = None) -> None:
        """Hand the first ``count`` pending answers to the store. They count as ``weight`` rows until then."""
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        if not self._pending:
            return
        rows, self._pending = self._pending[: 2 * count], self._pending[2 * count :]
        self._previous_pending_rows = 0
        if not self._is_query_recorded:
            self._is_query_recorded = True
            self._table.record_query(self._seal, self._query_key, self._ttl_s)
        self._writes.append((self._table.append(self._seal, rows, self._ttl_s), weight or count))
        self._rows_since_vacuum += weight or count
        if self._rows_since_vacuum >= _VACUUM_EVERY_ROWS:
            self._vacuum()

    def _vacuum(self) -> None:
        self._rows_since_vacuum = 0
        self._table.vacuum(self._seal, self._query_key, self._ttl_s)


_TABLE_TAG = b"t"
"""First byte of what a table's key is made of. Those of inputs begin with others."""


def bytes_of(item: Input, media: Callable[[object], Mapping[str, str]]) -> bytes:
    """An input as bytes of which a hash is made: equal ones are equal.

    Args:
        item: The input.
        media: What stands for its media. TypeError where it cannot.

    Returns:
        Its bytes, which begin with a tag of their kind.
    """
    if isinstance(item, str):
        return b"s" + item.encode()
    return b"j" + orjson.dumps(cells_of(item), option=orjson.OPT_PASSTHROUGH_DATACLASS, default=media)


def _content(part: object) -> dict[str, str]:
    if isinstance(part, Media):
        return {"content": sha256(part.data).hexdigest(), "type": part.content_type}
    raise TypeError(f"{type(part).__name__} cannot be a part of an input")


_JSON_TAG = b"j"
"""First byte of an answer stored as JSON."""

_MEDIA_TAG = b"m"
"""First byte of an answer stored as media: the content type, a zero byte and the data follow."""


def _to_bytes(key: bytes, answer: object) -> bytearray:
    """Checksum, tag and answer. TypeError where the answer is neither media nor JSON."""
    if isinstance(answer, Media):
        payload = b"%b%b\0%b" % (_MEDIA_TAG, answer.content_type.encode(), answer.data)
    else:
        payload = _JSON_TAG + orjson.dumps(answer)
    return bytearray(_checksum(key, payload)) + payload


def _from_bytes(key: bytes, data: bytes) -> object:
    """The answer that ``_to_bytes`` stored under this key. ValueError where a bit of it has changed."""
    content_type, content = stored_content(key, data)
    return orjson.loads(content) if content_type is None else Media(content, content_type)


def stored_content(key: bytes, data: bytes) -> tuple[str | None, bytes]:
    """Take apart what is stored of an answer.

    Args:
        key: Its key.
        data: As it is in the table.

    Returns:
        The type of media, None for JSON; and the media, or the JSON.

    Raises:
        ValueError: A bit of it has changed.
    """
    checksum, payload = data[:_CHECKSUM_BYTES], data[_CHECKSUM_BYTES:]
    if checksum != _checksum(key, payload):
        raise ValueError("a stored answer is damaged")
    if payload[:1] != _MEDIA_TAG:
        return None, payload[1:]
    content_type, _, media = payload[1:].partition(b"\0")
    return content_type.decode(), media


def _checksum(key: bytes, payload: bytes) -> bytes:
    # SQLite has no checksums for its pages, and a digit that changed would be a wrong prediction.
    return zlib.crc32(payload, zlib.crc32(key)).to_bytes(_CHECKSUM_BYTES, "big")


class NoResponseCache:
    """Takes the place of a ``ResponseCache`` for a query whose answers are not stored."""

    is_backlogged = False
    is_known_empty = True
    claims = None

    async def wait_for_backlog(self) -> None:
        """Return at once."""

    def key(self, item: Input) -> bytes:
        """Return an empty key.

        Args:
            item: Any input.

        Returns:
            The same key for every input, since ``lookup`` finds nothing.
        """
        return b""

    def key_of_table(self, digest: bytes) -> bytes:
        """Return an empty key.

        Args:
            digest: Any digest.

        Returns:
            The same key for every table.
        """
        return b""

    def look_again(self) -> None:
        """Do nothing."""

    async def lookup(self, keys: Sequence[bytes]) -> Mapping[bytes, object]:
        """Find nothing.

        Args:
            keys: Any keys.

        Returns:
            An empty mapping.
        """
        return {}

    def put(self, key: bytes, answer: object) -> None:
        """Store nothing.

        Args:
            key: Any key.
            answer: Any answer.
        """

    async def put_large(self, key: bytes, answer: object) -> None:
        """Store nothing.

        Args:
            key: Any key.
            answer: Any answer.
        """

    async def flush(self) -> None:
        """Return at once."""
