"""The stores that a process has open: one for each file or server, shared by sessions, which are counted.

Two stores of one file would be wrong: closing any descriptor of a file gives up all of the process's locks on it
(https://www.sqlite.org/howtocorrupt.html, "Posix advisory locks canceled").
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable, Hashable
from typing import Protocol, TypeVar, cast


class OpenStore(Protocol):
    """What is asked of a store here."""

    def close(self) -> None:
        """Finish all operations handed over so far, then close."""
        ...

    def suspend(self) -> None:
        """Let go of what a fork must not copy, until ``resume``."""
        ...

    def resume(self) -> None:
        """End what ``suspend`` began."""
        ...


StoreT = TypeVar("StoreT", bound=OpenStore)

_lock = threading.Lock()
_stores: dict[tuple[int, Hashable], OpenStore] = {}
_holders: dict[OpenStore, weakref.WeakSet[object]] = {}
_suspended: list[OpenStore] = []


def shared_store(place: Hashable, make: Callable[[], StoreT], holder: object | None = None) -> StoreT:
    """The store of a place that this process has open, opened where it has none.

    Args:
        place: The file or server. Equal places have one store.
        make: Opens it.
        holder: Who keeps it open until ``release_stores``; None for a look.

    Returns:
        The store.
    """
    with _lock:
        key = (os.getpid(), place)
        if key not in _stores:
            _stores[key] = make()
        if holder is not None:
            _holders.setdefault(_stores[key], weakref.WeakSet()).add(holder)
        return cast(StoreT, _stores[key])


def release_stores(holder: object) -> None:
    """Let go of all stores that ``holder`` opened. Those that nobody else holds finish their operations and close.

    Args:
        holder: Who was given to ``shared_store``.
    """
    with _lock:
        for key, store in list(_stores.items()):
            holders = _holders.get(store, weakref.WeakSet[object]())
            if key[0] == os.getpid() and holder in holders:
                holders.discard(holder)
                if not holders:
                    del _stores[key], _holders[store]
                    store.close()


@atexit.register
def close_stores() -> None:
    """Finish all operations of this process's stores and close them. The next ``shared_store`` opens them again."""
    with _lock:
        _holders.clear()
        for key in list(_stores):
            store = _stores.pop(key)
            if key[0] == os.getpid():
                store.close()


def _before_fork() -> None:
    _lock.acquire()
    _suspended[:] = [store for (pid, _), store in _stores.items() if pid == os.getpid()]
    for store in _suspended:
        store.suspend()


def _after_fork() -> None:
    for store in _suspended:
        store.resume()
    _lock.release()


# A child would think that it holds the locks of an open file. They are its parent's alone, so the parent could remove
# a WAL that both write to.
os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
