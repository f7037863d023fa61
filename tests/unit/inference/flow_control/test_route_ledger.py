"""The record of a shared route: slots and turns are given out once, by SQLite and Redis as by the steps they share."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from huggingface_api_handler.config.store_address import parse_store_address
from huggingface_api_handler.inference.flow_control.redis_ledger import RedisLedger
from huggingface_api_handler.inference.flow_control.redis_script import TRANSACT
from huggingface_api_handler.inference.flow_control.route_ledger import (
    LEADER_TTL_S,
    MEMBER_TTL_S,
    RESTORE_S,
    Grant,
    Report,
    allocate,
    transact,
)
from huggingface_api_handler.inference.flow_control.route_record import (
    Limits,
    Member,
    RouteRecord,
    from_values,
    to_values,
)
from huggingface_api_handler.inference.storage.redis_store import RedisStore, Script
from tests.support.redis_server import RedisServer

NAMES = ("a", "b", "c", "d")


def members(*wants: tuple[int, bool], held: int = 0) -> dict[str, Member]:
    return {
        name: Member(held=held, used=used, wants_more=more) for name, (used, more) in zip(NAMES, wants, strict=False)
    }


@pytest.mark.parametrize(
    ("wants", "slots", "shares"),
    [
        ([(0, True), (0, True)], 10, [5, 5]),
        ([(0, True), (0, True)], 5, [3, 2]),
        ([(1, False), (0, True)], 10, [1, 9]),
        ([(0, False), (0, True), (2, False)], 10, [0, 8, 2]),
        ([(9, False), (0, True)], 10, [5, 5]),
        ([(0, True), (0, True), (0, True)], 1, [1, 0, 0]),
        ([(3, False)], 10, [3]),
    ],
)
def test_slots_are_divided_as_evenly_as_they_are_wanted(
    wants: list[tuple[int, bool]], slots: float, shares: list[int]
) -> None:
    assert list(dict(sorted(allocate(members(*wants), slots, 0.0).items())).values()) == shares


@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), min_size=1, max_size=4), st.floats(1, 200))
def test_no_more_slots_are_divided_than_there_are(wants: list[tuple[int, bool]], slots: float) -> None:
    shares = allocate(members(*wants), slots, 0.0)
    assert sum(shares.values()) <= max(1, int(slots + 0.5))
    if any(more for _, more in wants):
        assert sum(shares.values()) == max(1, int(slots + 0.5)), "and none is left over where more are wanted"


def test_where_there_are_fewer_slots_than_processes_they_go_round() -> None:
    record, served, now = RouteRecord(), dict.fromkeys(NAMES, 0), 0.0
    slots = dict.fromkeys(NAMES, 0)
    for step in range(400):
        now = step * 0.1
        for name in NAMES:
            report = Report(name, step + 1, used=slots[name], wants_more=True, limits=Limits(1.0))
            slots[name] = transact(record, report, now).slots
        assert sum(slots.values()) <= 1
        for name in NAMES:
            served[name] += slots[name]
    assert min(served.values()) > 60, served


def test_a_turn_is_given_to_one_process_only_and_turns_follow_at_the_rate() -> None:
    record = RouteRecord()
    turns: list[float] = []
    sent = dict.fromkeys(NAMES, 0)
    for step in range(100):
        now = step * 0.1
        for name in NAMES:
            limits = Limits(8.0, 20.0, 0.5, 0.0) if step == 0 else None
            grant = transact(
                record, Report(name, step + 1, wants_more=True, turns=9, horizon_s=0.1, limits=limits), now
            )
            turns += grant.turns
            sent[name] += len(grant.turns)
    turns.sort()
    assert len(turns) == pytest.approx(10 * 20, abs=3)
    assert all(later - earlier == pytest.approx(0.05) for earlier, later in pairwise(turns[10:]))
    assert min(sent.values()) > 0, "everybody gets some"


def test_a_process_that_is_gone_gives_its_slots_back_and_another_is_elected() -> None:
    record = RouteRecord()
    first = transact(record, Report("a", 1, wants_more=True, limits=Limits(8.0)), 0.0)
    assert (first.is_elected, first.slots) == (True, 8), "who is alone has all"
    second = transact(record, Report("b", 1, wants_more=True), 0.1)
    assert (second.is_elected, second.slots, second.members) == (False, 0, 2)
    later = transact(record, Report("b", 2, wants_more=True), 0.1 + LEADER_TTL_S)
    assert later.is_elected
    last = transact(record, Report("b", 3, wants_more=True), 0.2 + MEMBER_TTL_S)
    assert (last.slots, last.members) == (8, 1)


def test_what_is_lost_is_begun_anew_and_no_slot_is_given_out_until_all_have_reported() -> None:
    record = RouteRecord()
    report = Report("b", 9, used=3, in_flight=3, wants_more=True, limits=Limits(8.0, 5.0))
    grant = transact(record, report, 100.0)
    assert (grant.is_elected, grant.slots, grant.limits, grant.is_partial) == (True, 3, Limits(8.0, 5.0), True)
    other = transact(record, Report("a", 7, used=4, in_flight=4, wants_more=True), 100.5)
    assert (other.slots, other.members) == (4, 2), "each keeps what it uses"
    assert transact(record, report._replace(number=10), 100.6).slots == 3
    later = transact(record, report._replace(number=11), 100.0 + RESTORE_S)
    assert (later.slots, later.is_partial) == (4, False)


def test_a_process_that_joins_gets_no_slot_that_another_of_its_engine_still_uses() -> None:
    record = RouteRecord()
    transact(record, Report("a", 1, max_slots=4, used=4, wants_more=True, limits=Limits(20.0)), 0.0)
    transact(record, Report("b", 1, max_slots=4, wants_more=True), 0.1)
    transact(record, Report("a", 2, max_slots=4, used=4, wants_more=True, limits=Limits(20.0)), 0.2)
    assert transact(record, Report("b", 2, max_slots=4, wants_more=True), 0.3).slots == 0
    transact(record, Report("a", 3, max_slots=4, used=3, wants_more=True, limits=Limits(20.0)), 0.4)
    assert transact(record, Report("b", 3, max_slots=4, wants_more=True), 0.5).slots == 1


def test_an_engine_of_a_higher_bound_takes_nothing_from_the_share_of_one_of_a_lower() -> None:
    record = RouteRecord()
    transact(record, Report("a", 1, max_slots=16, used=16, wants_more=True, limits=Limits(20.0)), 0.0)
    assert transact(record, Report("b", 1, max_slots=4, wants_more=True), 0.1).slots == 2


def test_times_of_a_clock_that_was_set_back_hold_nobody_up() -> None:
    record = RouteRecord()
    transact(record, Report("a", 1, wants_more=True, limits=Limits(8.0), resume_at=1_000_100.0), 1_000_000.0)
    grant = transact(record, Report("b", 1, wants_more=True), 1.0)
    assert (grant.members, grant.slots, grant.resume_at) == (1, 8, 0.0)


def test_a_clock_that_was_set_back_a_little_makes_no_pause_longer() -> None:
    record = RouteRecord()
    transact(record, Report("a", 1, limits=Limits(8.0), resume_at=1005.0), 1000.0)
    assert transact(record, Report("b", 1), 1001.0).resume_at == 1005.0
    assert transact(record, Report("b", 2), 401.0).resume_at == 0.0
    assert transact(record, Report("a", 2, resume_at=405.0), 401.1).resume_at == 405.0, "as who was told of it knows"


def test_a_report_that_comes_twice_counts_once() -> None:
    record = RouteRecord()
    transact(record, Report("a", 1, limits=Limits(8.0)), 0.0)
    for _ in range(2):
        transact(record, Report("b", 1, events=b"[1]", sent=1), 0.1)
    assert record.unlearned == 1
    assert transact(record, Report("a", 2), 0.2).reports == [b"[1]"]


LIMITS = st.none() | st.builds(
    Limits, st.floats(1, 64), st.none() | st.floats(0.5, 500), st.floats(0, 10), st.none() | st.floats(0, 100)
)
REPORTS = st.builds(
    Report,
    st.sampled_from(NAMES),
    st.just(1),
    max_slots=st.integers(1, 64),
    used=st.integers(0, 20),
    in_flight=st.integers(0, 20),
    wants_more=st.booleans(),
    turns=st.integers(0, 20),
    horizon_s=st.floats(0, 1),
    held_turns=st.integers(0, 5),
    sent=st.integers(0, 5),
    events=st.sampled_from([b"", b"[1]", b"[[2, false]]"]),
    limits=LIMITS,
    resume_at=st.just(0.0) | st.floats(0, 200),
    is_leaving=st.sampled_from([False, False, False, False, True]),
)
AT_NO_BOUNDARY_S = 37e-6
"""Beyond whole milliseconds, so that the microseconds that Redis keeps decide nothing."""

STEPS = st.lists(st.tuples(REPORTS, st.floats(0.001, 3)), max_size=25)


@given(STEPS)
def test_a_record_comes_back_from_json_as_it_was(steps: list[tuple[Report, float]]) -> None:
    record, now = RouteRecord(), 1.0
    for number, (report, seconds) in enumerate(steps):
        now += seconds
        transact(record, report._replace(number=number + 1), now)
    assert from_values(to_values(record)) == record


@pytest.fixture(scope="module")
def store() -> Iterator[RedisStore]:
    with RedisServer() as server:
        address = parse_store_address(server.url)
        redis_store = RedisStore(address)
        redis_store.wait_until_open()
        yield redis_store
        redis_store.close()


def close_to(grant: Grant) -> dict[str, Any]:
    """All that a grant says, its numbers as near as Redis keeps them."""
    values = grant._asdict()
    limits = grant.limits
    values["limits"] = (
        None if limits is None else pytest.approx([limits.slots, limits.rate or 0, limits.burst_s], rel=1e-4, abs=1e-5)
    )
    for name in ("now", "next_turn_at", "resume_at", "heard_until", "turns"):
        values[name] = pytest.approx(values[name], rel=1e-4, abs=1e-4)
    return values


def plain(grant: Grant) -> dict[str, Any]:
    limits = grant.limits
    return {**grant._asdict(), "limits": None if limits is None else [limits.slots, limits.rate or 0, limits.burst_s]}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(STEPS, st.integers(0, 50))
def test_the_script_of_redis_does_what_is_written_here(
    store: RedisStore, steps: list[tuple[Report, float]], set_back_at: int
) -> None:
    """The same reports at the same times get the same grants."""
    assert "redis.call('TIME')" in TRANSACT
    script = Script(TRANSACT.replace("redis.call('TIME')", "{ARGV[26], 0}"))
    ledger = RedisLedger(store, "law")
    store.run(lambda client: bool(client.delete(*ledger.keys)), False).result()
    record, now = RouteRecord(), 1.0
    for number, (report, seconds) in enumerate(steps):
        now += round(seconds, 3) + AT_NO_BOUNDARY_S
        if number == set_back_at:
            now -= 100
        numbered = report._replace(number=number + 1)
        expected = transact(record, numbered, now)
        got = store.run(partial(ledger.transact, report=numbered, script=script, more=[now]), None).result()
        assert got is not None
        assert plain(got) == close_to(expected), (number, numbered)
