"""This process's clock and that of a record which several processes share."""

from __future__ import annotations

from dataclasses import dataclass

_ROUND_TRIP_AGING = 1.05  # of the shortest trip, so that a clock that drifts is followed


@dataclass
class RecordClock:
    """What the record's clock is ahead of this process's, from the report that took the shortest time.

    Attributes:
        offset_s: Seconds that it is ahead.
        trip_s: Seconds of that report, one way. The offset is off by so much at most.
        synced_at: When the last report was answered, in seconds of this process's clock.
    """

    offset_s: float = 0.0
    trip_s: float = 0.0
    synced_at: float = float("-inf")

    def on_sync(self, sent_at: float, now: float, record_now: float) -> None:
        """Note that a report was answered.

        Args:
            sent_at: When it was sent, in seconds of this process's clock.
            now: When it was answered.
            record_now: The record's clock between the two.
        """
        trip_s, offset_s = (now - sent_at) / 2, record_now - (sent_at + now) / 2
        self.trip_s *= _ROUND_TRIP_AGING
        was_set = abs(offset_s - self.offset_s) > trip_s + self.trip_s  # one of the clocks: no trip explains it
        if self.synced_at == float("-inf") or trip_s <= self.trip_s or was_set:
            self.trip_s, self.offset_s = trip_s, offset_s
        self.synced_at = now

    def to_own(self, at: float) -> float:
        """A time of the record's clock by this process's.

        Args:
            at: Seconds of the record's clock.

        Returns:
            Seconds of this process's clock.
        """
        return at - self.offset_s

    def to_record(self, at: float) -> float:
        """A time of this process's clock by the record's.

        Args:
            at: Seconds of this process's clock.

        Returns:
            Seconds of the record's clock.
        """
        return at + self.offset_s
