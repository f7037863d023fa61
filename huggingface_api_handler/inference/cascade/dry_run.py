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
from ..runtime.cost_estimate import cost_of
from ..runtime.dry_run import Counted
from .input_table import InputTable, split_at_none
from .models import proxy_query
from .savings import first_look, is_worth


def count_all(frames: Iterable[pd.DataFrame | None], query: Query) -> tuple[Counted, Estimate]:
    """Count what frames would ask, and what it costs. Sends no request.

    Args:
        frames: The frames. With a cascade, those between two None are certified together, as in ``predict_frames``.
        query: What would be asked, and of which route.

    Returns:
        The sums, and the range of what they cost. With a cascade these are the most requests, and the least that it
        costs is that of a proxy whose every answer that is drawn is right.
    """
    if query.model.cascade is None:
        return one_model.count_all((frame for frame in frames if frame is not None), query)
    large, small = Counted(), Counted()
    of_proxy: Query | None = None
    fewest = parts = small_parts = 0
    for part in split_at_none(frames):
        of_large, _ = one_model.count_all(part, query)
        large.add(of_large)
        counts = InputTable(part, query.model).counts
        parts += 1
        if is_worth(counts, query.model.cascade):
            of_proxy = of_proxy or proxy_query(query)
            small.add(one_model.count_all(part, of_proxy)[0])
            fewest += math.ceil(of_large.requests * first_look(counts, query.model.cascade))
        else:
            small_parts += 1
            fewest += of_large.requests
    cost = cost_of(large.planned, query)
    if of_proxy is None:
        large.note = f"cascade: too few inputs to save any, so all are asked of {query.model.model}"
        return large, cost
    total = replace(large, requests=large.requests + small.requests)
    total.seconds = None if large.seconds is None or small.seconds is None else large.seconds + small.seconds
    asked = f"{fewest} to {large.requests} to {query.model.model}"
    total.note = f"cascade: {small.requests} requests to {of_proxy.model.model}, then {asked}"
    if small_parts:
        total.note += f"; parts too small to save any: {small_parts} of {parts}"
    return total, _cost(cost, cost_of(small.planned, of_proxy), fewest / max(1, large.requests))


def dry_run(query: Query, frame: pd.DataFrame) -> pd.DataFrame:
    """As ``runtime.dry_run.dry_run``, with a cascade.

    Args:
        query: What is asked, and of which route.
        frame: The table.

    Returns:
        The same columns.
    """
    return one_model.shown(query, frame, *count_all([frame], query))


def _cost(large: Estimate, proxy: Estimate, least: float) -> Estimate:
    if large.usd is None or proxy.usd is None:
        return Estimate(None, large.unknown or proxy.unknown)
    low, high = large.usd.low * least + proxy.usd.low, large.usd.high + proxy.usd.high
    return Estimate(Range(low, high) if high else NOTHING)
