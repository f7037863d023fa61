"""CPU time that a worker spends on sharing a route with others, for each request.

``python -m bench.coordination``. A worker sends requests through its limiter: first without a coordinator, then with
one, alone and as one of four. The difference of its process's CPU time, over all threads, is what coordination costs.
The service answers in the same process, so that little else is measured. Run it while nothing else runs: a wake-up
costs several times as much where other processes use the caches.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import multiprocessing
import statistics
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_api_handler.config.store_address import parse_store_address
from huggingface_api_handler.inference.flow_control.concurrency import MAX_CONCURRENCY, AdaptiveConcurrencyLimit
from huggingface_api_handler.inference.flow_control.coordination import RouteCoordinator
from huggingface_api_handler.inference.flow_control.limiter import Limiter
from huggingface_api_handler.inference.flow_control.outcome import Outcome
from huggingface_api_handler.inference.flow_control.redis_ledger import RedisLedger
from huggingface_api_handler.inference.flow_control.request_rate import RateEstimator
from huggingface_api_handler.inference.flow_control.route_ledger import RouteLedger
from huggingface_api_handler.inference.flow_control.sqlite_ledger import SqliteLedger
from huggingface_api_handler.inference.storage.redis_store import RedisStore
from huggingface_api_handler.inference.storage.sqlite import Store
from tests.support.redis_server import RedisServer

from .measure import Results, parse_arguments, temporary_folder

BOUND_US = 30.0
SERVICES = ("slots", "rate")
"""What the service limits: requests in flight, or requests a second."""
RATES = (20, 100, 500)
"""Requests a second of each worker."""
WORKERS = (1, 4)
STORES = ("sqlite", "redis")
SECONDS = 10.0
QUICK_SECONDS = 3.0
WARM_UP_S = 5.0
"""In which limits are found, and nothing is counted."""
LATENCY_S = 0.2
BURST_S = 1.0
"""Seconds of its rate that the service saves up."""

_fork = multiprocessing.get_context("fork")


class Job(NamedTuple):
    """What workers do.

    Attributes:
        service: Of ``SERVICES``.
        rate: Requests a second of each.
        workers: How many they are.
        store: A folder or an address, where they share the route; empty where they share nothing.
        seconds: For so long they are measured.
    """

    service: str
    rate: int
    workers: int
    store: str
    seconds: float


class Service:
    """Answers the requests of all workers.

    Args:
        rate: Requests a second that it takes (the generic cell rate algorithm); None for all.
    """

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._next_at = _fork.Value("d", 0.0)

    async def answer(self) -> Outcome:
        """Answer one request.

        Returns:
            How it went.
        """
        if self._rate is not None:
            with self._next_at.get_lock():
                now = time.monotonic()
                next_at = max(self._next_at.value, now - BURST_S)
                is_taken = next_at <= now
                if is_taken:
                    self._next_at.value = next_at + 1 / self._rate
            if not is_taken:
                return Outcome(0.0, answered=False, rate_limited=True, retry_after_s=next_at - now)
        await asyncio.sleep(LATENCY_S)
        return Outcome(LATENCY_S, answered=True)


@contextlib.contextmanager
def shared_place(store: str) -> Iterator[str]:
    """A new place for what workers share.

    Args:
        store: Of ``STORES``.

    Yields:
        Its folder or address.
    """
    if store == "sqlite":
        with temporary_folder() as folder:
            yield folder
    else:
        with RedisServer() as server:
            yield server.url


def ledger_in(place: str) -> RouteLedger:
    """The record of the route, as one worker has it.

    Args:
        place: Of ``shared_place``.

    Returns:
        The record.
    """
    store: Any = RedisStore(parse_store_address(place)) if "://" in place else Store(Path(place))
    store.wait_until_open()
    return RedisLedger(store, "route") if "://" in place else SqliteLedger(store, "route")


async def work(job: Job, service: Service) -> tuple[float, int]:
    """Send requests as fast as they may go.

    Args:
        job: What to do.
        service: Answers.

    Returns:
        Seconds of CPU time while it was measured, and requests that ended then.
    """
    is_rate = job.service == "rate"
    most = MAX_CONCURRENCY if is_rate else math.ceil(job.rate * LATENCY_S) * job.workers
    coordinator = RouteCoordinator(ledger_in(job.store), most) if job.store else None
    limiter = Limiter(
        most,
        concurrency=AdaptiveConcurrencyLimit(most, most),
        rate_estimator=RateEstimator(job.rate * job.workers if is_rate else None),
        peers=coordinator,
    )
    requests = 0

    async def send() -> None:
        nonlocal requests
        while True:
            await limiter.acquire()
            limiter.release(await service.answer())
            requests += 1

    tasks = [asyncio.create_task(send()) for _ in range(math.ceil(job.rate * LATENCY_S * 2) + 2)]
    if coordinator is not None:
        coordinator.attach(limiter)
        await coordinator.refresh()
        tasks.append(asyncio.create_task(coordinator.watch()))
    await asyncio.sleep(WARM_UP_S)
    cpu_s, sent = time.process_time(), requests
    await asyncio.sleep(job.seconds)
    figures = time.process_time() - cpu_s, requests - sent
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return figures


def cost_us(job: Job) -> tuple[float, float]:
    """Let workers work at once, in a process each.

    Args:
        job: What they do.

    Returns:
        Microseconds of a worker's CPU time for each request, and requests a second of a worker.
    """
    service = Service(job.rate * job.workers if job.service == "rate" else None)

    def run(connection: Connection) -> None:
        connection.send(asyncio.run(work(job, service)))

    figures = []
    pipes = [_fork.Pipe(duplex=False) for _ in range(job.workers)]
    processes = [_fork.Process(target=run, args=(theirs,), daemon=True) for _, theirs in pipes]
    for process in processes:
        process.start()
    for ours, _ in pipes:
        figures.append(ours.recv())
    for process in processes:
        process.join()
    cpu_s, requests = map(sum, zip(*figures, strict=True))
    return cpu_s / requests * 1e6, requests / job.seconds / job.workers


def main() -> None:
    """The command line."""
    options = parse_arguments(
        __doc__ or "",
        service={"choices": SERVICES, "nargs": "*", "default": list(SERVICES)},
        rate={"type": int, "nargs": "*", "default": list(RATES), "help": "requests a second of a worker"},
        workers={"type": int, "nargs": "*", "default": list(WORKERS), "help": "how many workers"},
        store={"choices": STORES, "nargs": "*", "default": list(STORES)},
    )
    seconds = QUICK_SECONDS if options.quick else SECONDS
    results = Results("coordination", options.quick, {"runs": []})
    for service in options.service:
        for rate in options.rate:
            alone = Job(service, rate, 1, "", seconds)
            base_us = statistics.median(cost_us(alone)[0] for _ in range(options.repeat))
            for store in options.store:
                for workers in options.workers:
                    _measure(results, alone._replace(workers=workers), store, base_us, options.repeat)
    results.write()


def _measure(results: Results, job: Job, store: str, base_us: float, repeat: int) -> None:
    runs = []
    for _ in range(repeat):
        with shared_place(store) as place:
            runs.append(cost_us(job._replace(store=place)))
    cpu_us, per_second = (statistics.median(values) for values in zip(*runs, strict=True))
    figures = {"cpu_us": round(cpu_us, 1), "cpu_us_without": round(base_us, 1), "per_second": round(per_second, 1)}
    results.body["runs"].append({**job._asdict(), "store": store, **figures})
    of = f"{job.service}, {job.rate} a second, {job.workers} over {store}"
    results.check(f"{of}: CPU time of coordination for a request, microseconds", cpu_us - base_us, BOUND_US)
    results.check(f"{of}: requests a second of a worker", per_second, None)


if __name__ == "__main__":
    main()
