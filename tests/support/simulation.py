"""Our client against the benchmarks' service in virtual time: minutes take milliseconds, and chance is seeded.

``python -m tests.support.simulation`` prints the table of benchmark 1 without a socket: our seconds and requests over
the ideal client's, for a few seeds. Options: ``--spread 0.5`` for lognormal latency, ``--burst 10`` for buckets of ten
seconds' worth of tokens, part of a case's name to run that alone, ``--trace`` to see each second of it.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import math
import random
import selectors
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple, TypeVar
from unittest import mock

import orjson
from multidict import CIMultiDict

from bench.ceiling import CASES, rows_for
from bench.ideal_client import best_batch, best_seconds
from bench.service import Plan, Service, Stats
from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.inference.failures import Failure
from huggingface_api_handler.inference.flow_control.batch_size import BatchSizeTuner
from huggingface_api_handler.inference.flow_control.concurrency import AdaptiveConcurrencyLimit
from huggingface_api_handler.inference.flow_control.limiter import Limiter
from huggingface_api_handler.inference.flow_control.route_profile import RouteProfile
from huggingface_api_handler.inference.protocols.routing import Route
from huggingface_api_handler.inference.runtime.context import Dependencies
from huggingface_api_handler.inference.runtime.executor import QueryExecutor
from huggingface_api_handler.inference.runtime.input_stream import InputStream
from huggingface_api_handler.inference.telemetry.usage import Usage
from huggingface_api_handler.inference.transport import rate_limit_headers
from huggingface_api_handler.inference.transport.client import Response
from huggingface_api_handler.tasks import Media, MediaRef, Prediction

NETWORK_S = 0.001
"""A request, or its response, is on its way for this at most."""
SAMPLE_INTERVAL_S = 0.05
"""Between two samples of the requests in flight."""
_EPOCH_S = 1.7e9  # the wall clock, in seconds since 1970, as virtual time begins

Inputs = str | list[str]
"""What a request carries: one text, or a batch."""
Fault = Callable[[Inputs], Response | None]
"""The response to a request for these inputs that is to fail; None where the service answers it."""

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    """Time passes only where the loop would wait."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("deadlock: every task waits, and no timer is set")
            self.now += max(0.0, timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose ``time()`` begins at 0 and passes without waiting. Do not use threads or sockets in it."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._virtual.now


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """``asyncio.run`` in virtual time.

    Args:
        coroutine: What to run.

    Returns:
        Its result.
    """
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


class SimulationResult(NamedTuple):
    """How a query went.

    Attributes:
        seconds: Virtual seconds that it took.
        unanswered: Rows that got no answer.
        stopped: Why the query stopped early, None where it did not.
        stats: What the service counted.
        finished: When each row was answered, in order.
        in_flight: Requests in flight, every ``SAMPLE_INTERVAL_S``.
    """

    seconds: float
    unanswered: int
    stopped: Failure | None
    stats: Stats
    finished: list[float]
    in_flight: list[int]

    @property
    def requests(self) -> int:
        """Requests that the service got."""
        return int(self.stats["requests"])

    @property
    def refused(self) -> int:
        """Requests that the service refused, whatever for."""
        return sum(self.stats["refused"].values())

    def rate(self, since: float, until: float) -> float:
        """Rows a second that were answered between two moments.

        Args:
            since: Virtual seconds.
            until: Virtual seconds.

        Returns:
            The mean rate.
        """
        return sum(since <= at < until for at in self.finished) / (until - since)


class _Reply:
    """Where the service puts its response."""

    def __init__(self) -> None:
        self.response: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    def reply(self, status: int, body: bytes, headers: bytes = b"") -> None:
        fields = (line.decode().split(": ", 1) for line in headers.split(b"\r\n") if line)
        if self.response.cancelled():  # the client has gone
            return
        self.response.set_result(Response(status, CIMultiDict((name, value) for name, value in fields), body))


def simulate(
    plan: Plan,
    rows: int,
    seed: int = 0,
    *,
    spread: float = 0.0,
    changes: Sequence[tuple[float, Mapping[str, Any]]] = (),
    fault: Fault = lambda inputs: None,
    timeout_s: float = 120.0,
    using: Mapping[str, Any] = MappingProxyType({}),
    trace: bool = False,
) -> SimulationResult:
    """Run one query of distinct texts on a new route.

    Args:
        plan: How the service behaves.
        rows: Texts to classify.
        seed: Of all chance.
        spread: Sigma of a lognormal factor, of mean 1, on the latency of each request.
        changes: What changes in the plan, as (virtual seconds, new values of its fields).
        fault: Says which requests fail, and how.
        timeout_s: Seconds after which the client gives a request up. The service does not notice.
        using: What the model is told besides task and columns.
        trace: Print the state of the client every second.

    Returns:
        How it went.
    """

    async def query() -> SimulationResult:
        loop = asyncio.get_running_loop()

        def later(seconds: float, *call: Any) -> None:
            loop.call_later(seconds * random.lognormvariate(-spread * spread / 2, spread), *call)

        service = Service(plan, later, loop.time, lambda: _EPOCH_S + loop.time())

        def change(values: Mapping[str, Any]) -> None:
            service.plan = replace(service.plan, **values)

        for at, values in changes:
            loop.call_later(at, change, values)

        async def post(url: str, body: bytes, headers: dict[str, str], timeout: float) -> Response:
            reply = _Reply()
            await asyncio.sleep(NETWORK_S * random.uniform(0.3, 1.0))
            response = fault(orjson.loads(body)["inputs"])
            if response is None:
                service.request(reply, b"a", body, is_json=True)
                response = await asyncio.wait_for(reply.response, timeout)
            await asyncio.sleep(NETWORK_S * random.uniform(0.3, 1.0))
            return response

        async def load(_: MediaRef) -> Media:
            raise AssertionError("no media here")

        async def save(_: Media) -> str:
            raise AssertionError("no media here")

        concurrency = AdaptiveConcurrencyLimit(timeout_s=timeout_s)
        limiter, usage = Limiter(clock=loop.time, concurrency=concurrency), Usage("", "", "")
        finished: list[float] = []
        in_flight: list[int] = []
        profile = RouteProfile(batch_size=BatchSizeTuner(timeout_s=timeout_s))
        dependencies = Dependencies(post, limiter, profile, load, save, asyncio.sleep, loop.time)
        engine = engine_settings({"endpoint": "http://127.0.0.1:1"})
        model = model_settings({"task": "text-classification", "column": "t", "target": "y", **using}, engine)
        texts = [f"input {seed} number {index} " + "x" * (index % 7) for index in range(rows)]
        executor = QueryExecutor(
            model,
            Route("http://h", "m", {}, has_key=False),
            timeout_s,
            usage,
            dependencies,
            InputStream.of(texts),
        )

        async def watch() -> None:
            while True:
                finished.extend([loop.time()] * (executor.done - len(finished)))
                in_flight.append(limiter.in_flight)
                if trace and round(loop.time(), 2) % 1 == 0:
                    print(_state(loop.time(), executor, limiter))  # noqa: T201 -- a command prints
                await asyncio.sleep(SAMPLE_INTERVAL_S)

        watching = asyncio.ensure_future(watch())
        try:
            await executor.run()
        finally:
            watching.cancel()
        finished.extend([loop.time()] * (executor.done - len(finished)))
        unanswered = sum(not isinstance(result, Prediction) for result in executor.results)
        return SimulationResult(loop.time(), unanswered, executor.stopped, service.stats(), finished, in_flight)

    loop = VirtualLoop()
    random_state = random.getstate()
    random.seed(seed)
    try:
        with mock.patch.object(rate_limit_headers, "time", SimpleNamespace(time=lambda: _EPOCH_S + loop.time())):
            return loop.run_until_complete(query())
    finally:
        loop.close()
        random.setstate(random_state)


def _state(now: float, executor: QueryExecutor, limiter: Limiter) -> str:
    concurrency, rate_estimator = limiter.concurrency, limiter.rate_estimator
    ceiling = concurrency._ceiling_after_rejection
    return (
        f"  t={now:7.2f} done={executor.done} in_flight={limiter.in_flight} limit={concurrency.limit:.1f}"
        f" ceiling={ceiling.value:.0f} until {ceiling.expires_at:.1f} rate={rate_estimator.rate}"
        f" certain={rate_estimator._is_certain} non_rate_limited={rate_estimator.is_non_rate_limited(now)}"
        f" size={executor._deps.profile.batch_size.best} waits={executor._sender._usage.rate_limit_waits}"
    )


def ideal_seconds(plan: Plan, rows: int, spread: float = 0.0) -> float:
    """Seconds that a client needs which knows the plan, the network included.

    Args:
        plan: How the service behaves.
        rows: Texts to classify.
        spread: As of ``simulate``.

    Returns:
        Virtual seconds.
    """
    size = best_batch(plan, rows)
    if plan.queue == 0:  # then no request can wait at the service, and its slots are empty while responses travel
        plan = replace(plan, latency=plan.latency + 1.3 * NETWORK_S)
    seconds = best_seconds(plan, rows, size)
    if spread:  # no client does better than to fill each slot as soon as it is free
        chance = random.Random(0)
        free_at = [0.0] * plan.capacity
        for _ in range(math.ceil(rows / size)):
            latency = plan.latency + plan.per_item * size
            heapq.heappushpop(free_at, free_at[0] + latency * chance.lognormvariate(-spread * spread / 2, spread))
        seconds = max(seconds, plan.loading + max(free_at))
    return seconds + 2 * NETWORK_S


class Ratios(NamedTuple):
    """Our client against the ideal one.

    Attributes:
        seconds: Our seconds over the ideal client's.
        requests: Our requests over the fewest possible.
        early: Requests sent before a time that the service announced.
        unanswered: Rows that got no answer.
        result: How the query went.
    """

    seconds: float
    requests: float
    early: int
    unanswered: int
    result: SimulationResult


def ratios(plan: Plan, seconds: float, seed: int = 0, spread: float = 0.0, *, trace: bool = False) -> Ratios:
    """Run a case of benchmark 1.

    Args:
        plan: How the service behaves.
        seconds: What the ideal client is to need, from which the number of rows follows.
        seed: As of ``simulate``.
        spread: As of ``simulate``.
        trace: As of ``simulate``.

    Returns:
        Our client against the ideal one.
    """
    rows = rows_for(plan, seconds)
    result = simulate(plan, rows, seed, spread=spread, trace=trace)
    fewest = rows if plan.largest_batch == 1 else math.ceil(rows / best_batch(plan, rows))
    best = ideal_seconds(plan, rows, spread)
    return Ratios(
        result.seconds / best, result.requests / fewest, result.stats["violations"], result.unanswered, result
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", default="")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--spread", type=float, default=0.0)
    parser.add_argument("--burst", type=float, help="seconds' worth of requests in a bucket; 0 for one request")
    parser.add_argument("--trace", action="store_true")
    options = parser.parse_args()
    for name, (plan, seconds) in CASES.items():
        if options.name not in name or (options.burst is not None and plan.rate is None):
            continue
        service = plan
        if options.burst is not None and plan.rate is not None:
            service = replace(plan, burst=max(1.0, options.burst * plan.rate))
        runs = [ratios(service, seconds, seed, options.spread, trace=options.trace) for seed in range(options.seeds)]
        times = sorted(run.seconds for run in runs)
        refused = max((run.result.stats["refused"] for run in runs), key=lambda counts: sum(counts.values()))
        print(  # noqa: T201 -- a command prints
            f"{name:38s} time {times[len(times) // 2]:.3f} worst {times[-1]:.3f}"
            f"  requests {max(run.requests for run in runs):.3f}  refused {refused}"
            + "".join(f"  early {run.early}" for run in runs if run.early)
            + "".join(f"  not answered {run.unanswered} {run.result.stopped}" for run in runs if run.unanswered)
        )


if __name__ == "__main__":
    main()
