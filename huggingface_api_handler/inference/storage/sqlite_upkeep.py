"""The upkeep of the store's file: a look at it, and answers deleted or read, beside queries that run.

It opens the file by itself, for the one process of a command. So call it in no process that has a ``sqlite.Store`` of
the file: closing any descriptor of a file gives up all locks that the process has on it.
"""

from __future__ import annotations

import math
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hmac import compare_digest
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import InputError
from . import response_table
from .connection import OpenedStore, OurFileIsDamagedError, connect
from .response_cache import stored_content
from .schema import ForeignFileError
from .secret import SECRET_BYTES, Seal
from .sqlite import FILE_NAME, store_folder
from .sqlite_tables import usage_models, usage_of
from .tables import ModelUsage
from .trusted_file import UntrustedFileError
from .upkeep import ALL, AnswerSums, AnswerTimes, Deleted, Limits, StoredAnswer

_UPKEEP_BUSY_TIMEOUT_S = 10.0
"""How long to wait for a lock of a query. Queries hold it for much less."""

_LOOKED_AT_ONCE = 10_000
"""Rows of one look. Their answers are not read."""

_DELETED_AT_ONCE = 500
"""Rows that one transaction looks at, and deletes where they are old: some 10 ms, for which queries wait."""

_READ_AT_ONCE = 64
"""Answers of one read. Media may have 64 MB each, and so many are seldom that large."""


_LAST_OF_PART = "SELECT max(id) FROM (SELECT id FROM answers WHERE id > ? ORDER BY id LIMIT ?)"
_SUMS = """
    SELECT owner, count(*), sum(length(answer)), min(kept), max(kept), sum(expires < ?5) FROM answers
    WHERE id > ?1 AND id <= ?2 AND (kept < ?3 OR expires < ?4) GROUP BY owner
"""


class FileSize(NamedTuple):
    """Sizes in bytes: of the ``file``, and what of it is ``free`` for new answers."""

    file: int
    free: int


