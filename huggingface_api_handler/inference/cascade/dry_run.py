"""What a query would ask, of which models, counted without asking it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import pandas as pd

from ..pricing.estimate import NOTHING, Estimate
from ..pricing.spending import Range
from ..runtime import dry_run as one_model
from ..runtime.context import Query
from ..runtime.dry_run import Counted
from .input_table import InputTable
from .models import proxy_query
from .savings import first_look, is_worth


def count_all(frames: Iterable[pd.DataFrame], query: Query) -> tuple[Counted, Estimate]:
    """Count what frames would ask, and what it costs. Sends no request.

    Args:
        frames: The frames, which are asked together.
        query: What would be asked, and of which route.

    Returns:
        The sums, and the range of what they cost. With a cascade these are the most requests, and the least that it
        costs is that of a proxy whose every answer that is drawn is right.
    """
    if query.model.cascade is None:
        return one_model.count_all(frames, query)
    tables = list(frames)
    large, most = one_model.count_all(tables, query)
    counts = InputTable(tables, query.model).counts if tables else None
    if counts is None or not is_worth(counts, query.model.cascade):
        large.note = f"cascade: too few inputs to save any, so all are asked of {query.model.model}"
        return large, most
    proxy, cost = one_model.count_all(tables, proxy_query(query))
    fewest = math.ceil(large.requests * first_look(counts, query.model.cascade))
    total = replace(large, requests=large.requests + proxy.requests)
    total.seconds = None if large.seconds is None or proxy.seconds is None else large.seconds + proxy.seconds
    asked = f"{fewest} to {large.requests} to {query.model.model}"
    total.note = f"cascade: {proxy.requests} requests to {_name(query)}, then {asked}"
    return total, _cost(most, cost, fewest / max(1, large.requests))


def dry_run(query: Query, frame: pd.DataFrame) -> pd.DataFrame:
    """As ``runtime.dry_run.dry_run``, with a cascade.

    Args:
        query: What is asked, and of which route.
        frame: The table.

    Returns:
        The same columns.
    """
    return one_model.shown(query, frame, *count_all([frame], query))


def _name(query: Query) -> str:
    return "its proxy" if query.model.proxy is None else query.model.proxy.model.model


def _cost(large: Estimate, proxy: Estimate, least: float) -> Estimate:
    if large.usd is None or proxy.usd is None:
        return Estimate(None, large.unknown or proxy.unknown)
    low, high = large.usd.low * least + proxy.usd.low, large.usd.high + proxy.usd.high
    return Estimate(Range(low, high) if high else NOTHING)
