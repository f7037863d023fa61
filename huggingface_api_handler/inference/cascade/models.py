"""Models: the two models of one query with a cascade, and what was asked of each."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pandas as pd

from ...config.settings import CascadeArguments, ModelSettings, Proxy
from ...errors import InferenceError, InputError
from ...tasks import Input, InvalidCell, Prediction, read_inputs
from ...tasks.inputs import with_ordered_fields
from ..failures import Failure, FailureKind
from ..pricing.prices import FREE_OF_CHARGE
from ..protocols.routing import resolve_route
from ..runtime.asked_inputs import AskedInputs
from ..runtime.context import Query
from ..runtime.progress import Progress
from ..runtime.query_run import Cancel
from ..runtime.results import Result, Results, is_known
from ..runtime.usage_record import UsageRecord, usage_so_far
from ..storage.scope import Scope
from ..telemetry.cascade_usage import CascadeUsage
from ..telemetry.usage import Usage, UsageValue
from .draws import Ints, Mask
from .input_table import InputTable, is_input
from .phases import READS, Phases, Step

_LOOKED_AT_ROWS = 256
"""Of a frame, to find out whether the proxy reads the same kind of data."""


def proxy_query(query: Query) -> Query:
    """The query of the proxy's model: of the same person, and within the same limits.

    Args:
        query: Of the large model, which has a proxy.

    Returns:
        The query. Its requests are counted in the receipt of the large model's.

    Raises:
        InputError: The model has no route.
        InferenceError: The Hub cannot be asked for the model's name at the provider.
    """
    proxy = _proxy_of(query)
    engine, model = proxy.engine or query.engine, proxy.model
    route = resolve_route(engine, model, may_ask=not query.model.dry_run)
    usage = Usage(model.task, model.model, route.host)
    if proxy.engine is None:
        scope = query.scope and replace(query.scope, model=None)
        is_free = query.known_prices is FREE_OF_CHARGE and not (model.endpoint or model.provider)
    else:
        scope, is_free = Scope(proxy.engine_id) if proxy.engine_id else None, proxy.is_free
    return Query(
        model,
        engine,
        route,
        usage,
        query.session,
        scope,
        query.hooks and query.hooks.of_query(usage),
        known_prices=FREE_OF_CHARGE if is_free else None,
        limits=query.limits,
    )


def _proxy_of(query: Query) -> Proxy:
    if query.model.proxy is None:
        raise ValueError("the query has no cascade")
    return query.model.proxy


class Models:
    """Asks both models, in whatever order ``run`` needs.

    Attributes:
        query: Of the large model.
        settings: Of the large model, as its inputs are read.
        cascade: What is promised.
        proxy_settings: Of the proxy's model, as its inputs are read.
        proxy_name: The name of the proxy's model.
        phases: How far they are.
    """

    def __init__(self, query: Query, progress: Progress | None, cancel: Cancel | None) -> None:
        """Ask nothing yet.

        Args:
            query: Of the large model.
            progress: As for ``run.predict_frames``.
            cancel: Ends both.
        """
        if query.model.cascade is None:
            raise ValueError("the query has no cascade")
        self.query = replace(query, limits=query.own_limits())
        self.settings: ModelSettings = query.model
        self.cascade: CascadeArguments = query.model.cascade
        self.proxy_settings: ModelSettings = _proxy_of(query).model
        name = _proxy_of(query).model.model
        self.proxy_name = f"learned from {name}" if self.cascade.is_learned else name
        self.phases = Phases(progress)
        self._cancel = cancel
        self._record = UsageRecord(self.query)
        self._asked_large: AskedInputs | None = None
        self._asked_proxy: AskedInputs | None = None
        self._proxy_query: Query | None = None
        self._has_read = False
        self._pid = os.getpid()
        self._counts = CascadeUsage(self.proxy_name, self.cascade.accuracy, self.cascade.confidence)

    @property
    def is_cancelled(self) -> bool:
        """Whether the caller's event has ended the query."""
        return self._cancel is not None and self._cancel.is_set()

    def read(self, frames: Sequence[pd.DataFrame]) -> None:
        """Order the columns of a prompt once: the prompts of a query begin alike whatever their frame.

        Args:
            frames: Those of a part.

        Raises:
            InputError: The proxy cannot read them.
        """
        for query in (self.query, self._proxy_query):
            if query is not None and self._has_read:
                query.session.http.submit(_find_what_was_stored(query)).result()
        for frame in frames:
            if not self._has_read and len(frame):
                self._has_read = True
                self.settings = self._ordered(self.query.model, frame)
                self.proxy_settings = self._ordered(self.proxy_settings, frame)
            read_inputs(self.proxy_settings.definition, frame.iloc[:_LOOKED_AT_ROWS], self.proxy_settings)

    def ask_large(self, table: InputTable, indexes: Ints, step: Step) -> Iterator[tuple[int, Result]]:
        """Ask the large model.

        Args:
            table: The inputs.
            indexes: Of those to ask, rising.
            step: What for.

        Yields:
            Each index with what became of the input.
        """
        if not len(indexes):
            return
        if self._asked_large is None:
            self._asked_large = self._asked(self.query, self._record, is_large=True)
        self._counts.asked_inputs += len(indexes)
        yield from self._ask(self._asked_large, table, indexes, self.settings, step)

    def check_proxy(self) -> None:
        """Find out whether the proxy's model may be asked, where the large one is asked before it.

        Raises:
            InputError: A budget cannot be held.
        """
        query = self._query_of_proxy()
        if (reason := query.session.http.submit(_why_unbounded(query)).result()) is not None:
            raise InputError(reason)

    def ask_proxy(self, table: InputTable, indexes: Ints, guesses: Results) -> bool:
        """Ask the proxy's model.

        Args:
            table: The inputs.
            indexes: Of those to ask, rising.
            guesses: Gets its predictions. What it refuses has none.

        Returns:
            False where the query ended meanwhile, so that some inputs were not sent.

        Raises:
            InferenceError: It answers nobody.
        """
        is_whole = True
        for index, result in self.proxy_results(table, indexes, READS):
            if isinstance(result, Prediction):
                guesses.put(index, result)
            elif result is None or result.kind is FailureKind.NOT_SENT:
                is_whole = False
        return is_whole

    def proxy_results(self, table: InputTable, indexes: Ints, step: Step) -> Iterator[tuple[int, Result]]:
        """What the proxy's model says to inputs.

        Args:
            table: The inputs.
            indexes: Of those to ask, rising.
            step: What for.

        Yields:
            Each index with what became of the input.

        Raises:
            InferenceError: It answers nobody.
        """
        if not len(indexes):
            return
        query = self._query_of_proxy()
        if self._asked_proxy is None:
            self._asked_proxy = self._asked(query, UsageRecord(query), is_large=False)
        self._counts.proxy_asked_inputs += len(indexes)
        usage = query.usage
        usage.rows += len(indexes)
        usage.distinct += len(indexes)
        refused: str | None = None
        try:
            for index, result in self._ask(self._asked_proxy, table, indexes, self.proxy_settings, step):
                usage.answered += isinstance(result, Prediction)
                if result is not None and not isinstance(result, Prediction):
                    usage.errors[result.kind.value] += 1
                    refused = None if result.kind is FailureKind.NOT_SENT else refused or result.message
                yield index, result
        except InferenceError as error:
            raise self._useless(str(error)) from None
        if not usage.answered and refused is not None and self.proxy_settings.on_error is None:
            raise self._useless(refused)

    def count(self, table: InputTable, by_proxy: Mask, threshold: float | None, *, was_certified: bool | None) -> None:
        """Count a part that is done.

        Args:
            table: Its inputs.
            by_proxy: Which of them show the proxy's answer.
            threshold: The least score of these.
            was_certified: Whether the proxy was asked; None where the query ended while it was.
        """
        counts = self._counts
        counts.parts += was_certified is True
        counts.straight_parts += was_certified is False
        counts.threshold = threshold
        counts.rows += int(table.counts.sum())
        counts.proxy_rows += int(table.counts[by_proxy].sum())
        counts.inputs += len(table)
        counts.proxy_inputs += int(by_proxy.sum())
        self.query.usage.cascade = self._told_counts()

    def usage_so_far(self) -> dict[str, UsageValue]:
        """The usage of the whole query, as ``Usage.as_dict``."""
        usage = usage_so_far(self.query)
        usage.seconds = self._record.seconds
        return usage.as_dict()

    def end(self) -> None:
        """Say that no more inputs come, and wait until answers are stored."""
        for asked in (self._asked_proxy, self._asked_large):
            if asked is not None:
                asked.end()

    def close(self) -> None:
        """End both queries, and keep one receipt of both."""
        if self._asked_proxy is not None:
            self._asked_proxy.close()
        self.query.usage.cascade = self._told_counts()
        while self.query.partners:
            self.query.usage.add_requests(self.query.partners.pop())
        if self._asked_large is not None:
            self._asked_large.close()
        elif os.getpid() == self._pid:  # else the process that it was forked from keeps the receipt
            self._record.begin(())
            self._record.end(sys.exc_info()[1], was_forked=False)

    def _told_counts(self) -> CascadeUsage:
        """The counts so far, with what the proxy took and saved."""
        counts, proxy = replace(self._counts), None if self._proxy_query is None else self._proxy_query.usage
        counts.usd_saved = _usd_saved(counts, self.query.usage, proxy)
        if proxy is not None:
            counts.proxy_requests, counts.proxy_usd = proxy.requests, proxy.spending.shown(proxy.requests)
        return counts

    def _asked(self, query: Query, record: UsageRecord, *, is_large: bool) -> AskedInputs:
        """One of the two queries, both of which have the time from the beginning of the large model's."""

        def report(done: int, _total: int) -> None:
            self.phases.tick(done, is_large=is_large)

        return AskedInputs(query, record, report, self._cancel, self._record.started, self.phases.now)

    def _ask(
        self, asked: AskedInputs, table: InputTable, indexes: Ints, model: ModelSettings, step: Step
    ) -> Iterator[tuple[int, Result]]:
        self.phases.begin(step, len(indexes), asked.count)
        done = 0
        try:
            for index, result in _ask(asked, table, indexes, model):
                done += is_known(result)
                yield index, result
        finally:
            self.phases.settle(done)

    def _query_of_proxy(self) -> Query:
        if self._proxy_query is None:
            self._proxy_query = proxy_query(self.query)
            self.query.partners.append(self._proxy_query.usage)
        return self._proxy_query

    def _useless(self, reason: str) -> InferenceError:
        return InferenceError(
            f"the proxy of the cascade answers nobody: {reason.rstrip('.')}. Name another model in "
            "cascade, or ask without it: cascade = false"
        )

    @staticmethod
    def _ordered(model: ModelSettings, frame: pd.DataFrame) -> ModelSettings:
        return model.model_copy(update={"columns": with_ordered_fields(frame, model.columns)})