class SqliteUpkeep:
    """The answers in the store's file (see ``upkeep.Upkeep``). ``open_file`` makes it.

    Attributes:
        path: The file.
        connection: SQLite's.
        secret: Of the store.
        is_read_only: Whether the file can only be read.
    """

    def __init__(self, path: Path, opened: OpenedStore) -> None:
        """Use an open file.

        Args:
            path: The file.
            opened: What ``connect`` gave.
        """
        self.path, self.connection, self.secret = path, opened.connection, opened.secret
        self.is_read_only = opened.is_read_only
        self._took_s = 0.0

    @property
    def place(self) -> str:
        """As of ``Upkeep.place``: the path."""
        return str(self.path)

    @property
    def now(self) -> float:
        """As of ``Upkeep.now``: this machine's clock."""
        return time.time()

    def size(self) -> FileSize:
        """Measure the file.

        Returns:
            Its size, and what of it is free.
        """
        pages = response_table.count_pages(self.connection)
        return FileSize(pages.total * pages.size, pages.free * pages.size)

    def sums(self, limits: Limits = ALL) -> Iterator[tuple[bytes | None, AnswerSums]]:
        """As of ``Upkeep.sums``.

        Args:
            limits: Which ones.

        Yields:
            An owner, and the sums of some of its answers.
        """
        before, expired = (-math.inf if limit is None else limit for limit in limits)
        last_id: int | None = 0
        now = self.now
        while last_id is not None:
            first_id = last_id
            (last_id,) = self.connection.execute(_LAST_OF_PART, (first_id, _LOOKED_AT_ONCE)).fetchone()
            part = (first_id, last_id or first_id, before, expired, now)
            for owner, *counts in self.connection.execute(_SUMS, part).fetchall():
                yield owner, AnswerSums(*counts)

    def delete(self, limits: Limits) -> Iterator[Deleted]:
        """As of ``Upkeep.delete``.

        Args:
            limits: Which ones.

        Yields:
            What each step deleted.

        Raises:
            InputError: The file can only be read.
        """
        if self.is_read_only:
            raise InputError(f"{self.path} can only be read, so nothing can be deleted from it")
        last_id: int | None = 0
        while last_id is not None:
            last_id, deleted = self._delete_after(last_id, limits)
            if deleted.answers:
                yield deleted
                time.sleep(self._took_s)  # who waits for the lock looks for it now and then, and must find it free

    def give_back(self) -> int:
        """Give free pages of the file back to the disk, as far as its format allows that.

        Returns:
            Bytes by which the file became smaller.
        """
        before = self.size().file
        has_more = True
        while has_more:
            began = time.monotonic()
            has_more = response_table.give_back_pages(self.connection)
            time.sleep(time.monotonic() - began)
        return before - self.size().file

    def answers(self) -> Iterator[StoredAnswer | None]:
        """As of ``Upkeep.answers``.

        Yields:
            One after another; None for one that is not believed.
        """
        seal = Seal(self.secret)
        # As bytes: somebody else may have put texts there that are none.
        columns = "id, CAST(key AS BLOB), owner, kept, expires, CAST(answer AS BLOB), CAST(mac AS BLOB)"
        for rows in self._in_parts(columns, _READ_AT_ONCE):
            for _, key, owner, stored_at, expires_at, answer, mac in rows:
                expected = seal.mac(key, stored_at, expires_at, owner, answer)
                if not isinstance(mac, bytes) or not compare_digest(mac, expected or b""):
                    yield None
                    continue
                times = AnswerTimes(owner, stored_at, expires_at, len(answer))
                try:
                    yield StoredAnswer(key, times, *stored_content(key, answer))
                except ValueError:
                    yield None

    def usage(self) -> Iterator[ModelUsage]:
        """As of ``Upkeep.usage``.

        Yields:
            A model at a time.
        """
        for model in usage_models(self.connection):
            found = usage_of(self.connection, model)
            if found is not None:
                yield found

    def profiles(self) -> Iterator[tuple[bytes, bytes]]:
        """As of ``Upkeep.profiles``.

        Yields:
            Key and record.
        """
        yield from self.connection.execute("SELECT route, learned FROM routes WHERE learned IS NOT NULL").fetchall()

    def counts(self, scope: bytes) -> dict[str, int]:
        """As of ``Upkeep.counts``.

        Args:
            scope: Whose.

        Returns:
            Units by period.
        """
        counts = self.connection.execute("SELECT period, used FROM quotas WHERE scope = ?", (scope,))
        return dict(counts.fetchall())

    def _in_parts(self, columns: str, count: int) -> Iterator[list[tuple[Any, ...]]]:
        """Rows by their id, which comes first, each part read by itself so that writers need not wait for all."""
        last_id = 0
        statement = f"SELECT {columns} FROM answers WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608 -- columns of ours
        while rows := self.connection.execute(statement, (last_id, count)).fetchall():
            yield rows
            last_id = rows[-1][0]

    def _delete_after(self, last_id: int, limits: Limits) -> tuple[int | None, Deleted]:
        connection = self.connection
        connection.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        try:
            rows = connection.execute(
                "SELECT id, kept, expires, length(answer) FROM answers WHERE id > ? ORDER BY id LIMIT ?",
                (last_id, _DELETED_AT_ONCE),
            ).fetchall()
            old = {row_id: size for row_id, stored_at, expires, size in rows if limits.apply_to(stored_at, expires)}
            if old:
                response_table.delete_rows(connection, list(old))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self._took_s = time.monotonic() - began
        return rows[-1][0] if rows else None, Deleted(len(old), sum(old.values()))


@contextmanager
def open_file(folder: str | None) -> Iterator[SqliteUpkeep]:
    """Open the store's file, where there is one. It is not begun anew, and a damaged one is left where it is.

    Args:
        folder: The engine's ``cache_dir``; None for the usual place.

    Yields:
        The file, closed at the end of the block.

    Raises:
        InputError: There is no store, or it cannot be used. The message says why.
    """
    path = store_folder(folder) / FILE_NAME
    if not path.exists():
        raise InputError(
            f"there is no answer store {path}: nothing was stored there yet, or it is in another cache_dir"
        )
    try:
        opened = connect(path, secrets.token_bytes(SECRET_BYTES), _UPKEEP_BUSY_TIMEOUT_S, is_secret_of_store=False)
    except OurFileIsDamagedError as error:
        raise InputError(
            f"the answer store {path} is damaged ({error}). The next query sets it aside and begins a new one"
        ) from None
    except (sqlite3.Error, OSError, ForeignFileError, UntrustedFileError) as error:
        raise InputError(f"the answer store {path} cannot be used ({error})") from None
    try:
        yield SqliteUpkeep(path, opened)
    except sqlite3.Error as error:
        raise InputError(f"the answer store {path} cannot be used ({error})") from None
    finally:
        opened.connection.close()
