"""When the rate of a route rises again after a rejection, and how steeply: slowly near the limit, faster far from it.

Each rise that finds the limit where it was ends in a rejection. So the rate is held for a while first, and for longer
after each such rise. A limit that moved is followed at once: the hold begins anew, and a rise that meets no rejection
grows steeper with each step (after the growth of CUBIC, https://www.rfc-editor.org/rfc/rfc9438).
"""

from __future__ import annotations

from dataclasses import dataclass

_INTERVAL_S = 1.0  # between two steps
_INTERVAL_REQUESTS = 10  # the same of a steep step: it is heard of once the saved tokens are used up
_FACTOR = 1.02  # of a step near the limit
_MAX_FACTOR = 1.15  # of a step far from it, and while the rate was seen once only
_SLOW_STEPS = 8  # by then the rate is a sixth above the limit that was known, so that limit is gone
_STEEPENING = 1.3  # of what each later step adds
_MOVED_SHARE = 0.15  # of the rate by which it changes where the limit has moved, and not the measurement
_NEAR_SHARE = 0.95  # of the measured limit, up to which the rate rises without a hold
_INITIAL_HOLD_S = 4.0
_INITIAL_HOLD_REQUESTS = 20  # that are taken for each one that a rise loses
_MAX_HOLD_S = 32.0  # one rejection in so long costs nothing, and a limit that rose is found within a minute
_MAX_HOLD_PAUSES = 64  # where the service makes one wait after a rejection, that is what a rise costs


@dataclass(slots=True)
class RateIncrease:
    """When the rate of one route rises, and to what.

    Example:
        >>> increase = RateIncrease()
        >>> increase.on_rejected(resume_at=10.0, pause_s=0.1, rate=40.0, measured=40.0)
        >>> increase.raised(40.0, now=13.9, is_certain=True), increase.raised(40.0, now=15.0, is_certain=True)
        (40.0, 40.8)
    """

    _next_at: float = float("-inf")
    _held_until: float = float("-inf")
    _hold_s: float = _INITIAL_HOLD_S
    _steps: int = 0
    _known_rate: float = 0.0  # about which the rejections of this hold came
    _measured_rate: float = 0.0  # 0 where it is not known well

    def raised(self, rate: float, now: float, *, is_certain: bool) -> float:
        """The rate from now on. Call it only while the rate holds requests back: else it is not too low.

        Args:
            rate: Requests a second until now.
            now: Seconds of a monotonic clock.
            is_certain: Whether the rate was seen more than once.

        Returns:
            The same or a higher rate.
        """
        if now < self._next_at:
            return rate
        if rate * _MAX_FACTOR < self._measured_rate * _NEAR_SHARE:
            factor = _MAX_FACTOR
        elif now < self._held_until:
            return rate
        else:
            self._steps += 1
            steeper = _STEEPENING ** max(0, self._steps - _SLOW_STEPS)
            factor = min(1.0 + (_FACTOR - 1.0) * steeper, _MAX_FACTOR) if is_certain else _MAX_FACTOR
        is_steep = is_certain and self._steps > _SLOW_STEPS
        self._next_at = now + (max(_INTERVAL_S, _INTERVAL_REQUESTS / rate) if is_steep else _INTERVAL_S)
        return rate * factor

    def on_rejected(self, resume_at: float, pause_s: float, rate: float | None, measured: float | None) -> None:
        """Hold the rate, since the service rejected it.

        Args:
            resume_at: When sending goes on.
            pause_s: Seconds from the rejection until then.
            rate: At which requests go from now on; None while it is not certain, so that it is not held.
            measured: The rate that the service took, None where it was not measured well.
        """
        has_risen, self._steps = self._steps > 0, 0
        self._next_at = resume_at + _INTERVAL_S
        self._measured_rate = measured or 0.0
        if rate is None:
            return
        if abs(rate - self._known_rate) > _MOVED_SHARE * self._known_rate:
            self._known_rate, self._hold_s = rate, max(_INITIAL_HOLD_S, _INITIAL_HOLD_REQUESTS / rate)
        elif has_risen:  # else the rate is still on its way down, and nothing was tried
            self._hold_s = min(self._hold_s * 2, max(_MAX_HOLD_S, _MAX_HOLD_PAUSES * pause_s))
        self._held_until = resume_at + self._hold_s
