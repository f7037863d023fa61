"""What a query would ask, counted without asking it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import pandas as pd

from ...tasks import Input, read_inputs
from ...tasks.input_types import media_in, text_length
from ..flow_control.batching import can_batch
from ..flow_control.token_limit import TokenLimit
from ..pricing.estimate import Estimate, PlannedRequests
from ..protocols.routing import Route
from ..storage.response_cache import NoResponseCache
from ..transport.large_bodies import off_loop
from .chunked_text import LARGE_CHARS, inputs_to_ask, is_plan, limit_for
from .context import Query
from .cost_estimate import cost_of, plan
from .rows import Deduplicator

_LOOKUP_ROWS = 2048


@dataclass
class Counted:
    """What a query would ask.

    Attributes:
        rows: Rows of the table.
        nulls: Rows of them without an input, which are not sent.
        distinct: Different inputs.
        stored: Answers that are stored. Those to media are known by their content, so they count only once the media is
            loaded, which a dry run does not do.
        long_texts: Inputs that are too long, and would be asked in parts.
        parts: Their parts.
        requests: Requests that the others take, as far as earlier queries showed how the route is asked.
        seconds: How long they take; None where no query has shown how fast the route is.
        planned: The requests, for what they cost.
        note: Of whom they are asked, where that is more than one model.
    """

    rows: int = 0
    nulls: int = 0
    distinct: int = 0
    stored: int = 0
    long_texts: int = 0
    parts: int = 0
    requests: int = 0
    seconds: float | None = 0.0
    planned: PlannedRequests = field(default_factory=PlannedRequests)
    note: str | None = None

    def add(self, other: Counted) -> None:
        """Count another table too.

        Args:
            other: What would be asked of it.
        """
        for name in ("rows", "nulls", "distinct", "stored", "long_texts", "parts", "requests"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.seconds = None if self.seconds is None or other.seconds is None else self.seconds + other.seconds
        self.planned.add(other.planned)


def count_all(frames: Iterable[pd.DataFrame], query: Query) -> tuple[Counted, Estimate]:
    """Count what frames would ask, and what it costs. Sends no request.

    Args:
        frames: The frames, each counted for itself.
        query: What would be asked, and of which route.

    Returns:
        The sums, and the range of what they cost.
    """
    total = Counted()
    for frame in frames:
        total.add(_count(frame, query))
    return total, cost_of(total.planned, query)


def dry_run(query: Query, frame: pd.DataFrame) -> pd.DataFrame:
    """What a query would ask, in columns that are alike in each row. Sends no request.

    Args:
        query: what is asked, and of which route.
        frame: the table.

    Returns:
        The columns ``rows``, ``nulls``, ``distinct_inputs``, ``stored``, ``requests``, ``seconds``, ``usd_low`` and
        ``usd_high``, and ``<target>`` that says it in a sentence. ``requests`` and ``seconds`` come from what earlier
        queries showed of the route, and the dollars from what earlier queries of the model took. They are None where
        nobody can know them.
    """
    counted = _count(frame, query)
    return shown(query, frame, counted, cost_of(counted.planned, query))


def shown(query: Query, frame: pd.DataFrame, counted: Counted, cost: Estimate) -> pd.DataFrame:
    """What was counted, as ``dry_run`` gives it.

    Args:
        query: what would be asked. Its usage gets the counts.
        frame: the table.
        counted: what the query would ask.
        cost: what that would cost.

    Returns:
        As ``dry_run``.
    """
    in_parts = f", {counted.long_texts} texts too long, in {counted.parts} parts" if counted.long_texts else ""
    time_text = "unknown time" if counted.seconds is None else f"about {counted.seconds:.3g} s"
    sentence = (
        f"dry run: {counted.rows} rows, {counted.nulls} NULL or blank, {counted.distinct} distinct inputs{in_parts}, "
        f"{counted.stored} answers stored, {counted.requests} requests, {time_text}, {cost}"
    ) + (f"; {counted.note}" if counted.note else "")
    low, high = cost.usd or (None, None)
    columns = {
        query.model.target: sentence,
        f"{query.model.target}_error": None,
        "rows": counted.rows,
        "nulls": counted.nulls,
        "distinct_inputs": counted.distinct,
        "stored": counted.stored,
        "requests": counted.requests,
        "seconds": counted.seconds,
        "usd_low": low,
        "usd_high": high,
    }
    out = pd.DataFrame({name: [value] * len(frame) for name, value in columns.items()}, index=frame.index)
    usage = query.usage
    usage.rows, usage.nulls, usage.distinct, usage.cache_hits = (
        counted.rows, counted.nulls, counted.distinct, counted.stored
    )  # fmt: skip
    usage.long_texts, usage.parts = usage.long_texts + counted.long_texts, usage.parts + counted.parts
    out.attrs["usage"] = usage.as_dict()
    return out


class _ToAsk(NamedTuple):
    """The inputs that would be sent, parts of long texts among them, each list in one request; and how."""

    requests: Sequence[Sequence[Input]]
    route: Route
    seconds: float | None


def count_inputs(inputs: Sequence[Input], query: Query) -> Counted:
    """Count what inputs would ask. Sends no request.

    Args:
        inputs: No two of them equal.
        query: What would be asked, and of which route.

    Returns:
        The counts, without rows.
    """
    counted = Counted(distinct=len(inputs))
    if inputs:
        to_ask = query.session.http.submit(_find(query, inputs, counted)).result()
        counted.requests, counted.seconds = len(to_ask.requests), to_ask.seconds
        counted.planned = plan(query, to_ask.route, to_ask.requests)
    return counted


def _count(frame: pd.DataFrame, query: Query) -> Counted:
    rows, inputs = Deduplicator().rows(frame, read_inputs(query.model.definition, frame, query.model), 1)
    counted = count_inputs(inputs, query)
    counted.rows, counted.nulls = len(frame), rows.nulls
    return counted


async def _find(query: Query, inputs: Sequence[Input], counted: Counted) -> _ToAsk:
    """What would be sent. Counts what is stored, and what is in parts."""
    task = query.model.definition
    route = query.session.servers.route_to(query.route, task)
    state = await query.route_state(route)
    limit = limit_for(query.model, state.profile.token_limit)
    groups = defaultdict(list)
    for item in await _look_up(query, inputs, limit, counted):
        groups[task.group(item)].append(item)
    sizes = state.profile.batch_size
    size = min(sizes.best, sizes.timely.size) if can_batch(route.protocol.batching(task), state.profile) else 1
    requests = [members[start : start + size] for members in groups.values() for start in range(0, len(members), size)]
    pace = state.pace()
    rates = [pace[name] for name in ("rate", "answers") if name in pace]
    seconds = 0.0 if not requests else len(requests) / min(rates) if rates else None
    return _ToAsk(requests, route, seconds)


async def _look_up(query: Query, inputs: Sequence[Input], limit: TokenLimit, counted: Counted) -> list[Input]:
    """What is to be asked, parts of long texts among it."""
    to_ask: list[Input] = []
    parts: dict[Input, None] = {}
    tokenizer = await query.tokenizer()
    for start in range(0, len(inputs), _LOOKUP_ROWS):
        window = inputs[start : start + _LOOKUP_ROWS]
        stored = await find_stored(query, window)
        for item in window:
            if item in stored and not is_plan(stored[item]):
                counted.stored += 1
                continue
            arguments = item, stored.get(item), query.model, limit, tokenizer
            is_large = text_length(item) > LARGE_CHARS
            asked = await off_loop(inputs_to_ask, *arguments) if is_large else inputs_to_ask(*arguments)
            if asked == [item]:
                to_ask.append(item)
            else:
                counted.long_texts += 1
                counted.parts += len(asked)
                parts.update(dict.fromkeys(asked))
    for start in range(0, len(parts), _LOOKUP_ROWS):
        window = list(parts)[start : start + _LOOKUP_ROWS]
        stored = await find_stored(query, window)
        counted.stored += len(stored)
        to_ask += [item for item in window if item not in stored]
    return to_ask


async def find_stored(query: Query, items: Sequence[Input]) -> dict[Input, object]:
    """Find the answers that are stored. Those to media are known by their content, so they are not looked for.

    Args:
        query: Whose answers they are.
        items: Inputs.

    Returns:
        What is stored, by the input: an answer, or how a text is asked in parts (``chunked_text.is_plan``).
    """
    answers = query.answers
    if isinstance(answers, NoResponseCache):
        return {}
    keys = {item: answers.key(item) for item in items if media_in(item) is None}
    stored = await answers.lookup(list(keys.values()))
    return {item: stored[key] for item, key in keys.items() if key in stored}
