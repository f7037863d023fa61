"""Cost of a stored answer: CPU time of this process, over Redis and in the SQLite file of a machine.

``python -m bench.store_cost``. Answers are put and looked up as a query does it. The redis-server is a process of its
own, whose CPU time is not in it.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_api_handler.config.store_address import parse_store_address
from huggingface_api_handler.config.validation import model_settings
from huggingface_api_handler.inference.storage.redis_store import RedisStore
from huggingface_api_handler.inference.storage.redis_tables import redis_tables
from huggingface_api_handler.inference.storage.response_cache import ResponseCache
from huggingface_api_handler.inference.storage.sqlite import Store
from huggingface_api_handler.inference.storage.sqlite_tables import sqlite_tables
from huggingface_api_handler.inference.storage.tables import AnswerTable
from tests.support.redis_server import RedisServer

BOUND = 1.0
"""Cost over Redis, relative to SQLite's."""
LOOKUP_ROWS = 2048
ANSWER = [{"label": "POSITIVE", "score": 0.9987}]

Put = Callable[[ResponseCache, list[bytes]], None]


@contextmanager
def sqlite_answers() -> Iterator[AnswerTable]:
    """The table in a new file.

    Yields:
        The table.
    """
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        yield sqlite_tables(store).answers
        store.close()


@contextmanager
def redis_answers() -> Iterator[AnswerTable]:
    """The table in a new Redis.

    Yields:
        The table.
    """
    with RedisServer() as server:
        store = RedisStore(parse_store_address(server.url))
        yield redis_tables(store).answers
        store.close()


def cost_us(table: AnswerTable, rows: int) -> tuple[float, float]:
    """Store answers and find them again.

    Args:
        table: Where.
        rows: How many.

    Returns:
        Microseconds of CPU time for each answer, to store it and to find it.

    Raises:
        RuntimeError: An answer is not found.
    """
    using = {"task": "text-classification", "model": "m", "column": "text"}

    def new_cache() -> ResponseCache:
        return ResponseCache(table, "scope", "http://here", model_settings(using), 1e6, read=True)

    async def put(keys: list[bytes]) -> None:
        for start in range(0, rows, 16):  # as many as land in one turn of the loop
            for key in keys[start : start + 16]:
                cache.put(key, ANSWER)
            await asyncio.sleep(0)
            await cache.wait_for_backlog()
        await cache.flush()

    async def look_up(keys: list[bytes]) -> int:
        return sum(
            [len(await later.lookup(keys[start : start + LOOKUP_ROWS])) for start in range(0, rows, LOOKUP_ROWS)]
        )

    cache, later = new_cache(), new_cache()
    keys = [cache.key(f"text {number}") for number in range(rows)]
    began = time.process_time()
    asyncio.run(put(keys))
    stored = time.process_time()
    if asyncio.run(look_up(keys)) != rows:
        raise RuntimeError("not all answers are found")
    return (stored - began) / rows * 1e6, (time.process_time() - stored) / rows * 1e6


def main() -> None:
    """Print the medians, and fail where Redis costs more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    costs: dict[str, list[tuple[float, float]]] = {"SQLite": [], "Redis": []}
    for _ in range(arguments.repeat):
        for name, place in (("SQLite", sqlite_answers), ("Redis", redis_answers)):
            with place() as table:
                costs[name].append(cost_us(table, arguments.rows))
    medians = {name: [statistics.median(values) for values in zip(*runs, strict=True)] for name, runs in costs.items()}
    for number, what in enumerate(("stored", "found")):
        sqlite, redis = medians["SQLite"][number], medians["Redis"][number]
        print(f"an answer {what}: SQLite {sqlite:.2f} us, Redis {redis:.2f} us, {redis / sqlite:.2f} times")
    sqlite, redis = sum(medians["SQLite"]), sum(medians["Redis"])
    print(f"both: {redis / sqlite:.2f} times")
    if redis > BOUND * sqlite:
        raise SystemExit(f"more than {BOUND} times SQLite's cost")


if __name__ == "__main__":
    main()
