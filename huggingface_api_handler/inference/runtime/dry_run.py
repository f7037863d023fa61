"""What a query would ask, counted without asking it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import pandas as pd

from ...tasks import Input, MediaRef
from ..flow_control.batching import can_batch
from ..protocols import tei
from ..storage.response_cache import NoResponseCache
from ..transport import client
from .context import Query

_AT_ONCE = 2048


def dry_run(query: Query, inputs: Sequence[Input], frame: pd.DataFrame) -> pd.DataFrame:
    """The columns ``rows``, ``nulls``, ``distinct_inputs``, ``stored``, ``requests`` and ``seconds``, each row alike.

    ``<target>`` says it in a sentence. ``stored`` counts answers already kept; those to media are known by content,
    so they are counted only once the media is loaded, which a dry run does not do. ``requests`` and ``seconds`` come
    from what earlier queries learned of the route; ``seconds`` is None where none did. Sends no request.
    """
    usage = query.usage
    stored, requests, seconds = client.submit(_counted(query, inputs)).result() if inputs else (0, 0, 0.0)
    usage.stored = stored
    told = "unknown time" if seconds is None else f"about {seconds:.3g} s"
    said = (
        f"dry run: {usage.rows} rows, {usage.nulls} NULL or blank, {usage.distinct} distinct inputs, "
        f"{stored} answers stored, {requests} requests, {told}"
    )
    columns = {
        query.model.target: said,
        f"{query.model.target}_error": None,
        "rows": usage.rows,
        "nulls": usage.nulls,
        "distinct_inputs": usage.distinct,
        "stored": stored,
        "requests": requests,
        "seconds": seconds,
    }
    out = pd.DataFrame({name: [value] * len(frame) for name, value in columns.items()}, index=frame.index)
    out.attrs["usage"] = usage.as_dict()
    return out


async def _counted(query: Query, inputs: Sequence[Input]) -> tuple[int, int, float | None]:
    state = await query.route_state(tei.cached_server(query.route))
    left = await _not_stored(query, inputs)
    groups = Counter(map(query.model.definition.group, left))
    profile, pace = state.profile, state.pace()
    batch = profile.batch_size.best if can_batch(query.model.definition, profile) else 1
    requests = sum(math.ceil(members / batch) for members in groups.values())
    rates = [pace[name] for name in ("rate", "answers") if name in pace]
    return len(inputs) - len(left), requests, requests / min(rates) if rates and requests else None if requests else 0.0


async def _not_stored(query: Query, inputs: Sequence[Input]) -> Sequence[Input]:
    answers = query.answers
    if isinstance(answers, NoResponseCache):
        return inputs
    left: list[Input] = []
    for start in range(0, len(inputs), _AT_ONCE):
        some = inputs[start : start + _AT_ONCE]
        keys = {item: answers.key(item) for item in some if not _has_media(item)}
        stored = await answers.lookup(list(keys.values()))
        left += [item for item in some if keys.get(item) not in stored]
    return left


def _has_media(item: Input) -> bool:
    return any(isinstance(part, MediaRef) for part in (item if isinstance(item, tuple) else (item,)))
