"""What is shared about a route that several processes use, and how it is written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple


class Limits(NamedTuple):
    """What the elected process has found of the route.

    Attributes:
        slots: Requests in flight, of all processes.
        rate: Requests a second; None where none is known.
        burst_s: Seconds of unused turns that may be made up for.
        next_at: When the next turn is due, as far as it has heard of the requests that went; None to go on as before.
    """

    slots: float
    rate: float | None = None
    burst_s: float = 0.0
    next_at: float | None = None


@dataclass
class Member:
    """One process in the record.

    Attributes:
        slots: Slots that it may use.
        held: Slots that are not for others: these, or as many as it still uses.
        used: Slots that it had taken at its last report.
        in_flight: Requests in flight at its last report.
        wants_more: Whether it would use more.
        turns: Turns that it was given and has not said to have used.
        wanted_turns: How many more it would use.
        turn_at: The time of its last turn.
        number: Of its last report.
        since: When it was given its first slot, or since when it waits for one.
        max_slots: Requests in flight that all processes of its engine may have together.
        expires: When it is left out.
    """

    slots: int = 0
    held: int = 0
    used: int = 0
    in_flight: int = 0
    wants_more: bool = False
    turns: int = 0
    wanted_turns: int = 0
    turn_at: float = 0.0
    number: int = 0
    since: float = 0.0
    max_slots: int = 0
    expires: float = 0.0


_NEW = Member()
_MAX_NUMBER = 1e15  # of all times and counts


@dataclass
class RouteRecord:
    """What is shared about one route. All times are of one clock.

    Attributes:
        members: Processes with a query on the route.
        leader: The elected one.
        leader_until: Until when it is.
        limits: What it has found.
        next_at: When the next turn is due.
        resume_at: When the pause ends.
        reports: Events that the elected process has not fetched, with who reported them.
        unlearned: Requests that went, of which the elected process had not heard as it found the limits.
        partial_until: Until when processes may be missing, since the record was lost.
    """

    members: dict[str, Member] = field(default_factory=dict)
    leader: str = ""
    leader_until: float = 0.0
    limits: Limits | None = None
    next_at: float = 0.0
    resume_at: float = 0.0
    reports: list[tuple[str, bytes]] = field(default_factory=list)
    unlearned: int = 0
    partial_until: float = 0.0


def to_values(record: RouteRecord) -> dict[str, Any]:
    """The record as JSON has it.

    Args:
        record: A record.

    Returns:
        Numbers, texts, lists and dicts.
    """
    return {
        "members": {name: [getattr(each, part.name) for part in fields(each)] for name, each in record.members.items()},
        "leader": [record.leader, record.leader_until],
        "limits": list(record.limits) if record.limits is not None else None,
        "next_at": record.next_at,
        "resume_at": record.resume_at,
        "unlearned": record.unlearned,
        "partial_until": record.partial_until,
        "reports": [[name, events.decode()] for name, events in record.reports],
    }


def from_values(values: Mapping[str, Any]) -> RouteRecord:
    """The record that ``to_values`` wrote.

    Args:
        values: As JSON has it.

    Returns:
        The record.

    Raises:
        ValueError: It is none.
        KeyError: A part of it is missing.
        TypeError: A part of it is of another type.
    """
    members = {str(name): _member(parts) for name, parts in values["members"].items()}
    leader, leader_until = values["leader"]
    reports = [(str(name), str(events).encode()) for name, events in values["reports"]]
    record = RouteRecord(members, str(leader), float(leader_until), None, 0.0, float(values["resume_at"]), reports)
    if values["limits"] is not None:
        record.limits = limits_from(values["limits"])
    record.next_at, record.unlearned = float(values["next_at"]), int(values["unlearned"])
    record.partial_until = float(values["partial_until"])
    times = record.next_at, record.resume_at, record.leader_until, record.partial_until
    if not all(abs(value) < _MAX_NUMBER for value in (*times, record.unlearned)):
        raise ValueError("out of all bounds")
    return record


def _member(values: list[Any]) -> Member:
    own = fields(Member)
    if len(values) != len(own) or not all(abs(value) < _MAX_NUMBER for value in values):
        raise ValueError("a part is missing, or out of all bounds")
    return Member(**{part.name: type(getattr(_NEW, part.name))(value) for part, value in zip(own, values, strict=True)})


def limits_from(values: list[Any]) -> Limits:
    """Limits as JSON has them.

    Args:
        values: The fields in order.

    Returns:
        The limits.

    Raises:
        ValueError: A number is out of bounds.
    """
    slots, rate, burst_s, next_at = values
    limits = Limits(
        float(slots), None if rate is None else float(rate), float(burst_s), None if next_at is None else float(next_at)
    )
    if not (
        1 <= limits.slots < 1e6 and 0 <= limits.burst_s < 1e6 and (limits.rate is None or 1e-4 < limits.rate < 1e6)
    ):
        raise ValueError("out of all bounds")
    return limits
