"""One SQLite file for everything that outlives a process or is shared by processes.

It holds stored answers, pauses and shared records of routes, profiles, quotas and usage. Each has its table here and
its module elsewhere. Several processes read and write the file, and a kill at any moment leaves it intact. No part of
it is mapped into memory, so a process survives whatever is done to the file. The store never fails a query: a full or
read-only disk, a damaged file or one that others may have written to costs one warning and what would have been saved.
"""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from .connection import SIDE_FILES, OurFileIsDamagedError, connect
from .open_stores import shared_store
from .quota_recovery import QuotaRow, read_quotas, write_quotas
from .schema import ForeignFileError
from .secret import SECRET_BYTES
from .trusted_file import FileId, UntrustedFileError, file_id

logger = logging.getLogger(__name__)

T = TypeVar("T")

FILE_NAME = "answers.sqlite"
"""The store's file, in its folder."""

_BUSY_TIMEOUT_S = 5.0
"""How long to wait for another process's lock. A query that needs the store waits as long, so it is bounded."""

_SHORT_BUSY_TIMEOUT_S = 0.05
"""The same once one wait was in vain, until the lock is gone: a stuck process holds a query up only once."""

_REOPEN_AFTER_S = 60.0
"""When to try again after the file could not be opened. The disk may have room or the mount be writable by then."""

_logged: set[tuple[Path, str]] = set()
"""Reasons for doing without that were logged, so that each is once in a process and folder."""

_READ_ONLY = "is read-only: what it holds is found, and no answer is kept"


