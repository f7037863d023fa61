"""Who a query belongs to, so that nobody finds what somebody else stored."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scope:
    """The owner of a query.

    Attributes:
        engine: Whose stored answers and quotas the query uses. Engines share none.
        model: Whose usage the query is counted in; None where it is counted nowhere.
    """

    engine: str
    model: str | None = None
