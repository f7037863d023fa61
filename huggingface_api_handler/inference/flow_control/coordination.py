"""One process's part in a route that several share: what it reports, what it is given, and what it learns for all."""

from __future__ import annotations

import asyncio
import copy
import os
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil

from .concurrency import MAX_CONCURRENCY
from .limiter import Limiter
from .outcome import Outcome
from .record_clock import RecordClock
from .report_schedule import CLOCK_ERROR_S, MIN_SYNC_INTERVAL_S, ReportSchedule
from .route_events import Event, decode, encode
from .route_learner import RouteLearner
from .route_ledger import MAX_PLAUSIBLE_PAUSE_S, MEMBER_TTL_S, Grant, Report, RouteLedger
from .route_record import Limits

_HORIZON_S = 0.3  # for which turns are taken ahead: a few at once where the rate is low
_CANCEL_AGAIN_S = 0.05
_SAME_PAUSE_S = 0.001  # of two pauses that end within this, the second is no news
_LEDGER_LOOK_INTERVAL_S = 0.02  # between two looks for what others signal, at least
_ALONE_LEDGER_LOOK_INTERVAL_S = 0.1  # where no other process is there that could be told one
_HOLD_S = 0.15  # until the elected process has said what it makes of a rate
_DEMAND_FACTOR = 1.5  # turns that are asked for, over those used lately: nobody is given more than a fair part


