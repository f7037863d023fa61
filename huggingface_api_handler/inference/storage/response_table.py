"""SQL of the table ``answers``: append rows as they arrive, index many at a time, delete what expired.

Keys are hashes. An index kept up to date would write one page for nearly every new row, which costs more than all
the rest of storing it. So rows are appended first and indexed later, many together and in the order of their keys:
after the query that stored them, which does not wait for it, and whenever many are unindexed. Rows that another
process left unindexed are indexed when a query begins.

All functions run on the store's thread (see ``sqlite.Store.run``).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence
from hmac import compare_digest
from itertools import takewhile
from typing import NamedTuple

import orjson

from .secret import Seal
from .tables import MAX_APPENDED_ROWS, PendingRows

MAX_STORE_BYTES = 2 * 1024**3
"""Size of the file's used pages above which answers are deleted, the oldest of whoever has most."""

_MAX_UNINDEXED_ROWS = 131_072
"""Rows above which ``vacuum`` indexes. So many take about 0.2 s, and the next query may wait for them."""

_EXPIRY_SCAN_ROWS = 8192
"""Rows that one ``vacuum`` deletes at most because they expired, so that no other operation waits for long."""

_EVICTED_SHARE = 0.2
"""Share of the bytes deleted at once when the file is too large. Large, so that it seldom happens."""

_ROW_OVERHEAD_BYTES = 100
"""What a row takes beside its answer: key, MAC, times and its entry in the index."""

_MAX_FREE_SHARE = 0.25
"""Share of free pages above which the file is made smaller. Below that, new rows will soon fill them."""

_VACUUM_PAGES = 1000
"""Pages given back to the disk at once, 4 MB at SQLite's default page size, so that no other operation waits long."""


class PageCounts(NamedTuple):
    """``total`` pages of the file, how many of them are ``free``, and the ``size`` of one in bytes."""

    total: int
    free: int
    size: int


def record_query(connection: sqlite3.Connection, query: bytes) -> None:
    """Note that answers to a query may be stored from now on.

    Args:
        connection: The store's.
        query: The query's key, see ``ResponseCache``.
    """
    connection.execute("INSERT OR IGNORE INTO asked VALUES (?)", (query,))


def append(connection: sqlite3.Connection, rows: PendingRows, stored_at: int, expires_at: int, seal: Seal) -> None:
    """Store rows, all or none. Call it outside of a transaction, and ``vacuum`` now and then.

    Args:
        connection: The store's.
        rows: Keys and answers in turn.
        stored_at: When the rows arrived, in whole seconds since 1970.
        expires_at: When they may be deleted, in whole seconds since 1970.
        seal: Of their scope, so that ``select`` believes them.
    """
    # Few large statements: each one releases the interpreter's lock, which the event loop's thread then competes for.
    start, batch_rows, total = 0, MAX_APPENDED_ROWS, len(rows) // 2
    is_single_statement = total in _INSERTS
    if not is_single_statement:
        connection.execute("BEGIN IMMEDIATE")
    while start < total:
        while batch_rows > total - start:
            batch_rows //= 2
        batch = rows[2 * start : 2 * (start + batch_rows)]
        sealed = seal.sealed(batch, stored_at, expires_at)
        connection.execute(_INSERTS[batch_rows], (stored_at, expires_at, seal.owner, *sealed))
        start += batch_rows
    if not is_single_statement:
        connection.execute("COMMIT")


def _insert(rows: int) -> str:
    values = "(?4, ?1, ?2, ?3, ?5, ?6)" + ", (?, ?1, ?2, ?3, ?, ?)" * (rows - 1)
    return f"INSERT INTO answers(key, kept, expires, owner, answer, mac) VALUES {values}"  # noqa: S608


_INSERTS = {1 << power: _insert(1 << power) for power in range(MAX_APPENDED_ROWS.bit_length())}


