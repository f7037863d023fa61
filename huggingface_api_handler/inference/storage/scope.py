"""Whose a query is, so that nobody finds what another one stored."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scope:
    """Whose a query is. ``engine`` keeps answers and quotas of one engine from another, ``model`` its receipts."""

    engine: str
    model: str | None = None
