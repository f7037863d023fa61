"""The format of the store's file: its tables, how it is told from other files, and what 0.1.0 left."""

from __future__ import annotations

import logging
import secrets
import sqlite3
from functools import lru_cache

from .secret import SECRET_BYTES, Seal

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 2
"""Version of the file's format, kept in ``PRAGMA user_version``. Raise it when version 2 can no longer use the file."""

APPLICATION_ID = int.from_bytes(b"HFah", "big")
"""Tells the store from other SQLite files, in ``PRAGMA application_id``. Version 0.1.0 set none."""

_SCHEMA_0_1_0 = """
CREATE TABLE meta(name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE answers(id INTEGER PRIMARY KEY, key BLOB NOT NULL, kept INTEGER NOT NULL, expires INTEGER NOT NULL,
                     answer BLOB NOT NULL);
CREATE TABLE answers_by_key(key BLOB PRIMARY KEY, id INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE asked(query BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE routes(route BLOB PRIMARY KEY, resume_at REAL NOT NULL DEFAULT 0, learned BLOB) WITHOUT ROWID;
CREATE TABLE leases(route BLOB, owner BLOB, places INTEGER NOT NULL, expires REAL NOT NULL,
                    PRIMARY KEY(route, owner)) WITHOUT ROWID;
CREATE TABLE quotas(scope BLOB, period TEXT, used INTEGER NOT NULL, PRIMARY KEY(scope, period)) WITHOUT ROWID;
CREATE TABLE receipts(id INTEGER PRIMARY KEY, model TEXT NOT NULL, at REAL NOT NULL, receipt BLOB NOT NULL);
CREATE INDEX receipts_of ON receipts(model, id);
CREATE TABLE totals(model TEXT PRIMARY KEY, receipt BLOB NOT NULL) WITHOUT ROWID;
"""

_ADDED = """
ALTER TABLE answers ADD COLUMN mac BLOB;
ALTER TABLE answers ADD COLUMN owner BLOB;
"""
# Columns at the end: a process of 0.1.0 beside this one names those that it knows, and goes on.

SCHEMA = _SCHEMA_0_1_0 + _ADDED
"""Statements that make an empty file a store, separated by semicolons."""

_TAKEOVER_ROWS = 20_000
"""Answers that get their MAC in one transaction, so that no other process waits for long: 0.2 s."""

_INCREMENTAL = 2
"""What ``PRAGMA auto_vacuum`` says of a store, also of one in which nothing is created yet."""

_MAGIC = b"SQLite format 3\0"
HEADER_BYTES = 100
"""Bytes of a file that SQLite describes it by."""

_JOURNAL_FORMATS = slice(18, 20)
_USER_VERSION = slice(60, 64)
_APPLICATION_ID = slice(68, 72)
_WAL_FORMATS = b"\2\2"


class ForeignFileError(Exception):
    """The file is no store of this package, or not of a version that it knows. It was left as it is."""


class Header:
    """What the first bytes of a file say, before SQLite opens it, which might change it.

    Attributes:
        is_empty: Whether the file is empty.
        is_ours: Whether it says that this package made it.
        is_wal: Whether it is in WAL mode, as 0.1.0 left it.
    """

    def __init__(self, first_bytes: bytes) -> None:
        """Read a header.

        Args:
            first_bytes: Up to 100 of them.
        """
        is_database = len(first_bytes) >= HEADER_BYTES and first_bytes.startswith(_MAGIC)
        self.is_empty = not first_bytes
        self.is_wal = is_database and first_bytes[_JOURNAL_FORMATS] == _WAL_FORMATS
        self._application_id = int.from_bytes(first_bytes[_APPLICATION_ID], "big") if is_database else None
        self._format_version = int.from_bytes(first_bytes[_USER_VERSION], "big")
        self.is_ours = self._application_id == APPLICATION_ID

    def refuse_foreign(self, *, has_secret: bool) -> None:
        """Refuse a file that another program, or a newer version, has made.

        Args:
            has_secret: Whether the secret of a store is beside it: then even a file of garbage was a store.

        Raises:
            ForeignFileError: The file is not ours, or of a newer format.
            sqlite3.DatabaseError: It was ours, and is damaged.
        """
        if self.is_ours and self._format_version > SCHEMA_VERSION:
            raise ForeignFileError(f"it was written by a newer version of this package (format {self._format_version})")
        if self.is_empty or self._application_id in (0, APPLICATION_ID):
            return
        if self._application_id is None and has_secret:
            raise sqlite3.DatabaseError("its first bytes are damaged")
        raise ForeignFileError("another program has made it, and it is left as it is. Move it away")


def is_store_of_0_1_0(connection: sqlite3.Connection) -> bool:
    """Whether a file was made by 0.1.0, or is on its way from there.

    Args:
        connection: The file's, which may be one for reading only.

    Returns:
        True where the version and all that the file defines are those of 0.1.0.
    """
    if (_pragma(connection, "application_id"), _pragma(connection, "user_version")) != (0, SCHEMA_VERSION):
        return False
    return _defined(connection) in _definitions_of_0_1_0()