def vacuum(connection: sqlite3.Connection, query: bytes) -> None:
    """Index many new rows, delete some that expired, and delete old ones while the file is too large.

    Args:
        connection: The store's.
        query: The key of the query that stored rows. It is recorded again, since the file may be a new one by now.
    """
    record_query(connection, query)
    if _last_id(connection) - _indexed_id(connection) >= _MAX_UNINDEXED_ROWS:
        index(connection)
    _delete_expired(connection)
    _evict_over(connection, MAX_STORE_BYTES)


def open_query(connection: sqlite3.Connection, query: bytes) -> bool:
    """Look up whether a query was recorded before, and if so make everything stored by now visible to ``select``.

    Args:
        connection: The store's.
        query: The query's key, see ``ResponseCache``.

    Returns:
        False where no answer to this query can be stored, so that ``select`` need not be called.
    """
    is_recorded = connection.execute("SELECT 1 FROM asked WHERE query = ?", (query,)).fetchone() is not None
    if is_recorded:
        index(connection)
    return is_recorded


def select(connection: sqlite3.Connection, keys: Sequence[bytes], since: int, seal: Seal) -> list[tuple[bytes, bytes]]:
    """Find stored answers by key. One without the right MAC is left out: somebody else wrote or changed it.

    Args:
        connection: The store's.
        keys: What to look for. All keys have the same length.
        since: Skip answers stored before this time, in whole seconds since 1970.
        seal: Of any scope.

    Returns:
        A pair (key, answer) for each key found, in no particular order.
    """
    if not keys:
        return []
    rows = connection.execute(_SELECT, (bytearray(b"".join(keys)), len(keys[0]), since)).fetchall()
    return [
        (key, answer)
        for key, stored_at, expires_at, owner, answer, mac in rows
        if isinstance(mac, bytes) and compare_digest(mac, seal.mac(key, stored_at, expires_at, owner, answer) or b"")
    ]


# All keys are one parameter. One parameter for each key takes twice as long and holds the interpreter's lock meanwhile.
_SELECT = """
    WITH RECURSIVE sought(start) AS (
        VALUES (1) UNION ALL SELECT start + ?2 FROM sought WHERE start + ?2 < length(?1)
    )
    SELECT answers.key, kept, expires, owner, answer, mac FROM sought
    CROSS JOIN answers_by_key AS entry ON entry.key = substr(?1, start, ?2)
    JOIN answers ON answers.id = entry.id AND answers.key = entry.key
    WHERE kept >= ?3
"""


def index(connection: sqlite3.Connection) -> None:
    """Make all rows stored so far visible to ``select``.

    Args:
        connection: The store's.
    """
    indexed_id, last_id = _indexed_id(connection), _last_id(connection)
    if indexed_id == last_id:  # nothing is written, as nothing can be where the store is read-only
        return
    connection.execute(
        "INSERT OR REPLACE INTO answers_by_key SELECT key, id FROM answers WHERE id > ? ORDER BY key, id", (indexed_id,)
    )
    _set_indexed_id(connection, last_id)


def _indexed_id(connection: sqlite3.Connection) -> int:
    """The ``id`` up to which rows are indexed."""
    row = connection.execute("SELECT value FROM meta WHERE name = 'indexed'").fetchone()
    return int(row[0]) if row else 0


def _set_indexed_id(connection: sqlite3.Connection, last_id: int) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('indexed', ?)", (last_id,))


def _last_id(connection: sqlite3.Connection) -> int:
    return connection.execute("SELECT max(id) FROM answers").fetchone()[0] or 0


def _delete_expired(connection: sqlite3.Connection) -> None:
    """Delete expired rows from the oldest on, up to the first that has not expired."""
    oldest = connection.execute("SELECT id, expires FROM answers ORDER BY id LIMIT ?", (_EXPIRY_SCAN_ROWS,))
    now = int(time.time())
    expired = [row_id for row_id, _ in takewhile(lambda row: row[1] < now, oldest)]
    oldest.close()
    if expired:
        _delete(connection, "id <= ?1", expired[-1])


