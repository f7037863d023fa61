"""Whether MindsDB's query that a prediction is a part of has been cancelled.

MindsDB keeps a row for each partitioned query in ``information_schema.queries``, and hands its id to the ML process in
the context. ``SELECT query_cancel(id)`` deletes that row, and nothing else tells the ML process.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum

logger = logging.getLogger(__name__)

CANCELLATION_POLL_INTERVAL_S = 0.5
"""Time between two looks at the query's row. A cancelled query must stop sending within a second."""


class QueryState(Enum):
    """What the row of a query in ``information_schema.queries`` says."""

    RUNNING = "running"
    FINISHED = "finished"
    """It ended, successfully or not."""
    DELETED = "deleted"
    """There is no row: the query was cancelled."""


@contextmanager
def cancellation(*, in_threads: bool) -> Iterator[threading.Event | None]:
    """Watch the query of MindsDB's context while the block runs.

    Args:
        in_threads: Whether the SELECT has ``threads``. Its later parts may begin after it was cancelled.

    Yields:
        An event that is set once the query is cancelled; None where the context has no query.
    """
    from mindsdb.utilities.context import context

    query_id = getattr(context, "run_query_id", None)
    if query_id is None:
        yield None
        return
    with watch_query(lambda: _fetch_state(query_id), in_threads=in_threads) as cancelled:
        yield cancelled


@contextmanager
def watch_query(
    fetch_state: Callable[[], QueryState], *, in_threads: bool, interval_s: float = CANCELLATION_POLL_INTERVAL_S
) -> Iterator[threading.Event]:
    """Poll a query's state from a thread of its own while the block runs.

    A query that failed leaves its id in the context of the plain queries after it on the same connection. So a query
    that is finished at the first look is another one, and this one cannot be cancelled. The same goes for a deleted
    one, unless ``in_threads``.

    Args:
        fetch_state: Looks the state up. Exceptions are logged, and the next look is at the usual time.
        in_threads: Whether the query may have been cancelled before the first look.
        interval_s: Seconds between two looks.

    Yields:
        An event that is set once the query is cancelled.
    """
    cancelled, done = threading.Event(), threading.Event()
    thread = threading.Thread(
        target=_poll,
        args=(fetch_state, in_threads, interval_s, cancelled, done),
        name="huggingface-api-query",
        daemon=True,
    )
    thread.start()
    try:
        yield cancelled
    finally:
        done.set()


def _poll(
    fetch_state: Callable[[], QueryState],
    in_threads: bool,
    interval_s: float,
    cancelled: threading.Event,
    done: threading.Event,
) -> None:
    was_running = in_threads
    while not done.is_set():
        try:
            state = fetch_state()
        except Exception as error:  # of MindsDB's database, which is no reason for this query to end
            logger.debug("cannot look whether the query was cancelled (%s)", type(error).__name__)
        else:
            if state is QueryState.DELETED and was_running:
                cancelled.set()
            if state is not QueryState.RUNNING:
                return
            was_running = True
        done.wait(interval_s)


def _fetch_state(query_id: int) -> QueryState:
    from mindsdb.interfaces.storage import db
    from sqlalchemy import select

    with db.engine.connect() as connection:
        row = connection.execute(
            select(db.Queries.finished_at, db.Queries.error).where(db.Queries.id == query_id)
        ).first()
    if row is None:
        return QueryState.DELETED
    return QueryState.RUNNING if row.finished_at is None and row.error is None else QueryState.FINISHED
