"""Workers whose tables have the same rows, at the same time: each row is asked once, also where one of them is killed."""

from __future__ import annotations

import time
from dataclasses import replace

from tests.cluster.jobs import Cluster, cost_of, finish, slices, workers_of
from tests.cluster.test_faults import MANY_SLOTS, Engines, cluster, engines, over_redis, over_sqlite, store
from tests.support.logged_service import times_answered

__all__ = ["cluster", "engines", "over_redis", "over_sqlite", "store"]

ROWS = 300
MOST_PER_ROW = 1.1
"""Requests over rows: some are refused while the number of slots is found."""
NOT_STORED_S = 1.0
"""What a worker asked so shortly before it was killed may not have been stored."""


def test_rows_in_the_tables_of_two_workers_are_asked_once(cluster: Cluster, store: str, engines: Engines) -> None:
    cluster.service.set_plan(MANY_SLOTS)
    parts = slices(ROWS, engines(2))
    twins = [replace(part, worker=f"{part.worker}-twin") for part in parts]
    if store == "Redis":
        twins = [replace(part, engine=engine) for part, engine in zip(twins, engines(4)[2:], strict=True)]
    outcomes = cluster.run([*parts, *twins])
    cost = cost_of("each row twice", store, ROWS, cluster.service, outcomes)
    assert cost.twice == 0
    assert cost.per_row <= MOST_PER_ROW
    assert sum(outcome.usage["stored"] for outcome in outcomes) == ROWS


def test_what_a_killed_worker_had_claimed_is_asked_by_the_other(cluster: Cluster, store: str, engines: Engines) -> None:
    service = cluster.service
    service.set_plan(MANY_SLOTS)
    first, second = (replace(part, first=0, end=ROWS) for part in slices(ROWS, engines(2)))
    with workers_of([first, second], cluster.forks) as (killed, other):
        killed.go()
        service.wait_for_answers(1)
        other.go()
        service.wait_for_answers(ROWS // 4)
        killed.kill()
        killed_at = time.monotonic()
        outcomes = finish([other])
    cost = cost_of("a worker with the same rows is killed", store, ROWS, service, outcomes)
    answered, log = times_answered(service.log()), service.log()
    lost = {
        text
        for entry in log
        if entry.worker == first.worker and entry.at > killed_at - NOT_STORED_S
        for text in entry.inputs
    }
    assert {text for text, times in answered.items() if times > 1} <= lost, "what was stored is not asked again"
    assert cost.requests <= MOST_PER_ROW * (ROWS + cost.twice)
    assert {entry.worker for entry in log} == {first.worker, second.worker}