class RouteCoordinator:
    """One process's view of a route that others may use too.

    Alone, a process uses its own limits, and only reports. With others it is given slots and turns.

    Attributes:
        is_shared: Whether other processes use the route.
        slots: Requests of this process that may be in flight, where the route is shared.
        is_elected: Whether this process learns the limits for all.
    """

    def __init__(self, ledger: RouteLedger, max_concurrency: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Start a view. Nothing is read or written yet.

        Args:
            ledger: What the processes share.
            max_concurrency: Requests in flight of all processes together.
            clock: Seconds, monotonic.
        """
        self.is_shared = False
        self.is_elected = False
        self.slots = 1.0
        self._resume_at = self._look_at = 0.0
        self._ledger, self._clock = ledger, clock
        self._max_concurrency = max_concurrency
        self._limiter: Limiter | None = None
        self._learner: RouteLearner | None = None
        self._member = _Member()
        self._clocks = RecordClock()
        self._turns = _Turns()
        self._schedule = ReportSchedule()

    def attach(self, limiter: Limiter) -> None:
        """Coordinate what a limiter lets go.

        Args:
            limiter: Has this object as its ``peers``.
        """
        self._limiter = limiter

    @property
    def resume_at(self) -> float:
        """When the pause of the route ends, in seconds of this process's clock."""
        now = self._clock()
        if now >= self._look_at:
            self._look_at = now + (_LEDGER_LOOK_INTERVAL_S if self.is_shared else _ALONE_LEDGER_LOOK_INTERVAL_S)
            self._ledger.look()
        return self._resume_at

    def delay(self, now: float) -> float:
        """How long the next request has to wait for its turn, where the route is shared.

        Args:
            now: Seconds of the clock.

        Returns:
            Seconds; 0.0 or less where it may go now.
        """
        turns = self._turns
        if not turns.has_rate:
            return 0.0
        if not turns.times and now - self._clocks.synced_at > MEMBER_TTL_S:
            turns.add_own(now)
        if turns.times:
            return wait_s if (wait_s := turns.times[0] - now) > CLOCK_ERROR_S else 0.0
        self._schedule.hurry(max(now, turns.next_at - self._horizon_s / 2))
        return max(MIN_SYNC_INTERVAL_S / 4, self._schedule.next_at - now)

    def on_send(self, now: float) -> None:
        """Note that a request goes now.

        Args:
            now: Seconds of the clock.
        """
        if self.is_shared:
            self._member.events.append(Event(now))
            if self._turns.times:
                self._turns.times.popleft()

    def on_send_cancelled(self) -> None:
        """Note that the request of the last ``on_send`` was not sent."""
        if self.is_shared:
            now = self._clock()
            self._member.events.append(Event(now, is_cancelled=True))
            self._turns.times.appendleft(now)

    def on_outcome(self, now: float, outcome: Outcome) -> None:
        """Note how a request went.

        Args:
            now: Seconds of the clock.
            outcome: How it went.
        """
        if self.is_shared:
            self._member.events.append(Event(now, outcome))
            if outcome.rate_limited:
                self._schedule.on_change(now)
            self._hold_for_rate(now)

    def on_waiting(self) -> None:
        """Note that a request waits for a slot."""
        if not self._member.wanted_more:
            self._schedule.hurry(self._clock())

    def publish_pause(self, seconds: float) -> None:
        """Tell the other processes that no request may go for a while.

        Args:
            seconds: Length of the pause, from now. A pause that ends later is not shortened.
        """
        self._ledger.publish_pause(seconds)
        self._turns.give_back()

    def pace(self) -> dict[str, float]:
        """What all processes together have found, where the route is shared.

        Returns:
            ``places`` and ``rate`` as of ``Limiter.pace``, as far as they are known; empty where it is not shared.
        """
        limits = self._turns.limits
        if not self.is_shared or limits is None:
            return {}
        return {"places": limits.slots, **({"rate": limits.rate} if limits.rate else {})}

    async def watch(self) -> None:
        """Report until cancelled, and leave with the last query. Run it while a query is active."""
        self._member.queries += 1
        try:
            async with self._schedule.lock:  # one of the queries reports for all
                signals = asyncio.create_task(self._ledger.watch(self._on_signal))
                try:
                    while True:
                        await self._schedule.wait(self._clock)
                        await self.refresh()
                finally:
                    while not signals.done():  # a client's library may take one cancellation for a time-out of its own
                        signals.cancel()
                        await asyncio.wait([signals], timeout=_CANCEL_AGAIN_S)
        finally:
            self._member.queries -= 1
            if self._member.queries == 0:
                self._leave_route()

    async def refresh(self) -> None:
        """Report once, and use what is given."""
        sent_at = self._clock()
        events, self._member.events = self._member.events, []
        report = self._report(events)
        self._schedule.on_sync(sent_at, report.sent)
        self._member.wanted_more = report.wants_more
        grant = await self._ledger.sync(report)
        now = self._clock()
        if grant is None:
            if now - self._clocks.synced_at > MEMBER_TTL_S and self.slots < 1:
                self.slots = 1.0  # those of the others are not known any more, and nobody is to wait for ever
                self._attached().on_grant()
            return
        self._clocks.on_sync(sent_at, now, grant.now)
        self._use(grant, events, now)
        self._attached().on_grant()

    @property
    def _most_slots(self) -> int:
        """That are looked for. Engines with a lower bound keep theirs, and leave the others more."""
        return max(MAX_CONCURRENCY, self._max_concurrency)

    @property
    def _horizon_s(self) -> float:
        """For how long turns are taken: until the answer to the next report, at least."""
        interval_s = max(self._schedule.interval_s, self._schedule.shortest_s)
        return max(_HORIZON_S, interval_s) + 2 * self._clocks.trip_s

    def _report(self, events: list[Event], *, is_leaving: bool = False) -> Report:
        limiter, turns, now = self._attached(), self._turns, self._clock()
        resume_at = limiter.limits.resume_at  # of what this process was told, so that no pause goes back and forth
        waiting = limiter.slots_used - limiter.in_flight  # for a turn
        sent = sum(event.is_sent for event in events)
        ahead = _DEMAND_FACTOR * max(1.0, self._horizon_s / max(MIN_SYNC_INTERVAL_S, now - self._schedule.last_at))
        number = self._member.next_number()
        return Report(
            self._member.name,
            number=number,
            max_slots=self._max_concurrency,
            used=limiter.slots_used,
            in_flight=limiter.in_flight,
            wants_more=limiter.is_hungry,
            turns=max(0, waiting + ceil(sent * ahead) + 1 - len(turns.times)) if limiter.is_hungry else 0,
            horizon_s=self._horizon_s,
            held_turns=len(turns.times),
            sent=sent,
            events=b"" if self.is_elected else encode(events, self._clocks.offset_s),
            limits=self._found(),
            resume_at=self._clocks.to_record(resume_at) if resume_at > now else 0.0,
            is_leaving=is_leaving,
            is_news=number == 1 or is_leaving,
        )

    def _found(self) -> Limits:
        """What this process knows of the route: by learning, or from who has learned it."""
        if self._learner is None and self._turns.limits is not None:
            return self._turns.limits._replace(next_at=None)
        limits = (self._learner or RouteLearner(self._attached().limits)).found()
        next_at = limits.next_at
        return limits if next_at is None else limits._replace(next_at=self._clocks.to_record(next_at))

    def _use(self, grant: Grant, events: list[Event], now: float) -> None:
        pause_s = grant.resume_at - grant.now
        self._resume_at = self._clocks.to_own(grant.resume_at) if pause_s < MAX_PLAUSIBLE_PAUSE_S else 0.0
        was_shared, self.is_shared = self.is_shared, _is_shared(grant, self.is_shared)
        self.is_elected, self.slots = grant.is_elected, float(grant.slots)
        self._turns.use(grant, self._clocks)
        limits = grant.limits
        self._schedule.set_members(1 if grant.is_elected else grant.members)  # on whose reports all others wait
        if not self.is_shared:
            self._schedule.on_grant(0.0, 0.0)  # nothing that others wait for
        elif limits is not None:
            go_round = grant.members > limits.slots  # the slots, from one process to the next
            self._schedule.on_grant(self.slots if limits.rate else limits.slots, limits.rate or 0.0, go_round=go_round)
        limiter = self._attached()
        if not self.is_elected:
            self._learner = None
            return
        if self._learner is None and (was_shared or grant.members > 1) and grant.limits is not None:
            self._learner = RouteLearner.after(grant.limits, limiter.concurrency.timeout_bound, self._most_slots)
        elif self._learner is None:
            self._learner = RouteLearner(limiter.limits)
        if not self.is_shared:
            limiter.limits = self._learner.limits
            limiter.limits.concurrency.set_max_concurrency(self._max_concurrency)
            return
        if self._learner.limits is limiter.limits:  # until now they were for this process alone
            self._learner = RouteLearner(copy.deepcopy(limiter.limits))
            self._learner.limits.concurrency.set_max_concurrency(self._most_slots)
        others = [event for report in grant.reports for event in decode(report, self._clocks.offset_s)]
        heard_until = self._clocks.to_own(grant.heard_until)
        self._learner.learn([*events, *others], heard_until, grant.in_flight, now, is_short=grant.is_short)
        if self._learner.is_news or self._learner.is_behind:
            self._schedule.hurry(now)

    def _attached(self) -> Limiter:
        if self._limiter is None:
            raise RuntimeError("no limiter is attached")
        return self._limiter

    def _hold_for_rate(self, now: float) -> None:
        """Let all wait for a moment, where a response has just shown a rate of which the others do not know."""
        turns, has_seen_rate = self._turns, self._attached().limits.rate_estimator.rate is not None
        if has_seen_rate and not turns.has_seen_rate and not turns.has_rate:
            self._resume_at = max(self._resume_at, now + _HOLD_S)
            self.publish_pause(_HOLD_S)
            self._schedule.hurry(now)
        turns.has_seen_rate = has_seen_rate

    def _on_signal(self, pause_s: float) -> None:
        now = self._clock()
        if pause_s > 0 and now + pause_s > self._resume_at + _SAME_PAUSE_S:
            self._resume_at = now + pause_s
            self._turns.give_back()
            self._schedule.on_change(now)
        else:
            self._schedule.hurry(now)

    def _leave_route(self) -> None:
        events, self._member.events = self._member.events, []
        self._ledger.leave(self._report(events, is_leaving=True))
        self._turns.times.clear()
        self._learner, self.is_shared, self.is_elected = None, False, False
        self._member.reports = 0  # the next query is there anew


def _is_shared(grant: Grant, was_shared: bool) -> bool:
    return grant.members > 1 or not grant.is_elected or (grant.is_partial and was_shared)


@dataclass
class _Member:
    """This process, as the others know it."""

    name: str = field(default_factory=lambda: f"{os.getpid()}-{secrets.token_hex(8)}")
    queries: int = 0
    reports: int = 0
    wanted_more: bool = False  # at the last report
    events: list[Event] = field(default_factory=list)  # since then

    def next_number(self) -> int:
        self.reports += 1
        return self.reports


@dataclass
class _Turns:
    """When the next requests of this process may go, by its own clock."""

    limits: Limits | None = None
    times: deque[float] = field(default_factory=deque)
    next_at: float = 0.0  # when a further turn is due
    members: int = 1
    has_seen_rate: bool = False  # in this process's own requests

    @property
    def has_rate(self) -> bool:
        return self.limits is not None and self.limits.rate is not None

    def use(self, grant: Grant, clocks: RecordClock) -> None:
        self.limits, self.members = grant.limits, grant.members
        self.next_at = clocks.to_own(grant.next_turn_at)
        if self.limits is None or not self.limits.rate:
            self.times.clear()
        self.times.extend(clocks.to_own(at) for at in grant.turns)

    def give_back(self) -> None:
        """Before a pause, after which the turns are given out anew."""
        self.times.clear()

    def add_own(self, now: float) -> None:
        """A turn of this process's share of the rate, while the record cannot be reached."""
        if self.limits is not None and self.limits.rate:
            self.next_at = max(self.next_at, now)
            self.times.append(self.next_at)
            self.next_at += self.members / self.limits.rate
