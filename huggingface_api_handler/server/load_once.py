"""What is loaded once a process, however many models and threads ask for it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import TypeVar

LoadedT = TypeVar("LoadedT")


def load_once(load: Callable[[], LoadedT]) -> Callable[[], LoadedT]:
    """Make a function that loads on its first call, and afterwards returns what it loaded.

    Args:
        load: Loads it. It is called again only after it raised.

    Returns:
        The function, safe to call from several threads.
    """
    lock = threading.Lock()
    cached = functools.cache(load)

    @functools.wraps(load)
    def loaded() -> LoadedT:
        # The cache alone would let two threads load at once.
        with lock:
            return cached()

    return loaded
