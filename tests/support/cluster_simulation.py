"""Several workers on one route in virtual time: they share its limits through a record that is some way off.

``python -m tests.support.cluster_simulation --workers 8`` prints our seconds and requests over those of one ideal client.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import NamedTuple
from unittest import mock

from bench.ceiling import CASES, rows_for
from bench.ideal_client import best_batch
from bench.service import Plan, Service, Stats
from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.inference.flow_control.batch_size import BatchSizeTuner
from huggingface_api_handler.inference.flow_control.concurrency import MAX_CONCURRENCY, AdaptiveConcurrencyLimit
from huggingface_api_handler.inference.flow_control.coordination import RouteCoordinator
from huggingface_api_handler.inference.flow_control.limiter import Limiter
from huggingface_api_handler.inference.flow_control.route_ledger import Grant, OnSignal, Report, transact
from huggingface_api_handler.inference.flow_control.route_profile import RouteProfile
from huggingface_api_handler.inference.flow_control.route_record import RouteRecord
from huggingface_api_handler.inference.protocols.routing import Route
from huggingface_api_handler.inference.runtime.context import Dependencies
from huggingface_api_handler.inference.runtime.executor import QueryExecutor
from huggingface_api_handler.inference.runtime.input_stream import InputStream
from huggingface_api_handler.inference.telemetry.usage import Usage
from huggingface_api_handler.inference.transport import rate_limit_headers
from huggingface_api_handler.inference.transport.client import Response
from huggingface_api_handler.tasks import Media, MediaRef, Prediction

from .simulation import NETWORK_S, VirtualLoop, _Reply, ideal_seconds

_EPOCH_S = 1.7e9


class VirtualLedger:
    """A record in memory, ``delay_s`` away from every process, in the time of the running loop."""

    def __init__(self, delay_s: float = 0.001) -> None:
        self.record = RouteRecord()
        self.delay_s = delay_s
        self.syncs = 0
        self._listeners: list[OnSignal] = []

    async def sync(self, report: Report) -> Grant | None:
        """As of ``RouteLedger``."""
        await asyncio.sleep(self.delay_s)
        self.syncs += 1
        grant = self._transact(report)
        await asyncio.sleep(self.delay_s)
        return grant

    def leave(self, report: Report) -> None:
        """As of ``RouteLedger``."""
        self._transact(report)

    def _transact(self, report: Report) -> Grant:
        if report.is_news:
            self._signal()
        return transact(self.record, report, _EPOCH_S + asyncio.get_running_loop().time())

    def publish_pause(self, seconds: float) -> None:
        """As of ``RouteLedger``."""
        loop = asyncio.get_running_loop()
        resume_at = _EPOCH_S + loop.time() + seconds
        self.record.resume_at = max(self.record.resume_at, resume_at)
        self._signal(resume_at)

    def _signal(self, resume_at: float = 0.0) -> None:
        loop = asyncio.get_running_loop()

        def tell(on_signal: OnSignal) -> None:
            on_signal(max(0.0, resume_at - _EPOCH_S - loop.time()))

        for on_signal in self._listeners:
            loop.call_later(2 * self.delay_s, tell, on_signal)

    async def watch(self, on_signal: OnSignal) -> None:
        """As of ``RouteLedger``."""
        self._listeners.append(on_signal)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._listeners.remove(on_signal)

    def look(self) -> None:
        """As of ``RouteLedger``."""


class ClusterResult(NamedTuple):
    """How it went: virtual seconds, rows without an answer, the service's counts, reports to the record."""

    seconds: float
    unanswered: int
    stats: Stats
    syncs: int


@dataclass
class _Worker:
    limiter: Limiter
    coordinator: RouteCoordinator
    executor: QueryExecutor

    async def run(self) -> None:
        await self.coordinator.refresh()
        watching = asyncio.ensure_future(self.coordinator.watch())
        try:
            await self.executor.run()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


