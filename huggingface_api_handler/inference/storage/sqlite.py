"""One SQLite file for what must outlive a process and be seen by its neighbours.

Answers already paid for, cool-downs and leases, what was learned about routes, quotas, receipts: each has its table
here and its module beside. The file is in WAL mode, so several processes read and write it and a kill at any moment
leaves it whole (https://www.sqlite.org/wal.html). It is never the reason a query fails: a disk that is full or
read-only, a damaged file or one of a newer version costs a warning and what the store would have spared.
"""

from __future__ import annotations

import atexit
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

from huggingface_hub import constants

logger = logging.getLogger(__name__)

T = TypeVar("T")

VERSION = 2

_BUSY_SECONDS = 5.0
"""For which a lock of another process is waited for; once in vain, and only ``_HURRIED_SECONDS`` until it is gone."""
_HURRIED_SECONDS = 0.05
_SOUND_AGAIN_AFTER = 60.0  # a disk may be given room, a mount be made writable
SCHEMA = """
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


class _Unusable(Exception):  # noqa: N818 - read as what is the matter
    """Why a file cannot serve as a store, in words for the log."""


class Store:
    """One file, used by one thread of this process; ``run`` is how everybody else gets there."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "answers.sqlite"
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="huggingface-api-store")
        self._connection: sqlite3.Connection | None = None
        self._failed_at: float | None = None
        self._warned: set[str] = set()
        self._file: tuple[int, int] | None = None
        self._waits = _BUSY_SECONDS
        self._in_use = threading.Lock()
        self.secret = secrets.token_bytes(32)
        """Keys the hashes of inputs and routes: the file's own once ``opened``, and that of the next if it is begun."""
        self.opened = self._thread.submit(self._first)

    def run(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> Future[T]:
        """``work(connection)`` in a transaction on the store's thread; ``otherwise`` where the store cannot do it."""
        return self.run_untransacted(_in_transaction(work), otherwise)

    def run_untransacted(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> Future[T]:
        """``run`` of what needs no transaction: each statement is one by itself."""
        try:
            return self._thread.submit(self._try, work, otherwise)
        except RuntimeError:  # closed, as the process ends
            done: Future[T] = Future()
            done.set_result(otherwise)
            return done

    def close(self) -> None:
        """Finish what was handed over, and close the file."""
        self._thread.shutdown(wait=True)
        self._close()

    def suspend(self) -> None:
        """Close the file and keep it closed until ``go_on``: SQLite's locks do not survive a fork."""
        self._in_use.acquire()
        self._close()

    def resume(self) -> None:
        """End a ``rest``."""
        self._in_use.release()

    def _first(self) -> None:
        with self._in_use:
            self._open()

    def _try(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        with self._in_use:
            for _ in range(2):
                connection = self._usable()
                if connection is None:
                    break
                try:
                    answer = work(connection)
                    self._wait_for_locks(_BUSY_SECONDS)
                    return answer
                except Exception as error:  # damaged records raise anything, and a transaction must not stay open
                    with suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                    self._failed(error)
                    if not _is_damage(error):
                        break
            return otherwise

    def _wait_for_locks(self, seconds: float) -> None:
        if self._connection is not None and seconds != self._waits:
            self._waits = seconds
            self._connection.execute(f"PRAGMA busy_timeout = {seconds * 1000:.0f}")

    def _usable(self) -> sqlite3.Connection | None:
        if self._connection is not None and self._file != _identity(self.path):
            logger.warning("the answer store %s was moved or removed, and is opened anew", self.path)
            self._close()
        if self._connection is None and (
            self._failed_at is None or time.monotonic() - self._failed_at > _SOUND_AGAIN_AFTER
        ):
            self._open()
        return self._connection

    def _open(self) -> None:
        try:
            try:
                self._connect()
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                self._set_aside(self._file, error)
                self._connect()
        except (sqlite3.Error, OSError, _Unusable) as error:
            self._failed(error)

    def _connect(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        self._file, self._waits = _identity(self.path), _BUSY_SECONDS
        connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            _version(connection)  # before anything is changed
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("BEGIN IMMEDIATE")
            if _version(connection) == 0:
                for statement in filter(str.strip, SCHEMA.split(";")):
                    connection.execute(statement)
                connection.execute("INSERT INTO meta VALUES ('secret', ?)", (self.secret,))
                connection.execute(f"PRAGMA user_version = {VERSION}")
            secret = connection.execute("SELECT value FROM meta WHERE name = 'secret'").fetchone()
            if secret is None or not isinstance(secret[0], bytes):
                raise sqlite3.DatabaseError("its secret is gone")
            self.secret = secret[0]
            connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        self._connection, self._failed_at = connection, None

    def _set_aside(self, damaged: tuple[int, int] | None, error: Exception) -> None:
        """Move a file that is of no use out of the way, where it can be looked at, unless another process has."""
        if _identity(self.path) != damaged:
            return
        aside = f"{self.path}.damaged-{time.strftime('%Y%m%d-%H%M%S')}"
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                Path(f"{self.path}{suffix}").rename(f"{aside}{suffix}")
        logger.warning("the answer store was damaged (%s) and is set aside as %s; a new one is begun", error, aside)

    def _failed(self, error: Exception) -> None:
        if _is_damage(error) and self._connection is not None:
            self._close()
            with suppress(OSError):
                self._set_aside(self._file, error)
            return
        if self._connection is None:
            self._failed_at = time.monotonic()
        elif "locked" in str(error):
            self._wait_for_locks(_HURRIED_SECONDS)
        reason = str(error) if isinstance(error, (sqlite3.Error, OSError, _Unusable)) else repr(error)
        if reason not in self._warned:
            self._warned.add(reason)
            logger.warning(
                "the answer store %s cannot be used (%s): answers are not kept, and may be asked for again. "
                "cache_dir in CREATE ML_ENGINE names another folder",
                self.path,
                reason,
            )

    def _close(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None


def _in_transaction(work: Callable[[sqlite3.Connection], T]) -> Callable[[sqlite3.Connection], T]:
    def whole(connection: sqlite3.Connection) -> T:
        connection.execute("BEGIN IMMEDIATE")
        answer = work(connection)
        connection.execute("COMMIT")
        return answer

    return whole


def _version(connection: sqlite3.Connection) -> int:
    """The version of the file's format, 0 while it has none. Refuses all others but ours."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise _Unusable(f"it was written by a newer version of this package (format {version})")
    if version not in (0, VERSION):
        raise sqlite3.DatabaseError(f"its format, {version}, is no longer read")
    return version


def _identity(path: Path) -> tuple[int, int] | None:
    """What stays the same of a file that is open, whatever its name comes to mean."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _is_damage(error: Exception) -> bool:
    # SQLITE_CORRUPT and SQLITE_NOTADB come as DatabaseError itself, a full disk or a lock as a class derived from it.
    return type(error) is sqlite3.DatabaseError


_lock = threading.Lock()
_stores: dict[tuple[int, Path], Store] = {}


def open_store(folder: str | None) -> Store:
    """The store in ``folder``, opened once a process; by default beside what huggingface_hub keeps."""
    path = Path(folder) if folder else Path(constants.HF_HOME) / "huggingface_api_handler"
    with _lock:
        key = (os.getpid(), path.expanduser().absolute())
        if key not in _stores:
            _stores[key] = Store(key[1])
        return _stores[key]


@atexit.register
def close_stores() -> None:
    """Close the stores of this process, with all that was handed to them written. The next use opens them anew."""
    with _lock:
        for pid, folder in list(_stores):
            store = _stores.pop((pid, folder))
            if pid == os.getpid():
                store.close()


_resting: list[Store] = []


def _before_fork() -> None:
    _lock.acquire()
    _resting[:] = [store for (pid, _), store in _stores.items() if pid == os.getpid()]
    for store in _resting:
        store.suspend()


def _after_fork() -> None:
    for store in _resting:
        store.resume()
    _lock.release()


# A child believes that it holds the locks of an open file; its parent, which alone does, removes what both write to.
os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
