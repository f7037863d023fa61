"""What the requests of a query will cost, by what earlier queries of the model took."""

from __future__ import annotations

from collections.abc import Sequence

from ...tasks import Input
from ...tasks.input_types import media_in
from ..pricing.bounds import token_bounds
from ..pricing.estimate import Estimate, PlannedRequests, estimate
from ..pricing.spending import Range
from ..protocols.routing import Route
from ..storage.response_cache import NoResponseCache
from ..telemetry.usage_log import recent_usage
from .chunked_text import asks_in_parts
from .context import Query

_SAMPLE = 64
"""Inputs of a table that are looked at before it is asked. Their sizes say those of the others to a tenth or so."""


def plan(query: Query, route: Route, requests: Sequence[Sequence[Input]]) -> PlannedRequests:
    """What requests send, where that says what they cost.

    Args:
        query: Of which they are.
        route: As its server wants to be asked.
        requests: The inputs of each.

    Returns:
        Their number, with the size of their bodies where they have a price. Media are not loaded for it.
    """
    prices, task, model = query.prices(), query.model.definition, query.model
    if not prices or prices.is_free:
        return PlannedRequests(len(requests))
    planned = PlannedRequests()
    for items in requests:
        if any(media_in(item) is not None for item in items):
            data = b""  # written once the media are loaded
        else:
            try:
                data = route.protocol.encode(task, items, model).data
            except (TypeError, ValueError):
                continue  # nor would it be sent
        planned.plan(len(data), token_bounds(task, model, items, data))
    return planned


def cost_of(planned: PlannedRequests, query: Query) -> Estimate:
    """What requests will cost.

    Args:
        planned: The requests.
        query: Of which they are.

    Returns:
        The range, or why there is none.
    """
    prices, model = query.prices(), query.scope and query.scope.model
    if not (planned.requests and prices and model) or prices.is_free:
        return estimate(prices, planned, [])
    recent = recent_usage(query.tables.usage, model)
    repairs = sum(usage.repairs for usage in recent)
    others = sum(usage.requests for usage in recent) - repairs
    return estimate(prices, planned, [usage.history for usage in recent], repairs / max(1, others))


def estimate_ahead(query: Query, inputs: Sequence[Input]) -> Range | None:
    """What a query will cost, where a look at a few inputs says it.

    Args:
        query: The query.
        inputs: Its first ones.

    Returns:
        The dollars, should no others come. None where a look at each input would be needed: answers are stored, or
        texts are asked in parts; and where nobody can know them.
    """
    prices = query.prices()
    if not prices or not inputs or not isinstance(query.answers, NoResponseCache) or asks_in_parts(query.model):
        return None
    sample = inputs[:: -(-len(inputs) // _SAMPLE)]
    route = query.session.servers.route_to(query.route, query.model.definition)
    planned = plan(query, route, [[item] for item in sample])
    return cost_of(planned.scaled(len(inputs) / len(sample)), query).usd
