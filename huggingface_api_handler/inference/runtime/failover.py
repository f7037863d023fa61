"""From a provider that fails for everybody to the next one, where the person named none."""

from __future__ import annotations

import logging
from dataclasses import replace

from ...errors import InferenceError, InputError
from ..failures import Failure, FailureKind
from ..flow_control.outage import NOT_SERVED, is_not_served
from ..protocols import hub_models
from ..protocols.routing import Route, resolve_route
from .context import Query

logger = logging.getLogger(__name__)

_SERVER_ERROR = 500


def is_for_everybody(failure: Failure | None) -> bool:
    """Whether a provider fails for everybody: it does not serve the model, or is away. Not for a key or an account.

    Args:
        failure: By which a query stopped; None where it did not.

    Returns:
        True for 404, 410, words that the model is not supported, and errors of the server.
    """
    if failure is None or failure.kind is not FailureKind.FATAL or failure.status is None:
        return False
    return is_not_served(failure) or failure.status >= _SERVER_ERROR


def is_undone(failure: Failure) -> bool:
    """Whether a row may be asked again of another provider.

    Args:
        failure: By which the row has failed.

    Returns:
        True for what fails for everybody.
    """
    return failure.status in NOT_SERVED or (failure.status or 0) >= _SERVER_ERROR


def may_go_on(query: Query, failure: Failure | None) -> bool:
    """Whether a query that stopped may be asked of another provider.

    Args:
        query: That has stopped.
        failure: Why.

    Returns:
        True where no provider was named, and this one fails for everybody.
    """
    if query.route.fallbacks is None or failure is None or not is_for_everybody(failure):
        return False
    return bool(query.route.fallbacks) or is_not_served(failure)


async def next_query(query: Query, failure: Failure) -> Query | Failure:
    """The same query at the next provider. Asks the Hub again where this one does not serve the model.

    Args:
        query: That has stopped.
        failure: Why.

    Returns:
        The query; or why it ends, where there is no other provider.
    """
    hub_models.avoid(query.route.model, query.route.protocol.name)
    failed = (*query.failed, query.route)
    routes: tuple[Route, ...] = query.route.fallbacks or ()
    reason = failure
    if not routes or is_not_served(failure):
        threads = query.session.http.threads_of("the Hub")
        found = await threads.run(_ask_again, query)
        if isinstance(found, Failure):
            reason = found
        elif found is not None:
            routes = found
    tried = {route.protocol.name for route in failed}
    routes = tuple(route for route in routes if route.protocol.name not in tried)
    if not routes:
        return reason
    route = replace(routes[0], fallbacks=routes[1:])
    status = failure.status or "no answer"
    logger.warning(
        "%s fails for everybody (%s), so %s is asked from now on",
        query.route.protocol.name,
        failure.reason,
        route.protocol.name,
    )
    query.usage.failovers[f"{query.route.protocol.name} to {route.protocol.name} ({status})"] += 1
    return replace(query, route=route, failed=failed)


def _ask_again(query: Query) -> tuple[Route, ...] | Failure | None:
    """The routes that the Hub names now; why there is none; None where it cannot be asked. Runs on a thread."""
    try:
        if "problem" in hub_models.listing_of(query.route.model, query.engine, again=True):
            return None
        route = resolve_route(query.engine, query.model)
    except InputError as error:
        return Failure(FailureKind.FATAL, str(error), NOT_SERVED[0])
    except InferenceError:
        return None
    return (route, *(route.fallbacks or ()))
