"""A shared route in virtual time while its record is lost, away or wrong: bounds hold, and no query stands still."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from huggingface_api_handler.inference.flow_control.concurrency import AdaptiveConcurrencyLimit
from huggingface_api_handler.inference.flow_control.coordination import RouteCoordinator
from huggingface_api_handler.inference.flow_control.limiter import Limiter
from huggingface_api_handler.inference.flow_control.outcome import Outcome
from huggingface_api_handler.inference.flow_control.request_rate import RateEstimator
from huggingface_api_handler.inference.flow_control.route_ledger import MEMBER_TTL_S, Grant, Report
from huggingface_api_handler.inference.flow_control.route_record import RouteRecord
from tests.support.cluster_simulation import VirtualLedger
from tests.support.simulation import VirtualLoop

BOUND = 8
REQUESTS_AT_ONCE = 16
LATENCY_S = 0.2


class FaultyLedger(VirtualLedger):
    """One that cannot be reached while ``is_away``."""

    is_away = False

    async def sync(self, report: Report) -> Grant | None:
        """As of ``RouteLedger``."""
        if self.is_away:
            await asyncio.sleep(self.delay_s)
            return None
        return await super().sync(report)


@dataclass
class Work:
    """What several processes send."""

    ledger: FaultyLedger = field(default_factory=FaultyLedger)
    in_flight: int = 0
    peak: int = 0
    sent: dict[str, int] = field(default_factory=dict)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def join(self, name: str, rate: float | None = None) -> RouteCoordinator:
        """Begin one more process, which always has more to send."""
        clock = asyncio.get_running_loop().time
        coordinator = RouteCoordinator(self.ledger, BOUND, clock)
        limiter = Limiter(
            BOUND, clock, concurrency=AdaptiveConcurrencyLimit(BOUND, BOUND), rate_estimator=RateEstimator(rate),
            peers=coordinator,
        )  # fmt: skip
        coordinator.attach(limiter)
        self.sent[name] = 0
        await coordinator.refresh()
        self.tasks.append(asyncio.create_task(coordinator.watch()))
        self.tasks += [asyncio.create_task(self._send(name, limiter)) for _ in range(REQUESTS_AT_ONCE)]
        return coordinator

    async def _send(self, name: str, limiter: Limiter) -> None:
        while True:
            await limiter.acquire()
            self.in_flight += 1
            self.peak = max(self.peak, self.in_flight)
            self.sent[name] += 1
            await asyncio.sleep(LATENCY_S)
            self.in_flight -= 1
            limiter.release(Outcome(LATENCY_S, answered=True))

    async def end(self) -> None:
        """End all."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def run(scenario: Callable[[Work], Coroutine[Any, Any, None]]) -> None:
    """Run a scenario in virtual time."""

    async def whole() -> None:
        work = Work()
        try:
            await scenario(work)
        finally:
            await work.end()

    loop = VirtualLoop()
    try:
        loop.run_until_complete(whole())
    finally:
        loop.close()


def test_max_concurrency_holds_while_processes_join() -> None:
    async def scenario(work: Work) -> None:
        for index in range(12):
            await work.join(f"worker {index}")
            await asyncio.sleep(0.37)
        await asyncio.sleep(10)
        assert work.peak == BOUND
        assert min(work.sent.values()) > 10, "and everybody gets some"

    run(scenario)


def test_max_concurrency_holds_after_the_record_was_lost() -> None:
    async def scenario(work: Work) -> None:
        for name in "abcd":
            await work.join(name)
        await asyncio.sleep(5)
        work.ledger.record = RouteRecord()
        await asyncio.sleep(5)
        before = dict(work.sent)
        await asyncio.sleep(5)
        assert work.peak == BOUND
        assert min(work.sent[name] - before[name] for name in "abcd") > 20, "and all go on"

    run(scenario)
