"""The ideal client: a client that is told the whole plan and asks for the same rows at the best pace that is polite.

It keeps the places of the service filled and a few requests waiting behind them, never one more than it takes; sends
the batches with which the last row lands first; paces exactly at the rate; and comes when the model is loaded.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import Callable
from typing import Any

import orjson

from .baselines import HEADERS, Answers, Job, parse_scores, request_body
from .service import Plan

LEAD_S = 0.01
"""Seconds' worth of requests kept waiting, so that no place stands empty while an answer is on its way."""
ARRIVAL_S = 0.1
"""Seconds that the first of many requests at once may take to arrive: only then does the bucket begin to fill."""


def ideal_concurrency(plan: Plan) -> int:
    """Requests at once: the places, and at most a queue's length behind them."""
    requests_per_second = plan.capacity / max(plan.latency, 0.001)
    return plan.capacity + min(plan.queue, max(math.ceil(plan.capacity / 4), math.ceil(requests_per_second * LEAD_S)))


def best_seconds(plan: Plan, rows: int, batch: int) -> float:
    """Seconds that ``rows`` in batches take at best, the transport aside."""
    requests = math.ceil(rows / batch)
    each = plan.latency + plan.per_item * min(batch, rows)
    by_capacity = math.ceil(requests / plan.capacity) * each
    by_rate = 0.0 if plan.rate is None else max(0.0, requests - plan.bucket) / plan.rate + each
    return plan.loading + max(by_capacity, by_rate)


def best_batch(plan: Plan, rows: int) -> int:
    """The size of batch with the least seconds; of equals the largest, which needs the fewest requests."""
    if plan.largest_batch is None:
        raise ValueError("a plan that takes batches of any size has no ideal client")
    return min(range(1, plan.largest_batch + 1), key=lambda size: (round(best_seconds(plan, rows, size), 3), -size))


def ideal_client(job: Job, inputs: list[Any]) -> Callable[[], Answers]:
    import aiohttp

    plan = Plan(**job.plan)
    size = best_batch(plan, len(inputs))
    scores: list[float | None] = [None] * len(inputs)
    waiting = iter(range(0, len(inputs), size))
    order, started, resume = itertools.count(), 0.0, 0.0

    async def worker(session: aiohttp.ClientSession) -> None:
        nonlocal resume
        for start in waiting:
            batch = inputs[start : start + size]
            while True:
                if plan.rate is not None:
                    # A token is left in the bucket, since clocks and networks are not exact.
                    behind = next(order) - (plan.bucket - 2)
                    due = started + (ARRIVAL_S + behind / plan.rate if behind > 0 else 0.0)
                    while (wait := max(due, resume) - time.monotonic()) > 0:  # noqa: ASYNC110 -- ``resume`` may move
                        await asyncio.sleep(wait)
                async with session.post(job.url, data=request_body(job.kind, batch), headers=HEADERS) as response:
                    answer = orjson.loads(await response.read())
                if response.status == 200:
                    break
                resume = time.monotonic() + 1.1  # longer than any plan tells; such a run is no measure
            scores[start : start + len(batch)] = parse_scores(answer)

    async def run() -> None:
        nonlocal started
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            if plan.loading:  # which the first request sets off
                async with session.post(job.url, data=request_body(job.kind, inputs[:1]), headers=HEADERS) as response:
                    await response.read()
                await asyncio.sleep(plan.loading)
            started = time.monotonic()
            await asyncio.gather(*(worker(session) for _ in range(min(ideal_concurrency(plan), len(inputs)))))

    asyncio.run(run())
    return lambda: Answers(scores)