async def _find_what_was_stored(query: Query) -> None:
    """Let later parts of a table find the answers to earlier ones."""
    await query.answers.flush()
    query.answers.look_again()


async def _why_unbounded(query: Query) -> str | None:
    await query.refresh_prices(1)
    return query.budgets().why_unbounded(query.engine.timeout)


def _ask(asked: AskedInputs, table: InputTable, indexes: Ints, model: ModelSettings) -> Iterator[tuple[int, Result]]:
    asked_indexes: list[list[tuple[int, Failure | None]]] = []

    def pieces() -> Iterator[list[Input]]:
        for chosen, items in table.pieces(indexes, model):
            asked_indexes.append([(index, _refusal(item)) for index, item in zip(chosen.tolist(), items, strict=True)])
            yield [item for item in items if is_input(item)]

    for results in asked.ask(pieces()):
        of_inputs = iter(results)
        for index, refusal in asked_indexes.pop(0):
            yield index, refusal or next(of_inputs)


def _refusal(item: Input | InvalidCell | None) -> Failure | None:
    """Why a model cannot be asked about a row that another one can be asked about."""
    if item is None:
        return Failure(FailureKind.INPUT_REJECTED, "its column is empty here")
    return Failure(FailureKind.INPUT_REJECTED, item.reason) if isinstance(item, InvalidCell) else None


def _usd_saved(counts: CascadeUsage, usage: Usage, proxy: Usage | None) -> float | None:
    """What the large model would have cost for what the proxy answered, less what the proxy cost."""
    asked, spending = counts.asked_inputs - usage.cache_hits, usage.spending
    spent = spending.shown(usage.requests)
    proxy_usd = 0.0 if proxy is None else proxy.spending.shown(proxy.requests)
    if asked <= 0 or spent is None or proxy_usd is None or spending.unpriced:
        return None
    return float(spent) / asked * counts.proxy_inputs - float(proxy_usd)
