"""What MindsDB's queue of ML tasks, where it has one, asks of a verb.

With ``MINDSDB_ML_QUEUE_TYPE=redis`` MindsDB puts each ML task into Redis, and another process runs it. MindsDB 26.1
begins to listen for the result after it has queued the task. What is told before that is lost, and the statement fails
60 s later with "Can't get answer in 60 seconds".
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from .errors import InputError

SHORTEST_TASK_S = 0.1
"""How long a task from the queue takes at least. MindsDB was seen to listen after 0.3 to 18 ms, on a busy machine."""


def has_queue() -> bool:
    """Say whether this MindsDB runs its ML tasks through a queue.

    Returns:
        Whether it does. Its consumers read the same configuration as its servers.
    """
    from mindsdb.utilities.config import Config

    return bool(Config().get("ml_task_queue", {}).get("type") == "redis")


@contextmanager
def result_awaited() -> Iterator[None]:
    """Let the block end no sooner than MindsDB listens for the result, whether it gives one or raises.

    Yields:
        Nothing. Without a queue nothing is waited for.
    """
    started = time.monotonic()
    try:
        yield
    finally:
        remaining_s = started + SHORTEST_TASK_S - time.monotonic()
        if remaining_s > 0 and has_queue():
            time.sleep(remaining_s)


def refuse_lost_rows(rows: object) -> None:
    """Say so where a task came without its rows, which the queue keeps apart from it.

    Args:
        rows: What MindsDB hands over to ``predict``.

    Raises:
        InputError: There are none.
    """
    if rows is None:
        raise InputError(
            "MindsDB's queue lost the rows of this statement: Redis keeps them for 180 seconds, and not so long where "
            "it is full and evicts keys. Run the statement again. Give Redis more memory, or the policy noeviction"
        )
