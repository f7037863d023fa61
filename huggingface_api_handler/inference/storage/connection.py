"""Opens the store's file: only one that this user alone can have written, and that is a store of this package."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from . import schema
from .schema import HEADER_BYTES, ForeignFileError, Header
from .secret import Seal, read_secret, write_secret
from .trusted_file import (
    FileId,
    refuse_swapped,
    refuse_untrusted_beside,
    trusted_file,
    trusted_folder,
)

SIDE_FILES = ("-journal", "-wal", "-shm")
"""What SQLite puts behind the file's name. The last two are there where 0.1.0 uses, or used, the file."""


class OurFileIsDamagedError(sqlite3.DatabaseError):
    """The file is a store of this package and cannot be read, so it may be set aside."""


class OpenedStore(NamedTuple):
    """An open store.

    Attributes:
        connection: SQLite's.
        file_id: Which file it is.
        secret: Of the folder, 32 bytes.
        is_read_only: Whether it can only be read.
    """

    connection: sqlite3.Connection
    file_id: FileId
    secret: bytes
    is_read_only: bool


def connect(path: Path, secret: bytes, busy_timeout_s: float, *, is_secret_of_store: bool) -> OpenedStore:
    """Open a store, and create what is missing of it, for its owner alone.

    Args:
        path: The file.
        secret: Becomes the store's secret where it has none yet.
        busy_timeout_s: How long to wait for another process's lock.
        is_secret_of_store: Whether ``secret`` was read from this store before, and only its file was removed.

    Returns:
        The open store.

    Raises:
        OurFileIsDamagedError: It is a store of this package and damaged.
        UntrustedFileError: Others may have written to it.
        ForeignFileError: It is no store of this package.
        sqlite3.Error: It cannot be opened.
        OSError: It cannot be opened.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with trusted_folder(path.parent) as folder:
        # Closed before SQLite takes a lock: closing any descriptor of a file gives up all of the process's locks on it.
        with trusted_file(path, folder, create=True) as file:
            header, is_writable = Header(os.pread(file.descriptor, HEADER_BYTES, 0)), file.is_writable
        refuse_untrusted_beside(path, folder, SIDE_FILES)
        place = _Place(path, folder, busy_timeout_s)
        has_secret = read_secret(path, folder) is not None
        try:
            header.refuse_foreign(has_secret=has_secret)
            if not is_writable:
                return _open_for_reading(place, is_wal=header.is_wal)
            if not (header.is_empty or header.is_ours):
                _refuse_other_programs(place, is_wal=header.is_wal, has_secret=has_secret)
            return _open_for_writing(place, secret, is_new=header.is_empty, is_secret_of_store=is_secret_of_store)
        except sqlite3.DatabaseError as error:
            if type(error) is not sqlite3.DatabaseError:
                raise
            if header.is_ours or has_secret:
                raise OurFileIsDamagedError(str(error)) from error
            raise ForeignFileError(f"{error}; it is left as it is. Move it away") from error


class _Place(NamedTuple):
    path: Path
    folder: int
    busy_timeout_s: float


def _open_for_writing(place: _Place, secret: bytes, *, is_new: bool, is_secret_of_store: bool) -> OpenedStore:
    connection, file_id = _new_connection(place, "rw")
    try:
        if is_new:  # it would write to any other
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        _use_rollback_journal(connection)
        connection.execute("BEGIN IMMEDIATE")
        stored_secret = read_secret(place.path, place.folder)
        is_0_1_0 = schema.is_store_of_0_1_0(connection)
        if is_0_1_0:
            secret = schema.secret_of_0_1_0(connection)
            if stored_secret not in (None, secret):
                raise sqlite3.DatabaseError("version 0.1.0 has begun it anew, and its answers cannot be found")
        elif schema.is_without_tables(connection):
            schema.create(connection)
        else:
            schema.refuse_changed(connection)
            if stored_secret is None and not is_secret_of_store:
                raise sqlite3.DatabaseError("its secret is gone")
        if stored_secret is None:
            write_secret(place.path, place.folder, secret)
        connection.execute("COMMIT")
        if is_0_1_0:
            schema.take_over(connection, Seal(secret))
    except BaseException:
        connection.close()
        raise
    return OpenedStore(connection, file_id, stored_secret or secret, is_read_only=False)


def _use_rollback_journal(connection: sqlite3.Connection) -> None:
    """Leave WAL mode, which maps the file ``-shm``: where that is cut, the process ends with SIGBUS.

    Nothing is synchronised, as a SELECT of one row would wait for the disk several times. A process that is killed
    leaves the file intact. Where the machine loses power the file may be damaged, and is then set aside.
    """
    connection.execute("PRAGMA mmap_size = 0")
    try:
        connection.execute("PRAGMA journal_mode = TRUNCATE")
        connection.execute("PRAGMA synchronous = OFF")
    except sqlite3.OperationalError:  # a process of 0.1.0 has it open
        connection.execute("PRAGMA synchronous = NORMAL")


def _open_for_reading(place: _Place, *, is_wal: bool) -> OpenedStore:
    secret = read_secret(place.path, place.folder)
    if secret is None:
        raise ForeignFileError("it cannot be written to, and is no store with its secret beside it")
    connection, file_id = _new_connection(place, _reading_mode(place, is_wal=is_wal))
    try:
        schema.refuse_changed(connection)
    except BaseException:
        connection.close()
        raise
    return OpenedStore(connection, file_id, secret, is_read_only=True)


def _refuse_other_programs(place: _Place, *, is_wal: bool, has_secret: bool) -> None:
    """Look at a file that does not say whose it is, without changing it."""
    connection, _ = _new_connection(place, _reading_mode(place, is_wal=is_wal))
    try:
        connection.execute("BEGIN")  # another process may be creating the store meanwhile: one state of it is looked at
        if not schema.may_become_a_store(connection):
            raise ForeignFileError("another program has made it, and it is left as it is. Move it away")
    except sqlite3.OperationalError:  # what a process that was killed left must be undone first
        if not has_secret:
            raise
    finally:
        connection.close()


def _reading_mode(place: _Place, *, is_wal: bool) -> str:
    # In WAL mode a reader makes files too. Without a log nobody writes, as far as can be known from the file.
    log = place.path.with_name(f"{place.path.name}-wal")
    has_log = log.exists() and log.stat().st_size > 0
    return "ro&immutable=1" if is_wal and not has_log else "ro"


def _new_connection(place: _Place, mode: str) -> tuple[sqlite3.Connection, FileId]:
    uri = f"file:{quote(str(place.path))}?mode={mode}"
    with trusted_file(place.path, place.folder) as file:
        connection = sqlite3.connect(
            uri, uri=True, timeout=place.busy_timeout_s, isolation_level=None, check_same_thread=False
        )
        try:
            refuse_swapped(file)
        except BaseException:
            connection.close()
            raise
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection, file.id
