"""What goes wrong between workers and what they share: no row is lost or wrong, and what it costs in requests is bounded.

Workers are processes, each with a folder of its own, as on a machine of its own. Only what is at ``store`` is shared; in
the tests over SQLite it is the folder. ``FAULT_SECONDS`` is how long a partition lasts: 2 s, and 10 s nightly.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from huggingface_api_handler.inference.storage.response_cache import MAX_UNWRITTEN_ROWS
from tests.cluster.jobs import cost_of, finish, slices, workers_of
from tests.support.logged_service import KINDS, LoggedService, times_answered
from tests.support.redis_server import RedisServer
from tests.support.tcp_proxy import TcpProxy
from tests.support.worker import Slice, WorkerForks, text_of

FAULT_SECONDS = float(os.environ.get("FAULT_SECONDS", "2"))
ROWS = 900
"""About three seconds of ``MANY_SLOTS``."""
LIMITED_ROWS = 120
"""About five seconds of ``LIMITED``."""
MANY_SLOTS = KINDS["200 ms, 64 at once"]
LIMITED = KINDS["20 a second"]
IN_FLIGHT = MANY_SLOTS.capacity + MANY_SLOTS.queue
"""The most requests that the service has at once."""
SPARE_BYTES = 64 * 1024
"""What a Redis may still store before it is full."""
LATENCY_S = 1.0
CLOCK_OFFSET = "+300s"
SET_CLOCK = ("faketime", "--exclude-monotonic", "-f", CLOCK_OFFSET)

Engines = Callable[[int], list[dict[str, Any]]]
"""The arguments of the engines of so many workers that share a store."""


@pytest.fixture
def over_sqlite(service: LoggedService, tmp_path: Path) -> Engines:
    return lambda count: [{"endpoint": service.url, "cache_dir": str(tmp_path / "shared")} for _ in range(count)]


@pytest.fixture
def over_redis(service: LoggedService, tmp_path: Path, redis_server: RedisServer) -> Engines:
    return lambda count: [engine(service, tmp_path, number, redis_server.url) for number in range(count)]


def engine(service: LoggedService, folder: Path, number: int, store: str) -> dict[str, Any]:
    """The arguments of a worker on a machine of its own."""
    return {"endpoint": service.url, "cache_dir": str(folder / f"machine-{number}"), "store": store}


@pytest.fixture(params=["SQLite", "Redis"])
def store(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def engines(store: str, request: pytest.FixtureRequest) -> Engines:
    made: Engines = request.getfixturevalue(f"over_{store.lower()}")
    return made


@pytest.fixture
def proxies(redis_server: RedisServer) -> Iterator[list[TcpProxy]]:
    """Two, to one Redis."""
    with ExitStack() as stack:
        yield [stack.enter_context(TcpProxy(redis_server.port)) for _ in range(2)]


def test_nothing_goes_wrong(forks: WorkerForks, service: LoggedService, store: str, engines: Engines) -> None:
    service.set_plan(MANY_SLOTS)
    with workers_of(slices(ROWS, engines(2)), forks) as workers:
        for worker in workers:
            worker.go()
        outcomes = finish(workers)
    cost = cost_of("none", store, ROWS, service, outcomes)
    assert cost.twice == 0
    assert cost.per_row <= 1.1


def test_a_worker_that_is_killed_is_replaced_and_nothing_stored_is_asked_again(
    forks: WorkerForks, service: LoggedService, store: str, engines: Engines
) -> None:
    service.set_plan(MANY_SLOTS)
    first, second = slices(ROWS, engines(2))
    replacement = Slice("replacement", first.first, first.end, first.engine)
    with workers_of([first, second, replacement], forks) as (killed, other, instead):
        killed.go()
        other.go()
        service.wait_for_answers(ROWS // 3)
        killed.kill()
        instead.go()
        outcomes = finish([other, instead])
    asked, asked_before = (
        {text for entry in service.log() if entry.worker == name for text in entry.inputs}
        for name in ("replacement", killed.part.worker)
    )
    cost = cost_of("a worker is killed", store, ROWS, service, outcomes)
    assert len(asked) == outcomes[1].rows - outcomes[1].usage["stored"], "what was stored is not asked again"
    assert cost.twice <= len(asked & asked_before)
    assert cost.twice <= min(IN_FLIGHT + MAX_UNWRITTEN_ROWS, ROWS // 6), "most of what was answered had been stored"
    assert cost.requests <= 1.1 * (ROWS + cost.twice + IN_FLIGHT)


@pytest.mark.parametrize("persistent", [False, True], ids=["empty", "persistent"])
def test_a_redis_that_is_killed_and_started_again(
    forks: WorkerForks, service: LoggedService, tmp_path: Path, persistent: bool
) -> None:
    service.set_plan(MANY_SLOTS)
    with RedisServer(persistent=persistent) as redis:
        parts = slices(ROWS, [engine(service, tmp_path, number, redis.url) for number in range(2)])
        with workers_of(parts, forks) as workers:
            for worker in workers:
                worker.go()
            service.wait_for_answers(ROWS // 4)
            redis.kill()
            service.wait_for_answers(ROWS // 2)
            redis.start()
            outcomes = finish(workers)
        what = "its keys stay" if persistent else "comes back empty"
        cost = cost_of(f"Redis is killed, {what}", "Redis", ROWS, service, outcomes)
        assert cost.twice == 0
        assert cost.per_row <= 1.15
        if persistent:
            again(forks, service, engine(service, tmp_path, 2, redis.url))


def again(forks: WorkerForks, service: LoggedService, whole: dict[str, Any]) -> None:
    """The same table once more, on another machine: what could not be stored is asked, and nothing else."""
    service.set_plan(MANY_SLOTS)
    with workers_of(slices(ROWS, [whole]), forks) as workers:
        workers[0].go()
        outcomes = finish(workers)
    stored = outcomes[0].usage["stored"]
    cost_of("  the same table again", "Redis", ROWS, service, outcomes, stored)
    assert stored >= ROWS // 2, "only what came while Redis was away is not there"


def used_memory(redis: RedisServer) -> int:
    lines = dict(line.split(":", 1) for line in redis.cli("INFO", "memory").splitlines() if ":" in line)
    return int(lines["used_memory"])


@pytest.mark.parametrize("policy", ["noeviction", "allkeys-lru"])
def test_a_redis_that_is_full(
    forks: WorkerForks, service: LoggedService, redis_server: RedisServer, over_redis: Engines, policy: str
) -> None:
    service.set_plan(MANY_SLOTS)
    redis_server.cli("CONFIG", "SET", "maxmemory-policy", policy)
    with workers_of(slices(ROWS, over_redis(2)), forks) as workers:
        for worker in workers:
            worker.go()
        service.wait_for_answers(ROWS // 4)
        redis_server.cli("CONFIG", "SET", "maxmemory", str(used_memory(redis_server) + SPARE_BYTES))
        outcomes = finish(workers)
    cost = cost_of(f"Redis is full, {policy}", "Redis", ROWS, service, outcomes)
    assert cost.twice == 0
    assert cost.per_row <= 1.15
    said = " ".join(warning for outcome in outcomes for warning in outcome.warnings)
    assert policy == "noeviction" or policy in said, "a policy that evicts what is shared is warned of"


def test_flushall_in_the_middle(
    forks: WorkerForks, service: LoggedService, redis_server: RedisServer, over_redis: Engines
) -> None:
    service.set_plan(MANY_SLOTS)
    with workers_of(slices(ROWS, over_redis(2)), forks) as workers:
        for worker in workers:
            worker.go()
        for quarter in (1, 2, 3):
            service.wait_for_answers(quarter * ROWS // 4)
            redis_server.cli("FLUSHALL")
        outcomes = finish(workers)
    cost = cost_of("FLUSHALL, three times", "Redis", ROWS, service, outcomes)
    assert cost.twice == 0
    assert cost.per_row <= 1.15


@pytest.mark.parametrize("plan", [MANY_SLOTS, LIMITED], ids=["64 at once", "20 a second"])
def test_a_partition_between_one_worker_and_redis(
    forks: WorkerForks,
    service: LoggedService,
    tmp_path: Path,
    redis_server: RedisServer,
    proxies: list[TcpProxy],
    plan: Any,
) -> None:
    service.set_plan(plan)
    limited = plan is LIMITED
    rows = LIMITED_ROWS if limited else ROWS
    proxy = proxies[0]
    stores = [redis_server.url.replace(str(redis_server.port), str(proxy.port)), redis_server.url]
    with workers_of(
        slices(rows, [engine(service, tmp_path, n, url) for n, url in enumerate(stores)]), forks
    ) as workers:
        for worker in workers:
            worker.go()
        service.wait_for_answers(rows // 4)
        proxy.drop()
        time.sleep(FAULT_SECONDS)
        proxy.forward()
        outcomes = finish(workers)
    what = "20 a second" if limited else "64 at once"
    cost = cost_of(f"partition of {FAULT_SECONDS:g} s, {what}", "Redis", rows, service, outcomes)
    assert cost.twice == 0
    assert cost.per_row <= (1.5 if limited else 1.15)


def test_clocks_that_differ_by_five_minutes(forks: WorkerForks, service: LoggedService, over_redis: Engines) -> None:
    assert shutil.which("faketime"), (
        "faketime is not installed: `apt-get install faketime`, or `make test-cluster` as root"
    )
    service.set_plan(LIMITED)
    with workers_of(slices(LIMITED_ROWS, over_redis(2)), forks, [(), SET_CLOCK]) as workers:
        for worker in workers:
            worker.go()
        outcomes = finish(workers)
    cost = cost_of("clocks differ by 300 s", "Redis", LIMITED_ROWS, service, outcomes)
    assert cost.twice == 0
    assert cost.per_row <= 1.3


def test_two_engines_on_one_route_share_its_limit_and_no_answers(
    forks: WorkerForks, service: LoggedService, store: str, engines: Engines
) -> None:
    service.set_plan(LIMITED)
    rows = LIMITED_ROWS // 2
    one, other = engines(2)
    parts = [Slice("one", 0, rows, {**one, "name": "one"}), Slice("other", 0, rows, {**other, "name": "other"})]
    with workers_of(parts, forks) as workers:
        for worker in workers:
            worker.go()
        outcomes = finish(workers)
    cost = cost_of("two engines on one route", store, rows, service, outcomes)
    assert cost.twice == rows, "an engine of another name finds no answers of this one"
    assert cost.requests <= 1.3 * 2 * rows
    assert set(times_answered(service.log()).values()) == {2}
    assert set(times_answered(service.log())) == {text_of(number) for number in range(rows)}


def test_latency_of_a_second_to_redis(
    forks: WorkerForks, service: LoggedService, tmp_path: Path, redis_server: RedisServer, proxies: list[TcpProxy]
) -> None:
    service.set_plan(MANY_SLOTS)
    urls = [redis_server.url.replace(str(redis_server.port), str(proxy.port)) for proxy in proxies]
    for proxy in proxies:
        proxy.delay(LATENCY_S)
    with workers_of(slices(ROWS, [engine(service, tmp_path, n, url) for n, url in enumerate(urls)]), forks) as workers:
        for worker in workers:
            worker.go()
        outcomes = finish(workers)
    cost = cost_of("1,000 ms each way to Redis", "Redis", ROWS, service, outcomes)
    assert cost.twice == 0
    assert cost.per_row <= 1.15
