"""SQL of claims: which answers are being asked for, so that no other process of the machine asks for them too.

They are in the table ``leases``, which 0.1.0 made. A row has the keys that were claimed at once, or released: a row for
each key would write a page for nearly every one (13 us a key became 0.8, of 256 at once). ``route`` is the query's key,
``places`` how many keys, below zero where they were released, and ``owner`` the token of who claims, a number, and the
keys. Of two rows of one owner the one with the higher number counts. Rows that have ended are deleted by whoever claims
next.

All functions run on the store's thread, in a transaction.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Sequence

from .tables import TOKEN_BYTES, Claimed

_MAX_LEASE_S = 60.0
"""More than any claim lasts. One that would last longer is of a clock that was ahead, and counts as ended."""

_NUMBER = struct.Struct(">Q")
"""The number of a row."""

_HEAD_BYTES = TOKEN_BYTES + _NUMBER.size


def claim(
    connection: sqlite3.Connection,
    query: bytes,
    keys: Sequence[bytes],
    token: bytes,
    number: int,
    lease_s: float,
    now: float,
) -> Claimed:
    """As of ``tables.AnswerTable.claim``.

    Args:
        connection: The store's.
        query: The query's key.
        keys: What is to be claimed.
        token: Of who claims.
        number: Higher than those of the owner's rows so far.
        lease_s: Seconds after which the claims end.
        now: Seconds since 1970.

    Returns:
        Which of the keys others have.
    """
    own_end = token + b"\xff" * (_NUMBER.size + 1)
    others = connection.execute(_OTHERS, (query, token, own_end, now, now + _MAX_LEASE_S)).fetchall()
    held: dict[bytes, set[bytes]] = {}
    for owner, count in sorted(others):
        of_owner = held.setdefault(owner[:TOKEN_BYTES], set())
        of_owner.update(_keys(owner, count)) if count >= 0 else of_owner.difference_update(_keys(owner, count))
    by_others = {key for key in keys if any(key in each for each in held.values())} if held else frozenset[bytes]()
    mine = [key for key in keys if key not in by_others] if by_others else keys
    _insert(connection, query, mine, token, number, len(mine), now + lease_s)
    return Claimed(by_others, is_alone=not held)


def release(
    connection: sqlite3.Connection, query: bytes, keys: Sequence[bytes], token: bytes, number: int, expires_at: float
) -> None:
    """As of ``tables.AnswerTable.release``.

    Args:
        connection: The store's.
        query: The query's key.
        keys: Whose claims are to end.
        token: Of who has claimed them.
        number: As of ``claim``.
        expires_at: When all claims that were made so far have ended, in seconds since 1970.
    """
    _insert(connection, query, keys, token, number, -len(keys), expires_at)


def delete_ended(connection: sqlite3.Connection, now: float) -> None:
    """Delete claims that have ended.

    Args:
        connection: The store's.
        now: Seconds since 1970.
    """
    connection.execute("DELETE FROM leases WHERE expires NOT BETWEEN ? AND ?", (now, now + _MAX_LEASE_S))


def _insert(
    connection: sqlite3.Connection,
    query: bytes,
    keys: Sequence[bytes],
    token: bytes,
    number: int,
    count: int,
    expires_at: float,
) -> None:
    owner = b"".join((token, _NUMBER.pack(number), *keys))
    connection.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?)", (query, owner, count, expires_at))


def _keys(owner: bytes, count: int) -> Sequence[bytes]:
    keys = abs(count)
    return struct.unpack_from(f"{(len(owner) - _HEAD_BYTES) // max(1, keys)}s" * keys, owner, _HEAD_BYTES)


_OTHERS = """
    SELECT owner, places FROM leases WHERE route = ?1 AND owner < ?2 AND expires > ?4 AND expires <= ?5
    UNION ALL SELECT owner, places FROM leases WHERE route = ?1 AND owner > ?3 AND expires > ?4 AND expires <= ?5
"""
"""Without the owner's own rows, which are the most where it is alone."""
