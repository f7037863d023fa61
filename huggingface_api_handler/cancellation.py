"""The partitioned query of MindsDB's that a predict is a part of, and whether it has been cancelled since.

MindsDB keeps a row for each in ``information_schema.queries`` and hands its id to the ML process in the context.
``SELECT query_cancel(id)`` deletes that row, which is all that tells of it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum

logger = logging.getLogger(__name__)

LOOK_EVERY = 0.5
"""Seconds between two looks at the row: a cancelled query is to stop sending within one."""


class State(Enum):
    RUNNING = "running"
    OVER = "over"  # finished or failed
    GONE = "gone"


@contextmanager
def cancellation(*, in_threads: bool) -> Iterator[threading.Event | None]:
    """An event that is set once the query of this context is cancelled; None where the context has no query.

    ``in_threads`` says that the SELECT has ``threads``, whose later parts may begin after it was cancelled.
    """
    from mindsdb.utilities.context import context

    query = getattr(context, "run_query_id", None)
    if query is None:
        yield None
        return
    with watched(lambda: _state(query), in_threads=in_threads) as cancelled:
        yield cancelled


@contextmanager
def watched(look: Callable[[], State], *, in_threads: bool, every: float = LOOK_EVERY) -> Iterator[threading.Event]:
    """An event that is set once ``look()`` finds the query gone, looked at from a thread of its own.

    A query that failed leaves its id to the plain ones after it on the same connection. So a query that is over, or,
    but for ``in_threads``, gone at the first look is taken for another's, and this one for one that nobody can cancel.
    """
    cancelled, done = threading.Event(), threading.Event()
    watch = threading.Thread(
        target=_watch, args=(look, in_threads, every, cancelled, done), name="huggingface-api-query", daemon=True
    )
    watch.start()
    try:
        yield cancelled
    finally:
        done.set()


def _watch(
    look: Callable[[], State], in_threads: bool, every: float, cancelled: threading.Event, done: threading.Event
) -> None:
    seen = in_threads
    while not done.is_set():
        try:
            state = look()
        except Exception as error:  # of MindsDB's database, which is no reason for this query to end
            logger.debug("cannot look whether the query was cancelled (%s)", type(error).__name__)
        else:
            if state is State.GONE and seen:
                cancelled.set()
            if state is not State.RUNNING:
                return
            seen = True
        done.wait(every)


def _state(query: int) -> State:
    from mindsdb.interfaces.storage import db
    from sqlalchemy import select

    with db.engine.connect() as connection:
        found = connection.execute(
            select(db.Queries.finished_at, db.Queries.error).where(db.Queries.id == query)
        ).first()
    if found is None:
        return State.GONE
    return State.RUNNING if found.finished_at is None and found.error is None else State.OVER
