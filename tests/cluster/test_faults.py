"""What goes wrong between workers and what they share: no row is lost or wrong, and what it costs in requests is bounded.

Workers are processes, each with a folder of its own, as on a machine of its own. Only what is at ``store`` is shared; in
the tests over SQLite it is the folder. ``FAULT_SECONDS`` is how long a partition lasts: 2 s, and 10 s nightly. ``KILL_ROWS`` are
the rows of the job of four workers: 8,000, and 200,000 nightly.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.service import Plan
from huggingface_api_handler.inference.storage.response_cache import MAX_UNWRITTEN_ROWS
from tests.cluster.jobs import Cluster, Cost, assert_pauses_are_kept, cost_of, finish, slices, workers_of
from tests.support.logged_service import KINDS, LoggedService, times_answered
from tests.support.redis_server import RedisServer
from tests.support.tcp_proxy import TcpProxy
from tests.support.worker import Slice, WorkerForks, text_of

FAULT_SECONDS = float(os.environ.get("FAULT_SECONDS", "2"))
KILL_ROWS = int(os.environ.get("KILL_ROWS", "8000"))
ROWS = 900
"""About three seconds of ``MANY_SLOTS``."""
LIMITED_ROWS = 120
"""About five seconds of ``LIMITED``."""
MANY_SLOTS = KINDS["200 ms, 64 at once"]
LIMITED = KINDS["20 a second"]
LARGEST_BATCH = 32
LISTS = Plan(latency=0.05, per_item=0.001, capacity=8, queue=32, largest_batch=LARGEST_BATCH)
IN_FLIGHT = MANY_SLOTS.capacity + MANY_SLOTS.queue
"""The most requests that the service has at once."""
MOST_PER_ROW = {MANY_SLOTS: 1.15, LIMITED: 1.4}
"""Requests over rows. A short job on few requests a second pays more for each time that it finds the rate."""
SPARE_BYTES = 64 * 1024
"""What a Redis may still store before it is full."""
LATENCY_S = 1.0
SET_CLOCK = ("faketime", "--exclude-monotonic", "-f", "+300s")

Engines = Callable[[int], list[dict[str, Any]]]
"""The arguments of the engines of so many workers that share a store."""


@pytest.fixture
def cluster(service: LoggedService, forks: WorkerForks, tmp_path: Path) -> Cluster:
    return Cluster(service, forks, tmp_path)


@pytest.fixture
def over_sqlite(cluster: Cluster) -> Engines:
    shared = {"endpoint": cluster.service.url, "cache_dir": str(cluster.folder / "shared")}
    return lambda count: [shared] * count


@pytest.fixture
def over_redis(cluster: Cluster, redis_server: RedisServer) -> Engines:
    return lambda count: [cluster.engine(number, redis_server.url) for number in range(count)]


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


def address_of(proxy: TcpProxy) -> str:
    return f"redis://127.0.0.1:{proxy.port}/0"


def assert_cheap(cost: Cost, plan: Plan, processes_apart: int = 1) -> None:
    """Nothing was answered twice, and the limits were found with few refusals: by each for itself, where they are apart."""
    assert cost.twice == 0
    assert cost.per_row <= max(MOST_PER_ROW[plan], processes_apart)


def lasting_keys(redis: RedisServer) -> int:
    """Keys but for those of what a query is about to ask, which is claimed for seconds."""
    script = "local n = 0 for _, k in ipairs(redis.call('KEYS', '*')) do if not k:find('}!', 1, true) then n = n + 1 end end return n"
    return int(redis.cli("EVAL", script, "0"))


def used_memory(redis: RedisServer) -> int:
    lines = dict(line.split(":", 1) for line in redis.cli("INFO", "memory").splitlines() if ":" in line)
    return int(lines["used_memory"])


def test_nothing_goes_wrong(cluster: Cluster, store: str, engines: Engines) -> None:
    cluster.service.set_plan(MANY_SLOTS)
    outcomes = cluster.run(slices(ROWS, engines(2)))
    assert_cheap(cost_of("none", store, ROWS, cluster.service, outcomes), MANY_SLOTS)


def test_a_worker_that_is_killed_is_replaced_and_nothing_stored_is_asked_again(
    cluster: Cluster, store: str, engines: Engines
) -> None:
    service = cluster.service
    service.set_plan(MANY_SLOTS)
    first, second = slices(ROWS, engines(2))
    with workers_of([first, second, replace(first, worker="replacement")], cluster.forks) as (killed, other, instead):
        killed.go()
        other.go()
        service.wait_for_answers(ROWS // 3)
        killed.kill()
        instead.go()
        outcomes = finish([other, instead])
    asked, asked_before = (
        {text for entry in service.log() if entry.worker == name for text in entry.inputs}
        for name in ("replacement", first.worker)
    )
    cost = cost_of("a worker is killed", store, ROWS, service, outcomes)
    assert len(asked) == outcomes[1].rows - outcomes[1].usage["stored"], "what was stored is not asked again"
    assert cost.twice <= len(asked & asked_before)
    assert cost.twice <= min(IN_FLIGHT + MAX_UNWRITTEN_ROWS, ROWS // 6), "most of what was answered had been stored"
    assert cost.requests <= 1.1 * (ROWS + cost.twice + IN_FLIGHT)


def test_one_of_four_workers_is_killed(cluster: Cluster, over_redis: Engines) -> None:
    service = cluster.service
    service.set_plan(LISTS)
    parts = slices(KILL_ROWS, over_redis(4))
    with workers_of([*parts, replace(parts[0], worker="replacement")], cluster.forks) as (killed, *others, instead):
        for worker in (killed, *others):
            worker.go()
        service.wait_for_answers(KILL_ROWS // 2)
        killed.kill()
        instead.go()
        outcomes = finish([*others, instead])
    asked = {text for entry in service.log() if entry.worker == "replacement" for text in entry.inputs}
    cost = cost_of("one of four workers is killed, lists", "Redis", KILL_ROWS, service, outcomes)
    assert len(asked) == outcomes[-1].rows - outcomes[-1].usage["stored"], "what was stored is not asked again"
    in_flight = LARGEST_BATCH * (LISTS.capacity + LISTS.queue)
    assert cost.twice <= min(MAX_UNWRITTEN_ROWS + in_flight, KILL_ROWS // 8)


@pytest.mark.parametrize("persistent", [False, True], ids=["empty", "persistent"])
def test_a_redis_that_is_killed_and_started_again(cluster: Cluster, persistent: bool) -> None:
    service = cluster.service
    service.set_plan(MANY_SLOTS)
    kept: list[int] = []
    with RedisServer(persistent=persistent) as redis:

        def fault() -> None:
            service.wait_for_answers(ROWS // 4)
            redis.kill()
            service.wait_for_answers(ROWS // 3)
            redis.start()
            kept.append(lasting_keys(redis))

        outcomes = cluster.run(slices(ROWS, [cluster.engine(number, redis.url) for number in range(2)]), fault)
        what = "its keys stay" if persistent else "it comes back empty"
        assert_cheap(cost_of(f"Redis is killed, {what}", "Redis", ROWS, service, outcomes), MANY_SLOTS)
        assert lasting_keys(redis) > kept[0], "it is used again"
        if persistent:
            service.set_plan(MANY_SLOTS)
            outcomes = cluster.run(slices(ROWS, [cluster.engine(2, redis.url)]))
            stored = outcomes[0].usage["stored"]
            cost_of("  the same table again", "Redis", ROWS, service, outcomes, stored)
            assert stored > kept[0], "only what came while Redis was away is asked again"


def test_a_redis_that_was_never_there(cluster: Cluster, proxies: list[TcpProxy]) -> None:
    cluster.service.set_plan(MANY_SLOTS)
    proxies[0].refuse()
    proxies[1].drop()
    parts = slices(ROWS, [cluster.engine(number, address_of(proxy)) for number, proxy in enumerate(proxies)])
    outcomes = cluster.run(parts)
    cost = cost_of("no Redis: refused to one, silent to the other", "Redis", ROWS, cluster.service, outcomes)
    assert_cheap(cost, MANY_SLOTS)
    assert all(outcome.warnings for outcome in outcomes), "a store that cannot be used is warned of"


@pytest.mark.parametrize("policy", ["noeviction", "allkeys-lru"])
def test_a_redis_that_is_full(cluster: Cluster, redis_server: RedisServer, over_redis: Engines, policy: str) -> None:
    cluster.service.set_plan(MANY_SLOTS)
    redis_server.cli("CONFIG", "SET", "maxmemory-policy", policy)

    def fault() -> None:
        cluster.service.wait_for_answers(ROWS // 4)
        redis_server.cli("CONFIG", "SET", "maxmemory", str(used_memory(redis_server) + SPARE_BYTES))

    outcomes = cluster.run(slices(ROWS, over_redis(2)), fault)
    assert_cheap(cost_of(f"Redis is full, {policy}", "Redis", ROWS, cluster.service, outcomes), MANY_SLOTS)
    said = " ".join(warning for outcome in outcomes for warning in outcome.warnings)
    assert policy == "noeviction" or policy in said, "a policy that evicts what is shared is warned of"


def test_flushall_in_the_middle(cluster: Cluster, redis_server: RedisServer, over_redis: Engines) -> None:
    cluster.service.set_plan(MANY_SLOTS)

    def fault() -> None:
        for quarter in (1, 2, 3):
            cluster.service.wait_for_answers(quarter * ROWS // 4)
            redis_server.cli("FLUSHALL")

    outcomes = cluster.run(slices(ROWS, over_redis(2)), fault)
    assert_cheap(cost_of("FLUSHALL, three times", "Redis", ROWS, cluster.service, outcomes), MANY_SLOTS)


@pytest.mark.parametrize(
    ("kind", "what_is_lost"),
    [("200 ms, 64 at once", TcpProxy.drop), ("200 ms, 64 at once", TcpProxy.stall), ("20 a second", TcpProxy.drop)],
    ids=["64 at once, lost", "64 at once, late", "20 a second, lost"],
)
def test_a_partition_between_one_worker_and_redis(
    cluster: Cluster,
    redis_server: RedisServer,
    proxies: list[TcpProxy],
    kind: str,
    what_is_lost: Callable[[TcpProxy], None],
) -> None:
    plan = KINDS[kind]
    cluster.service.set_plan(plan)
    rows = LIMITED_ROWS if plan == LIMITED else ROWS
    rows = round(rows * max(1.0, FAULT_SECONDS / 2))  # so that the job outlasts the partition

    def fault() -> None:
        cluster.service.wait_for_answers(rows // 8)
        what_is_lost(proxies[0])
        time.sleep(FAULT_SECONDS)
        proxies[0].forward()

    stores = (address_of(proxies[0]), redis_server.url)
    outcomes = cluster.run(slices(rows, [cluster.engine(number, url) for number, url in enumerate(stores)]), fault)
    what = f"{FAULT_SECONDS:g} s without Redis, {what_is_lost.__name__}, {kind}"
    processes_apart = 2 if plan == LIMITED else 1  # few requests a second: the whole of a job is as short as the fault
    assert_cheap(cost_of(what, "Redis", rows, cluster.service, outcomes), plan, processes_apart)


def test_clocks_that_differ_by_five_minutes(cluster: Cluster, over_redis: Engines) -> None:
    assert shutil.which("faketime"), "run `apt-get install faketime`, or `make test-cluster` as root, which installs it"
    cluster.service.set_plan(LIMITED)
    outcomes = cluster.run(slices(LIMITED_ROWS, over_redis(2)), prefixes=[(), SET_CLOCK])
    assert_cheap(cost_of("clocks differ by 300 s", "Redis", LIMITED_ROWS, cluster.service, outcomes), LIMITED)
    assert_pauses_are_kept(cluster.service)


def test_two_engines_on_one_route_share_its_limit_and_no_answers(
    cluster: Cluster, store: str, engines: Engines
) -> None:
    service = cluster.service
    service.set_plan(LIMITED)
    rows = LIMITED_ROWS // 2
    parts = [Slice(name, 0, rows, {**each, "name": name}) for name, each in zip("ab", engines(2), strict=True)]
    outcomes = cluster.run(parts)
    cost = cost_of("two engines on one route, each all rows", store, rows, service, outcomes)
    assert times_answered(service.log()) == {text_of(number): 2 for number in range(rows)}, "neither finds the other's"
    assert cost.requests <= MOST_PER_ROW[LIMITED] * 2 * rows
    assert_pauses_are_kept(service)


def test_latency_of_a_second_to_redis(cluster: Cluster, proxies: list[TcpProxy]) -> None:
    cluster.service.set_plan(MANY_SLOTS)
    rows = ROWS // 3  # most of its time are trips that each query makes
    for proxy in proxies:
        proxy.delay(LATENCY_S)
    parts = slices(rows, [cluster.engine(number, address_of(proxy)) for number, proxy in enumerate(proxies)])
    outcomes = cluster.run(parts)
    assert_cheap(cost_of("1,000 ms each way to Redis", "Redis", rows, cluster.service, outcomes), MANY_SLOTS)