class Store:
    """One SQLite file, used by one thread of this process. Everybody else gets there through ``run``.

    Attributes:
        path: The file.
        secret: Key of the hashes that stand for inputs and routes, 32 bytes. It is the folder's own once the file was
            opened, and random before. So what was derived from another secret than this must be neither stored nor
            looked for.
        opened: Done once the file was opened, or could not be. Never holds an exception.
    """

    def __init__(self, folder: Path) -> None:
        """Start the store's thread, which opens the file.

        Args:
            folder: Where ``answers.sqlite`` is. It is created where missing, for its owner alone.
        """
        self.path = folder / FILE_NAME
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="huggingface-api-store")
        self._connection: sqlite3.Connection | None = None
        self._open_failed_at: float | None = None
        self._is_secret_of_store = False
        self._is_read_only = False
        self._file_id: FileId | None = None
        self._recovered_quotas: list[QuotaRow] = []
        self._busy_timeout_s = _BUSY_TIMEOUT_S
        self._connection_lock = threading.Lock()
        self.secret = secrets.token_bytes(SECRET_BYTES)
        self.opened = self._executor.submit(self._open_first)

    def run(self, operation: Callable[[sqlite3.Connection], T], default: T) -> Future[T]:
        """Run ``operation(connection)`` in one transaction on the store's thread.

        Args:
            operation: What to do. Its statements are committed together, or rolled back where it raises.
            default: The result where the store cannot be used.

        Returns:
            A future of the operation's result or of ``default``. It never holds an exception.
        """
        return self.run_untransacted(lambda connection: self._in_transaction(connection, operation), default)

    def run_untransacted(self, operation: Callable[[sqlite3.Connection], T], default: T) -> Future[T]:
        """Run ``operation(connection)`` on the store's thread, each of its statements committed by itself.

        Args:
            operation: What to do. It may open a transaction of its own.
            default: The result where the store cannot be used.

        Returns:
            A future of the operation's result or of ``default``. It never holds an exception.
        """
        try:
            return self._executor.submit(self._run_safely, operation, default)
        except RuntimeError:  # closed, as the process ends
            done: Future[T] = Future()
            done.set_result(default)
            return done

    def wait_until_open(self) -> None:
        """Wait until the file was opened, or could not be. Call it before ``secret`` is read, off event loops."""
        self.opened.result()
        if self._connection is None:  # tried again, where it is time
            self.run_untransacted(lambda _connection: None, None).result()

    @property
    def is_open(self) -> bool:
        """Whether the file is open, so that its folder was found to be this user's alone."""
        return self._connection is not None

    def close(self) -> None:
        """Finish all operations handed over so far, then close the file."""
        self._executor.shutdown(wait=True)
        self._close_connection()

    def suspend(self) -> None:
        """Close the file and keep it closed until ``resume``: SQLite's locks do not survive a fork."""
        self._connection_lock.acquire()
        self._close_connection()

    def resume(self) -> None:
        """End what ``suspend`` began. The next operation opens the file again."""
        self._connection_lock.release()

    def _open_first(self) -> None:
        with self._connection_lock:
            self._open()

    def _run_safely(self, operation: Callable[[sqlite3.Connection], T], default: T) -> T:
        with self._connection_lock:
            for _ in range(2):
                connection = self._open_connection()
                if connection is None:
                    break
                try:
                    result = operation(connection)
                    self._set_busy_timeout(_BUSY_TIMEOUT_S)
                    return result
                except Exception as error:  # damaged records raise anything, and a transaction must not stay open
                    with suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                    self._on_error(error)
                    if self._connection is not None:
                        break
            return default

    def _in_transaction(self, connection: sqlite3.Connection, operation: Callable[[sqlite3.Connection], T]) -> T:
        connection.execute("BEGIN" if self._is_read_only else "BEGIN IMMEDIATE")
        result = operation(connection)
        connection.execute("COMMIT")
        return result

    def _set_busy_timeout(self, seconds: float) -> None:
        if self._connection is not None and seconds != self._busy_timeout_s:
            self._busy_timeout_s = seconds
            self._connection.execute(f"PRAGMA busy_timeout = {seconds * 1000:.0f}")

    def _open_connection(self) -> sqlite3.Connection | None:
        """The connection to the file that is there now, opened where it must be; None where it cannot."""
        if self._connection is not None and self._file_id != file_id(self.path):
            logger.warning("the answer store %s was moved or removed, and is opened anew", self.path)
            self._close_connection()
        if self._connection is None and (
            self._open_failed_at is None or time.monotonic() - self._open_failed_at > _REOPEN_AFTER_S
        ):
            self._open()
        return self._connection

    def _open(self) -> None:
        try:
            before = file_id(self.path)
            try:
                self._connect()
            except OurFileIsDamagedError as error:
                self._quarantine(before, error)
                self._connect()
        except Exception as error:  # a damaged file may raise anything
            self._open_failed_at = time.monotonic()
            self._warn(error)

    def _connect(self) -> None:
        opened = connect(self.path, self.secret, _BUSY_TIMEOUT_S, is_secret_of_store=self._is_secret_of_store)
        self._connection, self._file_id, self.secret, self._is_read_only = opened
        self._is_secret_of_store, self._open_failed_at, self._busy_timeout_s = True, None, _BUSY_TIMEOUT_S
        if self._recovered_quotas and not self._is_read_only:
            write_quotas(self._connection, self._recovered_quotas)
            self._recovered_quotas = []
        if self._is_read_only and self._is_first(_READ_ONLY):
            logger.warning("the answer store %s %s", self.path, _READ_ONLY)

    def _quarantine(self, damaged_id: FileId | None, error: Exception) -> None:
        """Rename a damaged file, so that it can be looked at, unless another process has replaced it already.

        The counts of quotas that can be read go into the new one.
        """
        if file_id(self.path) != damaged_id:
            return
        renamed = f"{self.path}.damaged-{time.strftime('%Y%m%d-%H%M%S')}"
        for suffix in ("", *SIDE_FILES):
            with suppress(FileNotFoundError):
                Path(f"{self.path}{suffix}").rename(f"{renamed}{suffix}")
        self._recovered_quotas = read_quotas(Path(renamed))
        logger.warning("the answer store was damaged (%s) and is set aside as %s; a new one is begun", error, renamed)

    def _on_error(self, error: Exception) -> None:
        """Close the file where it must be opened anew, and say what is the matter."""
        if _is_corruption(error):
            self._close_connection()
            with suppress(OSError):
                self._quarantine(self._file_id, error)
            return
        if "no such table" in str(error):
            logger.warning("the answer store %s was emptied, and is begun anew", self.path)
            self._close_connection()
            return
        if "locked" in str(error):
            self._set_busy_timeout(_SHORT_BUSY_TIMEOUT_S)
        if not self._is_read_only:  # where it is, that was said before
            self._warn(error)

    def _warn(self, error: Exception) -> None:
        is_known = isinstance(error, (sqlite3.Error, OSError, ForeignFileError, UntrustedFileError))
        reason = str(error) if is_known else repr(error)
        if self._is_first(reason):
            logger.warning(
                "the answer store %s cannot be used (%s): answers are not kept, and may be asked for again. "
                "cache_dir in CREATE ML_ENGINE names another folder",
                self.path,
                reason,
            )

    def _is_first(self, reason: str) -> bool:
        is_first = (self.path, reason) not in _logged
        _logged.add((self.path, reason))
        return is_first

    def _close_connection(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None


def _is_corruption(error: Exception) -> bool:
    # SQLITE_CORRUPT and SQLITE_NOTADB come as DatabaseError itself, a full disk or a lock as a class derived from it.
    return type(error) is sqlite3.DatabaseError


def open_store(folder: str | None, holder: object | None = None) -> Store:
    """Open the store in a folder, or return the one that this process has open there.

    Args:
        folder: The folder, ``~`` allowed. None means ``huggingface_api_handler`` in Hugging Face's cache folder
            (``HF_HOME``).
        holder: Who keeps it open until ``open_stores.release_stores``; None for a look.

    Returns:
        The store. It may still be opening its file: call ``store.wait_until_open`` where you need ``store.secret``.
    """
    real = store_folder(folder)
    return shared_store(real, lambda: Store(real), holder)


def store_folder(folder: str | None) -> Path:
    """Where the store of an engine is.

    Args:
        folder: As of ``open_store``.

    Returns:
        The one name of the folder, which need not exist.
    """
    from huggingface_hub import constants

    path = Path(folder) if folder else Path(constants.HF_HOME) / "huggingface_api_handler"
    return Path(os.path.realpath(path.expanduser()))
