"""What a query would ask, of which models, counted without asking it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import chain
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..pricing.estimate import NOTHING, Estimate
from ..pricing.spending import Range
from ..runtime import dry_run as one_model
from ..runtime.context import Query
from ..runtime.cost_estimate import cost_of
from ..runtime.dry_run import Counted
from .draws import Mask
from .input_table import InputTable, is_input, split_at_none
from .models import proxy_query
from .savings import first_look, is_worth
from .stored_answers import stored_answers
from .stored_certificates import StoredCertificates


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
    proxy = cache(partial(proxy_query, query))
    fewest = parts = small_parts = 0
    for part in split_at_none(frames):
        parts += 1
        counted = _count_part(part, query, proxy)
        large.add(counted.large)
        fewest += counted.fewest
        if counted.proxy is None:
            small_parts += 1
        else:
            small.add(counted.proxy)
    cost = cost_of(large.planned, query)
    if small_parts == parts:
        why = "too few inputs to save any, so all are asked" if large.requests else "all answers are stored"
        large.note = f"cascade: {why} of {query.model.model}"
        return large, cost
    total = replace(large, requests=large.requests + small.requests)
    total.seconds = None if large.seconds is None or small.seconds is None else large.seconds + small.seconds
    bounds = f"{fewest} to {large.requests}" if fewest < large.requests else f"{fewest}"
    total.note = f"cascade: {small.requests} requests to {proxy().model.model}, then {bounds} to {query.model.model}"
    if small_parts:
        total.note += f"; parts too small to save any: {small_parts} of {parts}"
    return total, _cost(cost, cost_of(small.planned, proxy()), fewest / max(1, large.requests))


class _CountedPart(NamedTuple):
    """What the inputs that are certified together would ask.

    Attributes:
        large: Of the large model, at most.
        fewest: The least of these requests.
        proxy: Of the proxy's model; None where all is asked of the large one.
    """

    large: Counted
    fewest: int
    proxy: Counted | None = None


def _count_part(part: Sequence[pd.DataFrame], query: Query, proxy: Callable[[], Query]) -> _CountedPart:
    cascade = query.model.cascade
    if cascade is None:
        raise ValueError("the query has no cascade")
    table = InputTable(part, query.model)
    certificate = StoredCertificates(query, table).find()
    if certificate is not None:
        large = _count(table, ~certificate.by_proxy, query)
        large.rows, large.nulls, large.distinct = table.row_count, sum(rows.nulls for rows in table.rows), len(table)
        asked = np.zeros(len(table), dtype=bool) if cascade.is_learned else certificate.by_proxy
        return _CountedPart(large, large.requests, _count(table, asked, proxy()))
    large, _ = one_model.count_all(part, query)
    is_open = ~stored_answers(query, table, query.model)
    if not is_worth(table.counts[is_open], cascade):
        return _CountedPart(large, large.requests)
    asked = np.ones(len(table), dtype=bool) if cascade.is_learned else is_open
    fewest = math.ceil(large.requests * first_look(table.counts[is_open], cascade))
    return _CountedPart(large, fewest, _count(table, asked, proxy()))


def _count(table: InputTable, asked: Mask, query: Query) -> Counted:
    """What chosen inputs of a table would ask, as the model of the query reads them."""
    pieces = table.pieces(np.flatnonzero(asked), query.model)
    return one_model.count_inputs(
        list(dict.fromkeys(filter(is_input, chain.from_iterable(items for _, items in pieces)))), query
    )


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
