"""SQL of claims: which answers are being asked for, so that no other process of the machine asks for them too.

They are in the table ``leases``, which 0.1.0 made: a row for each claimed key, with the token of who claims as a number
in ``places``, and one for each query that claims, with the token as ``owner``. Rows that have ended are deleted by
whoever claims next. All functions run on the store's thread, in a transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from .tables import Claimed

_MAX_LEASE_S = 60.0
"""More than any claim lasts. One that would last longer is of a clock that was ahead, and counts as ended."""


def claim(
    connection: sqlite3.Connection, query: bytes, keys: Sequence[bytes], token: bytes, lease_s: float, now: float
) -> Claimed:
    """As of ``tables.AnswerTable.claim``.

    Args:
        connection: The store's.
        query: The query's key.
        keys: What is to be claimed.
        token: Of who claims.
        lease_s: Seconds after which the claims end.
        now: Seconds since 1970.

    Returns:
        Which of the keys others have.
    """
    expires_at, latest = now + lease_s, now + _MAX_LEASE_S
    is_alone = connection.execute(_OTHER_QUERY, (query, token, now, latest)).fetchone() is None
    connection.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, 0, ?)", (query, token, expires_at))
    if not keys:
        return Claimed(frozenset(), is_alone)
    place = _as_number(token)
    sought = _joined(keys)
    by_others = {row[0] for row in connection.execute(_BY_OTHERS, (*sought, place, now, latest))}
    if by_others:
        sought = _joined([key for key in keys if key not in by_others])
    connection.execute(_CLAIM, (*sought, place, expires_at))
    return Claimed(by_others, is_alone)


def release(connection: sqlite3.Connection, keys: Sequence[bytes], token: bytes) -> None:
    """As of ``tables.AnswerTable.release``.

    Args:
        connection: The store's.
        keys: Whose claims are to end.
        token: Of who has claimed them.
    """
    connection.execute(_RELEASE, (*_joined(keys), _as_number(token)))


def delete_ended(connection: sqlite3.Connection, now: float) -> None:
    """Delete claims that have ended.

    Args:
        connection: The store's.
        now: Seconds since 1970.
    """
    connection.execute("DELETE FROM leases WHERE expires NOT BETWEEN ? AND ?", (now, now + _MAX_LEASE_S))


def _joined(keys: Sequence[bytes]) -> tuple[bytearray, int]:
    # In their order, so that each page of the table is found once.
    return bytearray(b"".join(sorted(keys))), len(keys[0]) if keys else 1


def _as_number(token: bytes) -> int:
    return int.from_bytes(token, "big", signed=True)


_OTHER_QUERY = """
    SELECT 1 FROM leases WHERE route = ?1 AND owner <> ?2 AND owner <> x'' AND expires > ?3 AND expires <= ?4 LIMIT 1
"""

_SOUGHT = """
    WITH RECURSIVE sought(start) AS (
        SELECT 1 WHERE length(?1) > 0 UNION ALL SELECT start + ?2 FROM sought WHERE start + ?2 < length(?1)
    )
"""
# One parameter for all keys, as of ``response_table``.

_BY_OTHERS = f"""{_SOUGHT}
    SELECT leases.route FROM sought CROSS JOIN leases ON leases.route = substr(?1, start, ?2) AND leases.owner = x''
    WHERE places <> ?3 AND expires > ?4 AND expires <= ?5"""  # noqa: S608

_CLAIM = f"{_SOUGHT} INSERT OR REPLACE INTO leases SELECT substr(?1, start, ?2), x'', ?3, ?4 FROM sought"  # noqa: S608

_RELEASE = f"""{_SOUGHT} DELETE FROM leases
    WHERE (route, owner) IN (SELECT substr(?1, start, ?2), x'' FROM sought) AND places = ?3"""  # noqa: S608
