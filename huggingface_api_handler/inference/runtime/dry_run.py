"""What a query would ask, counted without asking it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from ...tasks import Input
from ...tasks.input_types import media_in
from ..flow_control.batching import can_batch
from ..storage.response_cache import NoResponseCache
from .context import Query

_LOOKUP_ROWS = 2048


class _Estimate(NamedTuple):
    """Inputs with a stored answer, requests to send, and the seconds that they take, None where that is unknown."""

    cached: int = 0
    requests: int = 0
    seconds: float | None = 0.0


def dry_run(query: Query, inputs: Sequence[Input], frame: pd.DataFrame) -> pd.DataFrame:
    """What a query would ask, in columns that are alike in each row. Sends no request.

    ``requests`` and ``seconds`` come from what earlier queries showed of the route.

    Args:
        query: what is asked, and of which route.
        inputs: its distinct inputs.
        frame: the table, for its index.

    Returns:
        The columns ``rows``, ``nulls``, ``distinct_inputs``, ``stored``, ``requests`` and ``seconds``, and ``<target>``
        that says it in a sentence. ``stored`` counts answers that are stored; those to media are known by their
        content, so they count only once the media is loaded, which a dry run does not do. ``seconds`` is None where
        no query has shown how fast the route is.
    """
    usage = query.usage
    estimate = query.session.http.submit(_estimate(query, inputs)).result() if inputs else _Estimate()
    usage.cache_hits = estimate.cached
    time_text = "unknown time" if estimate.seconds is None else f"about {estimate.seconds:.3g} s"
    sentence = (
        f"dry run: {usage.rows} rows, {usage.nulls} NULL or blank, {usage.distinct} distinct inputs, "
        f"{estimate.cached} answers stored, {estimate.requests} requests, {time_text}"
    )
    columns = {
        query.model.target: sentence,
        f"{query.model.target}_error": None,
        "rows": usage.rows,
        "nulls": usage.nulls,
        "distinct_inputs": usage.distinct,
        "stored": estimate.cached,
        "requests": estimate.requests,
        "seconds": estimate.seconds,
    }
    out = pd.DataFrame({name: [value] * len(frame) for name, value in columns.items()}, index=frame.index)
    out.attrs["usage"] = usage.as_dict()
    return out


async def _estimate(query: Query, inputs: Sequence[Input]) -> _Estimate:
    task = query.model.definition
    route = query.session.servers.route_to(query.route, task)
    state = await query.route_state(route)
    uncached = await _uncached(query, inputs)
    batch_size = state.profile.batch_size.best if can_batch(route.protocol.batching(task), state.profile) else 1
    groups = Counter(map(task.group, uncached))
    requests = sum(math.ceil(members / batch_size) for members in groups.values())
    pace = state.pace()
    rates = [pace[name] for name in ("rate", "answers") if name in pace]
    seconds = 0.0 if not requests else requests / min(rates) if rates else None
    return _Estimate(len(inputs) - len(uncached), requests, seconds)


async def _uncached(query: Query, inputs: Sequence[Input]) -> Sequence[Input]:
    answers = query.answers
    if isinstance(answers, NoResponseCache):
        return inputs
    uncached: list[Input] = []
    for start in range(0, len(inputs), _LOOKUP_ROWS):
        window = inputs[start : start + _LOOKUP_ROWS]
        keys = {item: answers.key(item) for item in window if media_in(item) is None}
        stored = await answers.lookup(list(keys.values()))
        uncached += [item for item in window if keys.get(item) not in stored]
    return uncached
