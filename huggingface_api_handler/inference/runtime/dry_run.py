"""What a query would ask, counted without asking it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import pandas as pd

from ...tasks import Input
from ...tasks.input_types import media_in, text_length
from ..flow_control.batching import can_batch
from ..flow_control.token_limit import TokenLimit
from ..storage.response_cache import NoResponseCache
from ..transport.large_bodies import off_loop
from .chunked_text import LARGE_CHARS, inputs_to_ask, is_plan, limit_for
from .context import Query

_LOOKUP_ROWS = 2048


class _Estimate(NamedTuple):
    """Inputs with a stored answer, requests to send, the seconds that they take (None where unknown), what is sent."""

    cached: int = 0
    requests: int = 0
    seconds: float | None = 0.0
    to_ask: Sequence[Input] = ()


ToAsk = Callable[[Sequence[Input]], None]
"""Is given the inputs that would be sent, parts of long texts among them."""


def dry_run(query: Query, inputs: Sequence[Input], frame: pd.DataFrame, to_ask: ToAsk | None = None) -> pd.DataFrame:
    """What a query would ask, in columns that are alike in each row. Sends no request.

    ``requests`` and ``seconds`` come from what earlier queries showed of the route.

    Args:
        query: what is asked, and of which route.
        inputs: its distinct inputs.
        frame: the table, for its index.
        to_ask: is given what would be sent; None where nobody wants it.

    Returns:
        The columns ``rows``, ``nulls``, ``distinct_inputs``, ``stored``, ``requests`` and ``seconds``, and ``<target>``
        that says it in a sentence. ``stored`` counts answers that are stored; those to media are known by their
        content, so they count only once the media is loaded, which a dry run does not do. ``seconds`` is None where
        no query has shown how fast the route is.
    """
    usage = query.usage
    estimate = query.session.http.submit(_estimate(query, inputs)).result() if inputs else _Estimate()
    usage.cache_hits = estimate.cached
    if to_ask is not None:
        to_ask(estimate.to_ask)
    in_parts = f", {usage.long_texts} texts too long, in {usage.parts} parts" if usage.long_texts else ""
    time_text = "unknown time" if estimate.seconds is None else f"about {estimate.seconds:.3g} s"
    sentence = (
        f"dry run: {usage.rows} rows, {usage.nulls} NULL or blank, {usage.distinct} distinct inputs{in_parts}, "
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
    limit = limit_for(query.model, state.profile.token_limit)
    to_ask, cached = await _look_up(query, inputs, limit)
    batch_size = state.profile.batch_size.best if can_batch(route.protocol.batching(task), state.profile) else 1
    groups = Counter(map(task.group, to_ask))
    requests = sum(math.ceil(members / batch_size) for members in groups.values())
    pace = state.pace()
    rates = [pace[name] for name in ("rate", "answers") if name in pace]
    seconds = 0.0 if not requests else requests / min(rates) if rates else None
    return _Estimate(cached, requests, seconds, to_ask)


async def _look_up(query: Query, inputs: Sequence[Input], limit: TokenLimit) -> tuple[list[Input], int]:
    """What is to be asked, parts of long texts among it, and how many answers are stored."""
    to_ask: list[Input] = []
    parts: dict[Input, None] = {}
    cached = 0
    tokenizer = await query.tokenizer()
    for start in range(0, len(inputs), _LOOKUP_ROWS):
        window = inputs[start : start + _LOOKUP_ROWS]
        stored = await _stored(query, window)
        for item in window:
            if item in stored and not is_plan(stored[item]):
                cached += 1
                continue
            arguments = item, stored.get(item), query.model, limit, tokenizer
            is_large = text_length(item) > LARGE_CHARS
            asked = await off_loop(inputs_to_ask, *arguments) if is_large else inputs_to_ask(*arguments)
            if asked == [item]:
                to_ask.append(item)
            else:
                query.usage.long_texts += 1
                query.usage.parts += len(asked)
                parts.update(dict.fromkeys(asked))
    for start in range(0, len(parts), _LOOKUP_ROWS):
        window = list(parts)[start : start + _LOOKUP_ROWS]
        stored = await _stored(query, window)
        cached += len(stored)
        to_ask += [item for item in window if item not in stored]
    return to_ask, cached


async def _stored(query: Query, items: Sequence[Input]) -> dict[Input, object]:
    """The answers that are stored."""
    answers = query.answers
    if isinstance(answers, NoResponseCache):
        return {}
    keys = {item: answers.key(item) for item in items if media_in(item) is None}
    stored = await answers.lookup(list(keys.values()))
    return {item: stored[key] for item, key in keys.items() if key in stored}