def _evict_over(connection: sqlite3.Connection, max_bytes: int) -> None:
    """Delete rows until the used pages fit in ``max_bytes``, and give free pages back to the disk.

    Whoever has most loses the oldest first. Who has no more than an equal share loses nothing.
    """
    pages = count_pages(connection)
    while (pages.total - pages.free) * pages.size > max_bytes:
        last_ids = _evicted(connection)
        if not last_ids:
            break
        for owner, last_id in last_ids.items():
            _delete(connection, "id <= ?1 AND owner IS ?2", last_id, owner)
        pages = count_pages(connection)
    if pages.free > max(_VACUUM_PAGES, pages.total * _MAX_FREE_SHARE):
        connection.execute(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})").fetchall()


def _evicted(connection: sqlite3.Connection) -> dict[bytes | None, int]:
    """The ``id`` up to which each owner loses rows. Answers of 0.1.0, whose owner is not known, have one together."""
    size = f"sum(length(answer) + {_ROW_OVERHEAD_BYTES})"
    used = dict(connection.execute(f"SELECT owner, {size} FROM answers GROUP BY owner"))  # noqa: S608
    share = equal_share(used.values(), int(sum(used.values()) * (1 - _EVICTED_SHARE)))
    surplus = {owner: owned - share for owner, owned in used.items() if owned > share}
    last_ids: dict[bytes | None, int] = {}
    oldest = connection.execute("SELECT id, owner, length(answer) FROM answers ORDER BY id")
    for row_id, owner, answer_bytes in oldest:
        if not surplus:
            break
        if owner in surplus:
            last_ids[owner] = row_id
            surplus[owner] -= answer_bytes + _ROW_OVERHEAD_BYTES
            if surplus[owner] <= 0:
                del surplus[owner]
    oldest.close()
    return last_ids


def equal_share(used: Iterable[int], total: int) -> int:
    """The most that each may keep so that all together keep ``total``, and who has less keeps all.

    Args:
        used: What each has.
        total: What all may keep.

    Returns:
        The share, in the same unit.

    >>> equal_share([10, 20, 90], 80)
    50
    """
    share, remaining = 0, total
    for others, least in sorted(enumerate(sorted(used, reverse=True), 1), reverse=True):
        share = remaining // others
        if least > share:
            return share
        remaining -= least
    return share


def delete_rows(connection: sqlite3.Connection, ids: Sequence[int]) -> None:
    """Delete rows and their places in the index. Call it in a transaction.

    Args:
        connection: The store's.
        ids: Of the rows.
    """
    values = (orjson.dumps(ids).decode(),)
    sought = "SELECT value FROM json_each(?1)"
    keys = f"SELECT key FROM answers WHERE id IN ({sought})"  # noqa: S608
    connection.execute(f"DELETE FROM answers_by_key WHERE key IN ({keys}) AND id IN ({sought})", values)  # noqa: S608
    connection.execute(f"DELETE FROM answers WHERE id IN ({sought})", values)  # noqa: S608
    _lower_indexed_id(connection)


def _delete(connection: sqlite3.Connection, which: str, *values: object) -> None:
    """Delete all rows to which a condition applies, which has ``id <= ?1`` in it, and their places in the index."""
    keys = f"SELECT key FROM answers WHERE {which}"  # noqa: S608
    connection.execute(f"DELETE FROM answers_by_key WHERE key IN ({keys}) AND id <= ?1", values)  # noqa: S608
    connection.execute(f"DELETE FROM answers WHERE {which}", values)  # noqa: S608
    _lower_indexed_id(connection)


def _lower_indexed_id(connection: sqlite3.Connection) -> None:
    """In an empty table ids start again at 1, and the indexed id must not be ahead of them."""
    _set_indexed_id(connection, min(_indexed_id(connection), _last_id(connection)))


def give_back_pages(connection: sqlite3.Connection) -> bool:
    """Give some free pages back to the disk, no more than keep others waiting for a moment.

    Args:
        connection: The store's, outside of a transaction.

    Returns:
        Whether there are more.
    """
    before = count_pages(connection).free
    connection.execute(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})").fetchall()
    return 0 < count_pages(connection).free < before


def count_pages(connection: sqlite3.Connection) -> PageCounts:
    """Count the pages of the store's file.

    Args:
        connection: The store's.

    Returns:
        The counts.
    """
    total, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return PageCounts(total, free, size)