def may_become_a_store(connection: sqlite3.Connection) -> bool:
    """Whether a file that did not say whose it is may be used: as a store that is begun, or of 0.1.0, or one after all.

    Setting ``auto_vacuum`` writes the first page before anything is created. Another process may see the file then, and
    a kill leaves it so.

    Args:
        connection: The file's, in a transaction, which may be one for reading only.

    Returns:
        True where it may.
    """
    application_id, auto_vacuum = _pragma(connection, "application_id"), _pragma(connection, "auto_vacuum")
    is_begun = (application_id, auto_vacuum) == (0, _INCREMENTAL) and is_without_tables(connection)
    return application_id == APPLICATION_ID or is_begun or is_store_of_0_1_0(connection)


def refuse_changed(connection: sqlite3.Connection) -> None:
    """Refuse a store in which anything is defined that this package did not define: triggers could change what is kept.

    Args:
        connection: The store's.

    Raises:
        ForeignFileError: Version or definitions are not ours.
    """
    identity = _pragma(connection, "application_id"), _pragma(connection, "user_version")
    if identity != (APPLICATION_ID, SCHEMA_VERSION) or _defined(connection) != _definitions(SCHEMA):
        raise ForeignFileError("its tables are not those of this version, and it is left as it is. Move it away")


def defines_quotas(connection: sqlite3.Connection) -> bool:
    """Whether the table ``quotas`` of a damaged store is the one that is defined here, and no view.

    Args:
        connection: The store's.

    Returns:
        True where it is.
    """
    return any(definition[1] == "quotas" for definition in _defined(connection) & _definitions(SCHEMA))


def is_without_tables(connection: sqlite3.Connection) -> bool:
    """Whether nothing is in a file.

    Args:
        connection: The file's.

    Returns:
        True for an empty file.
    """
    return _pragma(connection, "user_version") == 0 and not _defined(connection)


def create(connection: sqlite3.Connection) -> None:
    """Make an empty file a store. Call it in a transaction.

    Args:
        connection: The file's.
    """
    for statement in filter(str.strip, SCHEMA.split(";")):
        connection.execute(statement)
    _finish(connection)


def take_over(connection: sqlite3.Connection, seal: Seal) -> None:
    """Make a store of 0.1.0 one of this version. Call it outside of a transaction; it may be called again if it ended.

    Every answer gets its MAC, since none without is believed afterwards. This takes some 8 s for a million.

    Args:
        connection: The store's.
        seal: Computes the MACs.
    """
    connection.create_function("mac_of", 5, seal.mac, deterministic=True)
    connection.execute("PRAGMA secure_delete = ON")  # the secret leaves the file
    connection.execute("BEGIN IMMEDIATE")
    if not _has_added_columns(connection):
        for statement in filter(str.strip, _ADDED.split(";")):
            connection.execute(statement)
    count = connection.execute("SELECT count(*) FROM answers WHERE mac IS NULL").fetchone()[0]
    connection.execute("COMMIT")
    logger.info("taking over %d answers that version 0.1.0 stored; the first query waits for it", count)
    last_id = 0
    while True:
        connection.execute("BEGIN IMMEDIATE")
        if _pragma(connection, "application_id") == APPLICATION_ID:  # by another process meanwhile
            break
        chunk = "SELECT max(id) FROM (SELECT id FROM answers WHERE id > ? ORDER BY id LIMIT ?)"
        first_id, last_id = last_id, connection.execute(chunk, (last_id, _TAKEOVER_ROWS)).fetchone()[0]
        if last_id is None:
            _finish(connection)
            logger.info("the answers of version 0.1.0 were taken over")
            break
        connection.execute(
            "UPDATE answers SET mac = mac_of(CAST(key AS BLOB), kept, expires, owner, CAST(answer AS BLOB)) "
            "WHERE id > ? AND id <= ? AND mac IS NULL",
            (first_id, last_id),
        )
        connection.execute("COMMIT")
    connection.execute("COMMIT")
    connection.execute("PRAGMA secure_delete = OFF")


def secret_of_0_1_0(connection: sqlite3.Connection) -> bytes:
    """The secret that 0.1.0 kept in the store itself.

    Args:
        connection: The store's.

    Returns:
        32 bytes.

    Raises:
        sqlite3.DatabaseError: There is none.
    """
    row = connection.execute("SELECT value FROM meta WHERE name = 'secret'").fetchone()
    if row is None or not isinstance(row[0], bytes) or len(row[0]) != SECRET_BYTES:
        raise sqlite3.DatabaseError("its secret is gone")
    return row[0]


def _finish(connection: sqlite3.Connection) -> None:
    # 0.1.0 takes a store without a secret in it for damaged, and would set it aside. What it finds here is nobody's.
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('secret', ?)", (secrets.token_bytes(SECRET_BYTES),))
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value


def _has_added_columns(connection: sqlite3.Connection) -> bool:
    return any(name == "mac" for _, name, *_ in connection.execute("PRAGMA table_info(answers)"))


def _defined(connection: sqlite3.Connection) -> frozenset[tuple[str, ...]]:
    """All that a file defines, white space aside."""
    rows = connection.execute("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master")
    return frozenset((*map(str, names), " ".join(str(sql).split())) for *names, sql in rows)


@lru_cache
def _definitions(schema: str) -> frozenset[tuple[str, ...]]:
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript(schema)
        return _defined(connection)
    finally:
        connection.close()


def _definitions_of_0_1_0() -> tuple[frozenset[tuple[str, ...]], ...]:
    return _definitions(_SCHEMA_0_1_0), _definitions(SCHEMA)
