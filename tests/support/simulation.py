"""Our client against the benchmarks' service in virtual time, so that minutes pass in milliseconds and chance is seeded.

``python -m tests.support.simulation`` prints the table of benchmark 1 without a socket: our seconds and requests over the
ideal client's, the worst of a few seeds. Options: ``--spread 0.5`` for lognormal latency, ``--burst 10`` for buckets of ten
seconds' worth, part of a case's name to run that alone, ``--trace`` to see each second of it.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import math
import random
import selectors
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeVar
from unittest import mock

import orjson
from multidict import CIMultiDict

from bench.ceiling import CASES, rows_for
from bench.ideal_client import best_batch, best_seconds
from bench.service import Plan, Service, Stats
from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.inference.flow_control.limiter import Limiter
from huggingface_api_handler.inference.flow_control.route_profile import RouteProfile
from huggingface_api_handler.inference.protocols.routing import Route
from huggingface_api_handler.inference.runtime.executor import Dependencies, QueryExecutor
from huggingface_api_handler.inference.telemetry.usage import Usage
from huggingface_api_handler.inference.transport import rate_limit_headers
from huggingface_api_handler.inference.transport.client import Response
from huggingface_api_handler.tasks import Prediction

NETWORK = 0.001
"""Seconds that a request, or its answer, is on its way at most."""
_EPOCH = 1.7e9

Returned = TypeVar("Returned")


class _Selector(selectors.DefaultSelector):
    """Time passes where the loop would wait for it, and nowhere else."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("everything waits, and nothing will ever happen")
            self.now += max(0.0, timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose ``time()`` begins at 0 and passes without waiting. Nothing of it may use a thread or socket."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


def run(coroutine: Coroutine[Any, Any, Returned]) -> Returned:
    """``asyncio.run`` in virtual time."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


class Simulated(NamedTuple):
    """What came of a query: virtual seconds, rows not answered rightly, and what the service counted."""

    seconds: float
    bad: int
    stopped: Any
    stats: Stats
    finished: list[float]
    """When each row was answered, in order."""
    in_flight: list[int]
    """Requests out, at each twentieth of a second."""

    @property
    def requests(self) -> int:
        return int(self.stats["requests"])

    @property
    def refused(self) -> int:
        return sum(self.stats["refused"].values())

    def rate(self, since: float, until: float) -> float:
        """Rows a second that were answered between two moments."""
        return sum(since <= at < until for at in self.finished) / (until - since)


class _Reply:
    """Where the service puts its answer."""

    def __init__(self) -> None:
        self.came: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    def reply(self, status: int, body: bytes, headers: bytes = b"") -> None:
        told = (line.decode().split(": ", 1) for line in headers.split(b"\r\n") if line)
        self.came.set_result(Response(status, CIMultiDict((name, value) for name, value in told), body))


def simulate(
    plan: Plan,
    rows: int,
    seed: int = 0,
    *,
    spread: float = 0.0,
    changes: Sequence[tuple[float, dict[str, Any]]] = (),
    fault: Callable[[Any], Response | None] = lambda inputs: None,
    trace: bool = False,
) -> Simulated:
    """Ask ``rows`` distinct texts of a service that follows ``plan``, with nothing learned before.

    ``spread`` is the sigma of a lognormal factor, of mean 1, on the time that each request takes. ``changes`` says
    what becomes different in the plan, and when. What ``fault`` returns for a request's inputs is the answer to it.
    """

    async def query() -> Simulated:
        loop = asyncio.get_running_loop()

        def later(seconds: float, *call: Any) -> None:
            loop.call_later(seconds * random.lognormvariate(-spread * spread / 2, spread), *call)

        service = Service(plan, later, loop.time, lambda: _EPOCH + loop.time())
        for at, different in changes:
            loop.call_later(at, lambda to=different: setattr(service, "plan", replace(service.plan, **to)))

        async def post(url: str, body: bytes, headers: dict[str, str], timeout: float) -> Response:
            arrival = _Reply()
            await asyncio.sleep(NETWORK * random.uniform(0.3, 1.0))
            failed = fault(orjson.loads(body)["inputs"])
            if failed is None:
                service.request(arrival, b"a", body, is_json=True)
                failed = await arrival.came
            await asyncio.sleep(NETWORK * random.uniform(0.3, 1.0))
            return failed

        async def no_media(_: Any) -> Any:
            raise AssertionError("no media here")

        limiter, usage, finished = Limiter(clock=loop.time), Usage("", "", ""), []
        in_flight: list[int] = []
        dependencies = Dependencies(post, limiter, RouteProfile(), no_media, no_media, asyncio.sleep, loop.time)
        engine = engine_settings({"endpoint": "http://127.0.0.1:1"})
        model = model_settings({"task": "text-classification", "column": "t", "target": "y"}, engine)
        texts = [f"input {seed} number {index} " + "x" * (index % 7) for index in range(rows)]
        executor = QueryExecutor(model, Route("http://h", "m", {}, has_key=False), 1000.0, usage, dependencies, texts)

        async def watch() -> None:
            while True:
                finished.extend([loop.time()] * (executor.done - len(finished)))
                in_flight.append(limiter.in_flight)
                if trace and round(loop.time(), 2) % 1 == 0:
                    print(_state(loop.time(), executor, limiter))  # noqa: T201 -- a command prints
                await asyncio.sleep(0.05)

        watching = asyncio.ensure_future(watch())
        try:
            await executor.run()
        finally:
            watching.cancel()
        finished.extend([loop.time()] * (executor.done - len(finished)))
        bad = sum(not isinstance(result, Prediction) for result in executor.results)
        return Simulated(loop.time(), bad, executor.stopped, service.stats(), finished, in_flight)

    loop = VirtualLoop()
    chance = random.getstate()
    random.seed(seed)
    try:
        with mock.patch.object(rate_limit_headers, "time", SimpleNamespace(time=lambda: _EPOCH + loop.time())):
            return loop.run_until_complete(query())
    finally:
        loop.close()
        random.setstate(chance)


def _state(now: float, executor: QueryExecutor, limiter: Limiter) -> str:
    ceiling, rate_estimator = limiter.concurrency, limiter.rate_estimator
    return (
        f"  t={now:7.2f} done={executor.done} out={limiter.in_flight} limit={ceiling.limit:.1f}"
        f" roof={ceiling._ceiling_after_rejection:.0f} until {ceiling._ceiling_expires_at:.1f} pace={rate_estimator.rate} sure={rate_estimator._sure}"
        f" unruly={rate_estimator.is_non_rate_limited(now)} size={executor._profile.batch_size.best} waits={executor._receipt.waits}"
    )


def ideal_seconds(plan: Plan, rows: int, spread: float = 0.0) -> float:
    """Seconds that one who was told the plan needs for the rows, the network included."""
    size = best_batch(plan, rows)
    if plan.queue == 0:  # then nothing can wait at the service, and its places stand empty while answers travel
        plan = replace(plan, latency=plan.latency + 1.3 * NETWORK)
    at_best = best_seconds(plan, rows, size)
    if spread:  # nobody can do better than to fill each place as soon as it is free
        chance = random.Random(0)
        places = [0.0] * plan.capacity
        for _ in range(math.ceil(rows / size)):
            each = plan.latency + plan.per_item * size
            heapq.heappushpop(places, places[0] + each * chance.lognormvariate(-spread * spread / 2, spread))
        at_best = max(at_best, plan.loading + max(places))
    return at_best + 2 * NETWORK


class Ratios(NamedTuple):
    """Our seconds over the ideal client's, our requests over what is fewest, and requests sent before an announced time."""

    seconds: float
    requests: float
    early: int
    bad: int
    run: Simulated


def ratios(plan: Plan, seconds: float, seed: int = 0, spread: float = 0.0, *, trace: bool = False) -> Ratios:
    """A case of benchmark 1, in which the ideal client is to need ``seconds``."""
    rows = rows_for(plan, seconds)
    came = simulate(plan, rows, seed, spread=spread, trace=trace)
    fewest = rows if plan.largest_batch == 1 else math.ceil(rows / best_batch(plan, rows))
    best = ideal_seconds(plan, rows, spread)
    return Ratios(came.seconds / best, came.requests / fewest, came.stats["violations"], came.bad, came)


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("name", nargs="?", default="")
    given.add_argument("--seeds", type=int, default=3)
    given.add_argument("--spread", type=float, default=0.0)
    given.add_argument("--burst", type=float, help="seconds' worth of requests in a bucket; 0 for one request")
    given.add_argument("--trace", action="store_true")
    options = given.parse_args()
    for name, (plan, seconds) in CASES.items():
        if options.name not in name or (options.burst is not None and plan.rate is None):
            continue
        service = plan
        if options.burst is not None and plan.rate is not None:
            service = replace(plan, burst=max(1.0, options.burst * plan.rate))
        runs = [ratios(service, seconds, seed, options.spread, trace=options.trace) for seed in range(options.seeds)]
        times = sorted(run.seconds for run in runs)
        refused = max((run.run.stats["refused"] for run in runs), key=lambda counts: sum(counts.values()))
        print(  # noqa: T201 -- a command prints
            f"{name:38s} time {times[len(times) // 2]:.3f} worst {times[-1]:.3f}"
            f"  requests {max(run.requests for run in runs):.3f}  refused {refused}"
            + "".join(f"  early {run.early}" for run in runs if run.early)
            + "".join(f"  not answered {run.bad} {run.run.stopped}" for run in runs if run.bad)
        )


if __name__ == "__main__":
    main()
