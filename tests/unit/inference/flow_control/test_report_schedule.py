"""How often the processes of a route report: together no more than one Redis carries, each before it is left out."""

from __future__ import annotations

import pytest

from huggingface_api_handler.inference.flow_control.report_schedule import (
    MIN_SYNC_INTERVAL_S,
    SYNC_INTERVAL_S,
    ReportSchedule,
)
from huggingface_api_handler.inference.flow_control.route_ledger import MEMBER_TTL_S

US_PER_MEMBER = 2.5
"""Of Redis' CPU, for one report: `bench.scale_out` measures it."""


def shortest_interval_s(members: int) -> float:
    """Between two reports of a process in which requests wait for what each of them may bring."""
    schedule = ReportSchedule()
    schedule.set_members(members)
    schedule.on_sync(10.0, sent=0)
    schedule.on_change(10.0)
    schedule.hurry(10.0)
    return schedule.next_at - 10.0


@pytest.mark.parametrize("members", [1, 8, 64])
def test_few_processes_report_as_soon_as_they_need_to(members: int) -> None:
    assert shortest_interval_s(members) == pytest.approx(MIN_SYNC_INTERVAL_S)


@pytest.mark.parametrize("members", [65, 128, 256, 512])
def test_all_reports_together_take_half_of_a_redis_at_most(members: int) -> None:
    reports_per_s = members / shortest_interval_s(members)
    assert reports_per_s * members * US_PER_MEMBER <= 0.55e6


@pytest.mark.parametrize("members", [1024, 10_000])
def test_however_many_there_are_none_is_left_out_for_its_silence(members: int) -> None:
    assert 1.0 < shortest_interval_s(members) < MEMBER_TTL_S / 3


def test_the_interval_shrinks_again_with_the_number_of_processes() -> None:
    schedule = ReportSchedule()
    schedule.set_members(512)
    schedule.on_sync(10.0, sent=0)
    schedule.set_members(2)
    schedule.on_grant(8.0, 0.0)
    assert schedule.next_at == pytest.approx(10.0 + SYNC_INTERVAL_S)


def steady_interval_s(requests_per_s: float) -> float:
    """Between two reports of a process that was given the same for a minute."""
    schedule, now, sent = ReportSchedule(), 0.0, 0
    while now < 60:
        schedule.on_sync(now, sent)
        schedule.on_grant(8.0, 0.0)
        sent, now = round((schedule.next_at - now) * requests_per_s), schedule.next_at
    return schedule.next_at - schedule.last_at


@pytest.mark.parametrize("requests_per_s", [20, 30, 50, 100, 500])
def test_a_report_is_for_many_requests_while_nothing_changes(requests_per_s: float) -> None:
    assert steady_interval_s(requests_per_s) * requests_per_s >= 30


@pytest.mark.parametrize("requests_per_s", [0, 0.1, 5])
def test_a_process_that_sends_little_is_not_left_out_for_its_silence(requests_per_s: float) -> None:
    assert 1.0 < steady_interval_s(requests_per_s) < MEMBER_TTL_S / 3


def test_a_change_of_what_is_given_is_followed_by_reports_at_once() -> None:
    schedule = ReportSchedule()
    for now in (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0):
        schedule.on_sync(now, sent=1)
        schedule.on_grant(8.0, 0.0)
    assert schedule.interval_s > 1.0
    schedule.on_sync(10.0, sent=1)
    schedule.on_grant(4.0, 0.0)
    assert schedule.next_at == pytest.approx(10.0 + SYNC_INTERVAL_S)