def simulate_cluster(
    plan: Plan,
    rows: int,
    workers: int,
    seed: int = 0,
    *,
    delay_s: float = 0.001,
    timeout_s: float = 120.0,
    max_concurrency: int = MAX_CONCURRENCY,
) -> ClusterResult:
    """Run one query of distinct texts, divided evenly over workers on a new route.

    Args:
        plan: How the service behaves.
        rows: Texts to classify.
        workers: Processes that share them.
        seed: Of all chance.
        delay_s: How far off the record is, one way.
        timeout_s: Seconds after which a worker gives a request up.
        max_concurrency: Requests in flight of all workers, at most.

    Returns:
        How it went.
    """

    async def queries() -> ClusterResult:
        loop = asyncio.get_running_loop()
        service = Service(plan, loop.call_later, loop.time, lambda: _EPOCH_S + loop.time())
        ledger = VirtualLedger(delay_s)

        async def post(url: str, body: bytes, headers: dict[str, str], timeout: float) -> Response:
            reply = _Reply()
            await asyncio.sleep(NETWORK_S * random.uniform(0.3, 1.0))
            service.request(reply, b"a", body, is_json=True)
            response = await asyncio.wait_for(reply.response, timeout)
            await asyncio.sleep(NETWORK_S * random.uniform(0.3, 1.0))
            return response

        texts = [f"input {seed} number {index} " + "x" * (index % 7) for index in range(rows)]
        size = math.ceil(rows / workers)
        running = [
            _worker(f"{index}", part, post, ledger, timeout_s, max_concurrency)
            for index, part in enumerate(_parts(texts, size))
        ]

        await asyncio.gather(*(worker.run() for worker in running))
        unanswered = sum(not isinstance(result, Prediction) for worker in running for result in worker.executor.results)
        return ClusterResult(loop.time(), unanswered, service.stats(), ledger.syncs)

    loop = VirtualLoop()
    random_state = random.getstate()
    random.seed(seed)
    try:
        with mock.patch.object(rate_limit_headers, "time", SimpleNamespace(time=lambda: _EPOCH_S + loop.time())):
            return loop.run_until_complete(queries())
    finally:
        loop.close()
        random.setstate(random_state)


def _parts(texts: Sequence[str], size: int) -> list[Sequence[str]]:
    return [texts[start : start + size] for start in range(0, len(texts), size)]


def _worker(
    name: str, texts: Sequence[str], post: object, ledger: VirtualLedger, timeout_s: float, max_concurrency: int
) -> _Worker:
    loop = asyncio.get_running_loop()

    async def load(_: MediaRef) -> Media:
        raise AssertionError("no media here")

    async def save(_: Media) -> str:
        raise AssertionError("no media here")

    coordinator = RouteCoordinator(ledger, max_concurrency, clock=loop.time)
    coordinator._member.name = name  # which is a random one otherwise
    concurrency = AdaptiveConcurrencyLimit(max_concurrency=max_concurrency, timeout_s=timeout_s)
    limiter = Limiter(clock=loop.time, concurrency=concurrency, peers=coordinator)
    coordinator.attach(limiter)
    profile = RouteProfile(batch_size=BatchSizeTuner(timeout_s=timeout_s))
    dependencies = Dependencies(post, limiter, profile, load, save, asyncio.sleep, loop.time)  # type: ignore[arg-type]
    engine = engine_settings({"endpoint": "http://127.0.0.1:1"})
    model = model_settings({"task": "text-classification", "column": "t", "target": "y"}, engine)
    route = Route("http://h", "m", {}, has_key=False)
    executor = QueryExecutor(model, route, timeout_s, Usage("", "", ""), dependencies, InputStream.of(list(texts)))
    return _Worker(limiter, coordinator, executor)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="?", default="")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4, 8])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--delay", type=float, default=0.001)
    options = parser.parse_args()
    names = ["20 a second, X-RateLimit", "100 a second, Retry-After as a date", "200 ms, 64 at once", "lists to 32"]
    for name in [options.name] if options.name else names:
        plan, seconds = CASES[name]
        for workers, seed in itertools.product(options.workers, range(options.seeds)):
            rows = rows_for(plan, seconds)
            result = simulate_cluster(plan, rows, workers, seed, delay_s=options.delay)
            fewest = rows if plan.largest_batch == 1 else math.ceil(rows / best_batch(plan, rows))
            print(  # noqa: T201 -- a command prints
                f"{name:38s} {workers} workers: time {result.seconds / ideal_seconds(plan, rows):.3f}"
                f"  requests {result.stats['requests'] / fewest:.3f}  early {result.stats['violations']}"
                f"  refused {result.stats['refused']}  not answered {result.unanswered}"
                f"  syncs a request {result.syncs / result.stats['requests']:.2f}"
            )


if __name__ == "__main__":
    main()
