"""What is loaded once a process is loaded by one thread, however many ask for it."""

from __future__ import annotations

import threading

import pytest

from huggingface_api_handler.server.load_once import load_once


def test_threads_that_ask_at_once_share_one_load(monkeypatch: pytest.MonkeyPatch) -> None:
    arrived = threading.Semaphore(0)

    class Lock:
        def __init__(self) -> None:
            self._lock = threading.RLock()

        def __enter__(self) -> None:
            arrived.release()
            self._lock.acquire()

        def __exit__(self, *_: object) -> None:
            self._lock.release()

    monkeypatch.setattr("huggingface_api_handler.server.load_once.threading.Lock", Lock)
    loads, results = list[object](), list[object]()

    def load() -> object:
        for _ in range(2):  # both threads are at the lock, and one of them is here
            assert arrived.acquire(timeout=30)
        loads.append(object())
        return loads[-1]

    loaded = load_once(load)
    monkeypatch.undo()  # threads have locks of their own
    threads = [threading.Thread(target=lambda: results.append(loaded())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1 and results == loads * 2


def test_what_could_not_be_loaded_is_loaded_again() -> None:
    outcomes = iter([ImportError("not installed"), None])

    def load() -> str:
        if error := next(outcomes):
            raise error
        return "loaded"

    loaded = load_once(load)
    with pytest.raises(ImportError):
        loaded()
    assert [loaded(), loaded()] == ["loaded", "loaded"]
