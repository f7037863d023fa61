"""Who may do what on a route that several processes use: slots and turns, given out from one shared record.

Each process reports what it did and what it wants, some times a second, and is given slots and turns. The record is
changed by ``transact`` alone: in one transaction of SQLite, in virtual time, or as the same steps in a script of Redis
(``redis_ledger``). One of the processes is elected to learn the limits from the reports of all.

Slots are divided as evenly as the processes want them (max-min fairness). Where there are fewer slots than processes,
they go round. Turns come from one token bucket (the generic cell rate algorithm, GCRA): each has its time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil, floor
from typing import NamedTuple, Protocol

from .route_record import Limits, Member, RouteRecord

MEMBER_TTL_S = 5.0
"""After which a process that no longer reports is left out, and its slots are given to others."""
LEADER_TTL_S = 2.0
"""After which another process is elected where the elected one no longer reports."""
MAX_PLAUSIBLE_PAUSE_S = 4000.0
"""None is longer than an hour, unless somebody set the clock."""
MAX_REPORTS = 4096
"""Reports that are kept for the elected process. Older ones are dropped where it does not come for them."""

RESTORE_S = 2.0
"""In which all processes report, and no slot is given out, after the record was lost."""
ROUND_S = 1.0
"""A slot goes to the next process after this, where there are fewer slots than processes."""


class Report(NamedTuple):
    """What one process did since its last report, and what it wants. All times are of the record's clock.

    Attributes:
        member: The process.
        number: Of this report among those of the process, from 1. A report that comes twice counts once.
        max_slots: Requests in flight that all processes of its engine may have together.
        used: Slots that are taken.
        in_flight: Requests in flight.
        wants_more: Whether more slots would be used.
        turns: How many more turns would be used.
        horizon_s: Within so many seconds, until after its next report.
        held_turns: Turns that it was given before, and has not used.
        sent: Requests that it sent since its last report.
        events: What happened, for the elected process; empty where nothing did.
        limits: What it found, where it was elected, or what it last heard.
        resume_at: When a pause ends that it was told; 0.0 where there is none.
        is_leaving: Whether it has no query on the route any more.
        is_news: Whether the others are to report soon, since what they are given changes.
    """

    member: str
    number: int = 1
    max_slots: int = 1_000_000
    used: int = 0
    in_flight: int = 0
    wants_more: bool = False
    turns: int = 0
    horizon_s: float = 0.0
    held_turns: int = 0
    sent: int = 0
    events: bytes = b""
    limits: Limits | None = None
    resume_at: float = 0.0
    is_leaving: bool = False
    is_news: bool = False


class Grant(NamedTuple):
    """What a process may do until its next report.

    Attributes:
        now: Seconds of the record's clock.
        members: Processes on the route, this one included.
        is_elected: Whether this process learns the limits for all.
        slots: Requests that it may have in flight.
        turns: When its next requests may go, in order.
        next_turn_at: When its next turn is due, after those of others that had none for longer.
        limits: Those of the route, as they are known.
        resume_at: When the pause of the route ends.
        reports: The events of all others since the last time, where it is elected.
        in_flight: Requests in flight, of all processes.
        heard_until: Until when all processes have reported what they did.
        is_short: Whether any process wants more slots than it has.
        is_partial: Whether processes may be there that have not reported, since the record was lost.
    """

    now: float
    members: int
    is_elected: bool
    slots: int
    turns: list[float]
    next_turn_at: float
    limits: Limits | None
    resume_at: float
    reports: list[bytes]
    in_flight: int
    heard_until: float
    is_short: bool
    is_partial: bool


OnSignal = Callable[[float], None]
"""Gets the seconds until a pause of the route ends; 0.0 where there is none, and this process is to report soon."""


class RouteLedger(Protocol):
    """Where the record of one route is."""

    async def sync(self, report: Report) -> Grant | None:
        """Change the record by a report.

        Args:
            report: As of ``transact``.

        Returns:
            What the process may do; None where the record cannot be reached.
        """
        ...

    def leave(self, report: Report) -> None:
        """Change the record by the last report of a process. Nobody waits for it.

        Args:
            report: As of ``transact``.
        """
        ...

    def publish_pause(self, seconds: float) -> None:
        """Tell the other processes that no request may go for a while.

        Args:
            seconds: Length of the pause, from now. A pause that ends later is not shortened.
        """
        ...

    async def watch(self, on_signal: OnSignal) -> None:
        """Tell what other processes signal, until cancelled.

        Args:
            on_signal: Gets it.
        """
        ...

    def look(self) -> None:
        """Look for signals, where ``watch`` does not tell of them by itself. Call it before a request goes."""
        ...


def transact(record: RouteRecord, report: Report, now: float) -> Grant:
    """Change a record by the report of one process.

    Args:
        record: Is changed.
        report: Of the process.
        now: Seconds of the record's clock.

    Returns:
        What the process may do.
    """
    if record.resume_at - now > MAX_PLAUSIBLE_PAUSE_S or record.leader_until > now + 2 * LEADER_TTL_S:
        record.resume_at = 0.0  # the clock was set back. Whoever was told of a pause says when it ends by the clock now
    _leave_out_dead(record, now)
    if report.number > 1 and record.limits is None and not record.members:  # it was there: the record is lost
        record.partial_until, record.next_at = now + RESTORE_S, max(record.next_at, now)
    record.resume_at = max(record.resume_at, report.resume_at)
    if report.is_leaving and record.leader == report.member:
        record.leader = ""
    elif not report.is_leaving and not record.leader:
        record.leader = report.member
    is_elected = record.leader == report.member
    if is_elected:
        record.leader_until = now + LEADER_TTL_S
    if report.member not in record.members or record.members[report.member].number != report.number:
        if report.events and not is_elected:
            record.reports = [*record.reports, (report.member, report.events)][-MAX_REPORTS:]
        record.unlearned += report.sent
    turns: list[float] = []
    next_turn_at = 0.0
    if report.is_leaving:
        record.members.pop(report.member, None)
    else:
        _note_member(record, report, now)
    if report.limits is not None and (is_elected or record.limits is None):
        _note_limits(record, report.limits, now)
    if not report.is_leaving:
        _divide_slots(record, report, now)
        turns = _take_turns(record, report, now)
        next_turn_at = _next_turn_at(record, record.members[report.member])
    reports: list[bytes] = []
    if is_elected:
        reports, record.reports = [events for member, events in record.reports if member != report.member], []
        record.unlearned = 0
    members = record.members
    return Grant(
        now=now,
        members=len(members),
        is_elected=is_elected,
        slots=members[report.member].slots if report.member in members else 0,
        turns=turns,
        next_turn_at=next_turn_at,
        limits=record.limits,
        resume_at=record.resume_at,
        reports=reports,
        in_flight=sum(member.in_flight for member in members.values()),
        heard_until=min((member.expires for member in members.values()), default=now + MEMBER_TTL_S) - MEMBER_TTL_S,
        is_short=any(member.wants_more for member in members.values()),
        is_partial=_is_partial(record, now),
    )


def _leave_out_dead(record: RouteRecord, now: float) -> None:
    for name, member in list(record.members.items()):
        if not now <= member.expires <= now + 2 * MEMBER_TTL_S:  # later, where the clock was set back
            del record.members[name]
    if record.leader not in record.members or not now <= record.leader_until <= now + 2 * LEADER_TTL_S:
        record.leader = ""


def _note_member(record: RouteRecord, report: Report, now: float) -> None:
    member = record.members.setdefault(report.member, Member(since=now))
    member.used, member.in_flight, member.wants_more = report.used, report.in_flight, report.wants_more
    member.turns, member.wanted_turns = report.held_turns, report.turns
    member.number, member.max_slots, member.expires = report.number, report.max_slots, now + MEMBER_TTL_S


def _is_partial(record: RouteRecord, now: float) -> bool:
    return now < record.partial_until <= now + RESTORE_S  # later, where the clock was set back


def _note_limits(record: RouteRecord, limits: Limits, now: float) -> None:
    record.limits = limits
    if limits.rate and limits.next_at is not None:
        # Of these turns the elected process had not heard: those that were used since, and those that will be.
        held = sum(member.turns for member in record.members.values())
        record.next_at = max(limits.next_at + record.unlearned / limits.rate, now - limits.burst_s) + held / limits.rate


def _divide_slots(record: RouteRecord, report: Report, now: float) -> None:
    if record.limits is None:
        return
    member, others = record.members[report.member], dict(record.members)
    del others[report.member]
    slots = min(record.limits.slots, report.max_slots)
    if not others and not _is_partial(
        record, now
    ):  # it uses what it finds, and is told of others only at its next report
        member.slots = member.held = max(member.used, _whole(slots))
        return
    targets = allocate(record.members, slots, now)
    free = _whole(record.limits.slots) - sum(each.held for each in others.values())
    # An engine of a higher bound may hold more than this one would leave it. That is not taken from this one's share.
    own_free = _whole(slots) - sum(
        each.held if each.max_slots <= report.max_slots else min(each.held, targets[name])
        for name, each in others.items()
    )
    to_give = 0 if _is_partial(record, now) else min(free, own_free)
    had, member.slots = member.held, min(targets[report.member], max(member.used, to_give))
    member.held = max(member.used, member.slots)  # what is taken counts until it is given back
    if bool(had) != bool(member.held):
        member.since = now


def _whole(slots: float) -> int:
    return max(1, int(slots + 0.5))


def allocate(members: Mapping[str, Member], slots: float, now: float) -> dict[str, int]:
    """Divide the slots of a route as evenly as its processes want them.

    Args:
        members: The processes.
        slots: Slots of all together, at least 1.0; the half is rounded up.
        now: Seconds of the clock.

    Returns:
        Slots of each process. Their sum is at most ``slots``, as long as no process uses more.
    """
    whole = _whole(slots)
    targets: dict[str, int] = {}
    hungry = dict(members)
    while hungry:  # those that want less than an even share leave the others more
        even = whole // len(hungry)
        sated = {name: each for name, each in hungry.items() if not each.wants_more and each.used <= even}
        if not sated:
            break
        for name, each in sated.items():
            targets[name] = each.used
            whole -= each.used
            del hungry[name]
    if not hungry:
        return targets
    even, rest = divmod(max(0, whole), len(hungry))
    for rank, name in enumerate(_in_turn(hungry, now) if even == 0 else sorted(hungry)):
        targets[name] = even + (rank < rest)
    return targets


def _in_turn(members: Mapping[str, Member], now: float) -> list[str]:
    """Whose turn it is to have a slot: who has one for a short time, then who has waited longest."""

    def order(name: str) -> tuple[int, float, str]:
        member = members[name]
        if not member.held:
            return 1, member.since, name
        return (0, member.since, name) if now - member.since < ROUND_S else (2, now, name)

    return sorted(members, key=order)


def _take_turns(record: RouteRecord, report: Report, now: float) -> list[float]:
    """The next turns of a process: its share of those due within its horizon, in the order of who had none longest."""
    limits, member = record.limits, record.members[report.member]
    if limits is None or not limits.rate or not report.turns or record.resume_at > now:
        return []
    record.next_at = min(max(record.next_at, now - limits.burst_s), now + MAX_PLAUSIBLE_PAUSE_S)
    due = floor((now + report.horizon_s - record.next_at) * limits.rate) + 1
    waiting = sum(each.wanted_turns > 0 for each in record.members.values())
    most_turns = ceil((due - _rank(record, member)) / waiting)
    turns: list[float] = []
    while len(turns) < min(report.turns, most_turns):
        turns.append(max(now, record.next_at))
        record.next_at += 1 / limits.rate
    if turns:
        member.turns, member.turn_at = member.turns + len(turns), turns[-1]
        member.wanted_turns -= len(turns)
    return turns


def _rank(record: RouteRecord, member: Member) -> int:
    """How many processes wait for a turn that had none for longer."""
    return sum(each.wanted_turns > 0 and each.turn_at < member.turn_at for each in record.members.values())


def _next_turn_at(record: RouteRecord, member: Member) -> float:
    rate = record.limits.rate if record.limits is not None else None
    before = _rank(record, member) / rate if rate else 0.0
    return max(record.next_at + before, record.resume_at)
