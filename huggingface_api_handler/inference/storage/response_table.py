"""The table of stored answers: appended to as they land, and indexed many at a time.

Keys are hashes, so an index that took each answer as it lands would write a page of its own for nearly every one,
which costs more than all the rest of storing it. Answers are appended instead, and indexed together, in the order of
their keys: after the query that they landed in, which need not wait for it, and whenever there are many. What another
process left over is indexed before a query looks for the first time.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from itertools import takewhile

LARGEST = 2 * 1024**3
"""Bytes of answers above which the oldest are let go."""

AT_ONCE = 256
"""Answers that one statement stores; others store its half, the half of that, and so on, so that all stay prepared."""

_MOST_UNINDEXED = 131_072  # which take a query that begins some 0.2 s
_EXPIRED_AT_ONCE = 8192
_LET_GO = 0.2
_FREE, _VACUUMED = 0.25, 1000  # share of free pages above which so many are cut off at a time


PendingRows = list[bytearray]
"""Keys and answers in turn, to be stored. Of all binary types sqlite3 looks for no adapter for this one alone."""


def record_query(connection: sqlite3.Connection, query: bytes) -> None:
    """Note that answers to ``query`` may be stored from now on."""
    connection.execute("INSERT OR IGNORE INTO asked VALUES (?)", (query,))


def append(connection: sqlite3.Connection, landed: PendingRows, kept: int, expires: int) -> None:
    """Store answers that landed at ``kept`` until ``expires``, all or none. Times in whole seconds since 1970.

    Outside of a transaction; ``tidy`` is to be called now and then.
    """
    # Few statements of many: each gives the interpreter's lock away, and the event loop's thread is after it too.
    start, at_once, answers = 0, AT_ONCE, len(landed) // 2
    whole = answers in _STATEMENTS
    if not whole:
        connection.execute("BEGIN IMMEDIATE")
    while start < answers:
        while at_once > answers - start:
            at_once //= 2
        some = landed[2 * start : 2 * (start + at_once)]
        connection.execute(_STATEMENTS[at_once], (kept, expires, *some))
        start += at_once
    if not whole:
        connection.execute("COMMIT")


def _insert(answers: int) -> str:
    rows = "(?3, ?1, ?2, ?4)" + ", (?, ?1, ?2, ?)" * (answers - 1)
    return f"INSERT INTO answers(key, kept, expires, answer) VALUES {rows}"  # noqa: S608


_STATEMENTS = {1 << power: _insert(1 << power) for power in range(AT_ONCE.bit_length())}


def vacuum(connection: sqlite3.Connection, query: bytes) -> None:
    """Index what landed where it is much, and let go of what has expired or is too much."""
    record_query(connection, query)  # again: the file may be another by now
    if _last(connection) - _indexed(connection) >= _MOST_UNINDEXED:
        index(connection)
    _let_go_of_expired(connection)
    _keep_within(connection, LARGEST)


def open_query(connection: sqlite3.Connection, query: bytes) -> bool:
    """Whether ``query`` was asked before, so that ``select`` may find something. It finds what had landed by now."""
    asked = connection.execute("SELECT 1 FROM asked WHERE query = ?", (query,)).fetchone() is not None
    if asked:
        index(connection)
    return asked


def select(connection: sqlite3.Connection, keys: Sequence[bytes], since: int) -> list[tuple[bytes, bytes]]:
    """Keys and answers of those among ``keys``, all of one length, that were kept at ``since`` or later."""
    if not keys:
        return []
    return connection.execute(_SELECT, (bytearray(b"".join(keys)), len(keys[0]), since)).fetchall()


# All keys are one parameter: one for each takes twice as long, and holds the interpreter's lock for it.
_SELECT = """
    WITH RECURSIVE sought(start) AS (
        VALUES (1) UNION ALL SELECT start + ?2 FROM sought WHERE start + ?2 < length(?1)
    )
    SELECT answers.key, answer FROM sought
    CROSS JOIN answers_by_key AS place ON place.key = substr(?1, start, ?2)
    JOIN answers ON answers.id = place.id AND answers.key = place.key
    WHERE kept >= ?3
"""


def index(connection: sqlite3.Connection) -> None:
    """Have ``select`` find what landed since this, or ``begin``, was last called."""
    connection.execute(
        "INSERT OR REPLACE INTO answers_by_key SELECT key, id FROM answers WHERE id > ? ORDER BY key, id",
        (_indexed(connection),),
    )
    _note_indexed(connection, _last(connection))


def _indexed(connection: sqlite3.Connection) -> int:
    """The ``id`` up to which answers are indexed."""
    row = connection.execute("SELECT value FROM meta WHERE name = 'indexed'").fetchone()
    return int(row[0]) if row else 0


def _note_indexed(connection: sqlite3.Connection, last: int) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('indexed', ?)", (last,))


def _last(connection: sqlite3.Connection) -> int:
    return connection.execute("SELECT max(id) FROM answers").fetchone()[0] or 0


def _let_go_of_expired(connection: sqlite3.Connection) -> None:
    """Let go of some that expired, in the order they came: the first that has not hides those behind it."""
    oldest = connection.execute("SELECT id, expires FROM answers ORDER BY id LIMIT ?", (_EXPIRED_AT_ONCE,))
    now = int(time.time())
    expired = [number for number, _ in takewhile(lambda row: row[1] < now, oldest)]
    oldest.close()
    if expired:
        _let_go(connection, expired[-1])


def _keep_within(connection: sqlite3.Connection, largest: int) -> None:
    """Over ``largest`` bytes let go of the oldest fifth, until they fit, and give free pages back to the disk."""
    pages, free, size = _pages(connection)
    while (pages - free) * size > largest:
        first, last = connection.execute("SELECT min(id), max(id) FROM answers").fetchone()
        if first is None:
            break
        _let_go(connection, first + int((last - first) * _LET_GO))
        pages, free, size = _pages(connection)
    if free > max(_VACUUMED, pages * _FREE):
        connection.execute(f"PRAGMA incremental_vacuum({_VACUUMED})").fetchall()


def _let_go(connection: sqlite3.Connection, last: int) -> None:
    connection.execute(
        "DELETE FROM answers_by_key WHERE key IN (SELECT key FROM answers WHERE id <= ?) AND id <= ?", (last, last)
    )
    connection.execute("DELETE FROM answers WHERE id <= ?", (last,))
    # Where none is left the numbers begin again, and what is said to be indexed must not be ahead of them.
    _note_indexed(connection, min(_indexed(connection), _last(connection)))


def _pages(connection: sqlite3.Connection) -> tuple[int, int, int]:
    """Pages of the file, those of them that are free, and the bytes of one."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return pages, free, size
