"""The ideal client: it knows the whole plan of the service and predicts the rows as fast as the plan allows.

It never sends more than the service accepts: all slots busy, a few requests in the queue, the best batch size, exactly
the permitted rate, and no request before the model is loaded.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import orjson

from .baselines import HEADERS, ClientScores, Job, parse_scores, request_body
from .service import Plan

if TYPE_CHECKING:
    import aiohttp

LEAD_S = 0.01
"""Requests for so many seconds wait in the service's queue, so that no slot is idle while an answer travels."""
ARRIVAL_S = 0.1
"""The first of many simultaneous requests arrives after at most so long. Only then does the token bucket refill."""
RETRY_AFTER_S = 1.1
"""Pause after a rejection: longer than any plan announces. A run with a rejection is not a valid measurement."""


def ideal_concurrency(plan: Plan) -> int:
    """Concurrent requests: one per slot, and as many as ``LEAD_S`` asks for in the queue, where it is long enough."""
    requests_per_second = plan.capacity / max(plan.latency, 0.001)
    return plan.capacity + min(plan.queue, max(math.ceil(plan.capacity / 4), math.ceil(requests_per_second * LEAD_S)))


def best_seconds(plan: Plan, rows: int, batch: int) -> float:
    """The shortest time for a number of rows.

    Args:
        plan: How the service behaves.
        rows: How many rows.
        batch: Inputs per request.

    Returns:
        Seconds, without the time on the network.
    """
    requests = math.ceil(rows / batch)
    if plan.changes:
        return plan.loading + max(_seconds_by_capacity(plan, requests, batch), _seconds_by_rate(plan, requests, batch))
    request_seconds = plan.latency + plan.per_item * min(batch, rows)
    by_capacity = math.ceil(requests / plan.capacity) * request_seconds
    by_rate = 0.0 if plan.rate is None else max(0.0, requests - plan.bucket) / plan.rate + request_seconds
    return plan.loading + max(by_capacity, by_rate)


def _seconds_by_capacity(plan: Plan, requests: int, batch: int) -> float:
    """The shortest time for requests of a plan that changes, if every slot is always taken."""
    phases = plan.phases()
    free_at = [0.0] * plan.capacity
    for _ in range(requests):
        current = next(each for since, each in reversed(phases) if since <= free_at[0])
        heapq.heapreplace(free_at, free_at[0] + current.latency + current.per_item * batch)
    return max(free_at)


def _seconds_by_rate(plan: Plan, requests: int, batch: int) -> float:
    """The shortest time for requests of a plan that changes, if every token is taken as soon as it is there."""
    last = plan.phases()[-1][1]
    return tokens_due(plan, requests - plan.bucket) + last.latency + last.per_item * batch


def tokens_due(plan: Plan, tokens: float) -> float:
    """When a bucket has got so many tokens.

    Args:
        plan: How the service behaves, in all its phases.
        tokens: How many, besides those that it held at first.

    Returns:
        Seconds from the first request; 0.0 where no rate is limited.
    """
    phases = plan.phases()
    ends = [*(since for since, _ in phases[1:]), math.inf]
    for (since, phase), until in zip(phases, ends, strict=True):
        if phase.rate is None or tokens <= 0:
            return since if since and tokens > 0 else 0.0
        if tokens <= (until - since) * phase.rate:
            return since + tokens / phase.rate
        tokens -= (until - since) * phase.rate
    raise AssertionError("the last phase has no end")


def best_batch(plan: Plan, rows: int) -> int:
    """The batch size with the shortest time. Of equal ones the largest, which needs the fewest requests.

    Raises:
        ValueError: The plan accepts batches of any size.
    """
    if plan.largest_batch is None:
        raise ValueError("the ideal client needs a plan with a largest batch")
    return min(range(1, plan.largest_batch + 1), key=lambda size: (round(best_seconds(plan, rows, size), 3), -size))


def ideal_client(job: Job, inputs: list[str]) -> Callable[[], ClientScores]:
    """Predict ``inputs`` by ``job.plan``."""
    import aiohttp

    plan = job.plan or Plan()
    size = best_batch(plan, len(inputs))
    scores: list[float | None] = [None] * len(inputs)
    starts = iter(range(0, len(inputs), size))
    numbers = itertools.count()
    started = 0.0
    resume_at = 0.0

    async def wait_for_token() -> None:
        """Wait until the rate permits the next request."""
        if plan.rate is None:
            return
        # One token stays in the bucket, since clocks and networks are not exact.
        after_burst = next(numbers) - (plan.bucket - 2)
        due = started + (ARRIVAL_S + tokens_due(plan, after_burst) if after_burst > 0 else 0.0)
        while (wait := max(due, resume_at) - time.monotonic()) > 0:  # noqa: ASYNC110 -- ``resume_at`` may move
            await asyncio.sleep(wait)

    async def worker(session: aiohttp.ClientSession) -> None:
        nonlocal resume_at
        for start in starts:
            batch = inputs[start : start + size]
            while True:
                await wait_for_token()
                async with session.post(job.url, data=request_body(job.kind, batch), headers=HEADERS) as response:
                    answer = orjson.loads(await response.read())
                if response.status == 200:
                    break
                resume_at = time.monotonic() + RETRY_AFTER_S
            scores[start : start + len(batch)] = parse_scores(answer)

    async def run() -> None:
        nonlocal started
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            if plan.loading:  # the first request starts it
                async with session.post(job.url, data=request_body(job.kind, inputs[:1]), headers=HEADERS) as response:
                    await response.read()
                await asyncio.sleep(plan.loading)
            started = time.monotonic()
            await asyncio.gather(*(worker(session) for _ in range(min(ideal_concurrency(plan), len(inputs)))))

    asyncio.run(run())
    return lambda: ClientScores(scores)
