"""When a process next reports on a route that it shares: often while limits change, seldom where many report.

While nothing changes, a report is for many requests, so that it costs little of each: 0.6 ms of CPU time were measured,
with the wake-up for it. Whoever joins or leaves signals it, and all report.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

SYNC_INTERVAL_S = 0.05
"""Between two reports of a process, while what it is given changes."""
MIN_SYNC_INTERVAL_S = 0.025
"""Between two reports of a process that waits for something."""
CLOCK_ERROR_S = 1e-6
"""Of a time that was converted from one clock to another."""

_STEADY_INTERVAL_S = 0.4  # while nothing changes, and the process sends many requests
_REQUESTS_PER_REPORT = 40.0  # then, of a process that sends few
_SYNC_INTERVAL_FACTOR = 1.5  # of one interval to the next then
_STEADY_SHARE = 0.02  # by which what is given may change then
_SYNC_S_PER_MEMBER_SQUARED = 5e-6  # as all report, and each report looks at all: half of a CPU of Redis (2.5 us each)
MAX_CROWDED_INTERVAL_S = 1.5
"""Between two reports that may come now, however many processes report: who is silent for MEMBER_TTL_S is left out."""


class ReportSchedule:
    """When the next report is due.

    Attributes:
        lock: Of the query that reports for all of its process.
        last_at: When the last report was sent.
        next_at: When the next report is due.
        shortest_s: Between two reports at least, as many others report too.
        interval_s: Between two reports, unless somebody waits for something.
    """

    def __init__(self) -> None:
        """Start with a report that is due."""
        self.lock = asyncio.Lock()
        self.next_at = float("-inf")
        self.shortest_s = 0.0
        self.last_at = float("-inf")
        self._hurried = asyncio.Event()
        self.interval_s = SYNC_INTERVAL_S
        self._longest_s = _STEADY_INTERVAL_S
        self._given = (0.0, 0.0)  # slots and rate

    def set_members(self, members: int) -> None:
        """Report less often the more processes do.

        Args:
            members: Processes that report as often as this one.
        """
        self.shortest_s = min(MAX_CROWDED_INTERVAL_S, _SYNC_S_PER_MEMBER_SQUARED * members * members)

    def on_sync(self, now: float, sent: int) -> None:
        """Note a report.

        Args:
            now: Seconds of the clock, the same one for all methods.
            sent: Requests that were sent since the last one.
        """
        longest_s = _REQUESTS_PER_REPORT * (now - self.last_at) / sent if sent else MAX_CROWDED_INTERVAL_S
        self._longest_s = min(max(longest_s, _STEADY_INTERVAL_S), MAX_CROWDED_INTERVAL_S)
        self.last_at, self.next_at = now, now + max(self.interval_s, self.shortest_s)

    def on_grant(self, slots: float, rate: float, *, go_round: bool = False) -> None:
        """Report less often while nothing changes.

        Args:
            slots: That were given, or those of all where no rate is known.
            rate: Requests a second of all; 0.0 where none is known.
            go_round: Whether slots go from one process to the next, so that others wait for each report.
        """
        before, self._given = self._given, (slots, rate)
        is_steady = all(abs(new - old) <= _STEADY_SHARE * old for new, old in zip(self._given, before, strict=True))
        interval_s = self.interval_s * _SYNC_INTERVAL_FACTOR if is_steady else SYNC_INTERVAL_S
        self.interval_s = min(interval_s, _STEADY_INTERVAL_S if go_round else self._longest_s)
        self.next_at = min(self.next_at, self.last_at + max(self.interval_s, self.shortest_s))

    def on_change(self, now: float) -> None:
        """Report now, and often for a while: what is given will change.

        Args:
            now: Seconds of the clock.
        """
        self.interval_s = SYNC_INTERVAL_S
        self.hurry(now)

    def hurry(self, at: float) -> None:
        """Report earlier, since a request waits for what that may bring.

        Args:
            at: When.
        """
        at = max(at, self.last_at + max(MIN_SYNC_INTERVAL_S, self.shortest_s))
        if at < self.next_at:
            self.next_at = at
            self._hurried.set()

    async def wait(self, clock: Callable[[], float]) -> None:
        """Wait until the next report is due.

        Args:
            clock: Seconds.
        """
        while (seconds := self.next_at - clock()) > CLOCK_ERROR_S:
            self._hurried.clear()
            timer = asyncio.get_running_loop().call_later(seconds, self._hurried.set)
            try:  # no ``wait_for``: that of Python 3.11 ignores to be cancelled just as the event is set
                await self._hurried.wait()
            finally:
                timer.cancel()
