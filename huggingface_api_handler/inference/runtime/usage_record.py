"""The usage of a query: what it is while it runs, who is told of it at the begin and the end, and where it is kept."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from ...config.settings import ModelSettings
from ...errors import SessionClosedError
from ...redaction import secret_in_use
from ...tasks import Input
from ..telemetry import usage_log
from ..telemetry.hooks import Hooks
from ..telemetry.usage import Usage
from .context import Query
from .cost_estimate import estimate_ahead

logger = logging.getLogger(__name__)


def usage_so_far(query: Query) -> Usage:
    """The usage of a query that may still run, with the requests of those that belong to it.

    Args:
        query: Whose usage it is.

    Returns:
        A copy.
    """
    usage = replace(query.usage, spending=replace(query.usage.spending))
    for name in ("errors", "latencies", "failovers"):
        setattr(usage, name, getattr(usage, name).copy())
    usage.spending.unpriced = usage.spending.unpriced.copy()
    for partner in query.partners:
        usage.add_requests(partner)
    return usage


class UsageRecord:
    """The usage of one query, on its way to who reads it. All methods are called from the caller's thread.

    Args:
        query: Whose usage it is.

    Attributes:
        started: When the query was made, on the monotonic clock.
    """

    def __init__(self, query: Query) -> None:
        self._query = query
        self.started = time.monotonic()
        self._has_begun = False
        self._was_estimated = query.usage.spending.estimated is not None

    @property
    def seconds(self) -> float:
        """Time since the query was made."""
        return time.monotonic() - self.started

    def begin(self, inputs: Sequence[Input]) -> None:
        """Tell hooks once that the query begins, and note what it is estimated to cost.

        Args:
            inputs: Those that are asked next. Only of the first ones can an estimate be of the whole.
        """
        query, usage = self._query, self._query.usage
        if query.hooks is not None and not self._has_begun:
            query.session.http.submit(_told(query.hooks.query_started, usage)).result()
        if not self._was_estimated:
            usage.spending.estimated = None if self._has_begun else estimate_ahead(query, inputs)
        self._has_begun = True

    def end(self, error: BaseException | None, *, was_forked: bool) -> None:
        """Keep the usage of a query that has begun, and tell hooks that it ends.

        Args:
            error: What it raises; None where it gives tables.
            was_forked: Whether the query goes on in another process, and is counted at its end there.
        """
        query, usage = self._query, self._query.usage
        usage.seconds = self.seconds
        if not self._has_begun or was_forked:
            return
        usage_log.record(query.tables.usage, query.scope, usage)
        _tell_left_out(usage.left_out, query.model)
        if cost := usage.spending.text(usage.requests):
            logger.info("%s answered %d requests: %s", usage.model, usage.requests, cost)
        if query.hooks is not None:
            _tell_end(query.hooks, query, error)


def _tell_left_out(texts: int, model: ModelSettings) -> None:
    """Log of how many long texts not all was read, and what reads more."""
    chunking = model.definition.chunking
    if not texts or chunking is None:
        return
    where = f"{model.target}_explain says from which character on nothing was read"
    if model.long_text == "truncate":  # a person wanted that
        logger.info("only the first part was read of %d texts, as long_text = 'truncate' wants. %s", texts, where)
    elif not chunking.reads_all:
        logger.warning("%d pairs were cut to what the model reads. %s", texts, where)
    else:
        why = f"which have more than max_chunks = {model.max_chunks} parts. Raise max_chunks to read more"
        logger.warning("not all was read of %d texts, %s. %s", texts, why, where)


def _tell_end(hooks: Hooks, query: Query, error: BaseException | None) -> None:
    if isinstance(error, GeneratorExit):  # whoever reads the frames has enough of them
        error = None
    http = query.session.http
    try:
        with secret_in_use(query.route.secret):
            telling = None if http.is_on_loop else http.submit(_told(hooks.query_ended, query.usage, error))
    except SessionClosedError:
        telling = None
    if telling is None:  # by a garbage collection on the loop's thread, or after the end of that thread
        hooks.query_ended(query.usage, error)
    elif not isinstance(error, KeyboardInterrupt):  # Ctrl-C does not wait for hooks
        telling.result()


async def _told(event: Callable[..., None], *facts: object) -> None:
    """Tell hooks on the event loop's thread, as of all events."""
    event(*facts)
