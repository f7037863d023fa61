"""DataFrame in, DataFrame out: the one path that all rows take."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from array import array
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from ...config.settings import EngineSettings, ModelSettings
from ...errors import InferenceError
from ...tasks import Input, InvalidCell, read_inputs
from ..failures import Failure, FailureKind
from ..flow_control.route_registry import RouteState
from ..protocols.routing import resolve_route
from ..storage.scope import Scope
from ..telemetry import usage_log
from ..telemetry.usage import Usage
from ..transport import client
from .context import Query
from .dry_run import dry_run
from .executor import QueryExecutor
from .results import Results

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
_LOOK_EVERY = 0.1
_LISTEN_EVERY = 0.5
_LOG_EVERY = 5.0


class Cancel(Protocol):
    """Any event: ``threading.Event`` and its kin."""

    def is_set(self) -> bool: ...


def predict_frame(
    frame: pd.DataFrame,
    model: ModelSettings,
    engine: EngineSettings,
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    scope: Scope | None = None,
) -> pd.DataFrame:
    """Predict every row of ``frame``, which stays as it is.

    ``scope`` says whose stored answers may be used, and whose receipts this query's is with.

    Returns a DataFrame with the index of ``frame`` and the columns ``<target>``, ``<target>_confidence`` and
    ``<target>_explain`` where the task has them, and ``<target>_error``; ``attrs["usage"]`` holds the receipt.
    Raises InputError before any request, and InferenceError where no row can be answered, where ``on_error`` is
    'raise', or where the only row failed.
    """
    started = time.monotonic()
    task = model.definition
    route = resolve_route(engine, model)
    usage = Usage(task.name, model.model, route.host)
    inputs, rows = _distinct(read_inputs(task, frame, model), usage)
    query = Query(model, engine, route, usage, scope)
    if model.dry_run:
        return dry_run(query, inputs, frame)
    results, end = _run(query, inputs, progress, cancel) if inputs else (Results(0), None)
    usage.seconds = time.monotonic() - started
    failures = rows.failures(results)
    usage.errors.update(failure.kind.value for failure in failures.values())
    usage.answered = usage.rows - usage.nulls - len(failures)
    usage_log.record(query.store, scope, usage)
    if end is not None:
        raise InferenceError(end.message)
    _raise_where_nothing_is_left(failures, usage.rows, model)
    out = _columns(rows.input_index, results, failures, frame, model)
    out.attrs["usage"] = usage.as_dict()
    return out


@dataclass(frozen=True)
class _Rows:
    """For each row the place of its input among the distinct, -1 where there is none; why, where it was refused."""

    input_index: array[int]
    refused: dict[int, Failure]

    def failures(self, results: Results) -> dict[int, Failure]:
        """The failures by row."""
        if not results.failures:
            return self.refused
        failed = results.failures
        found = {row: failed[place] for row, place in enumerate(self.input_index) if place in failed}
        return {**found, **self.refused}


def _distinct(read: Sequence[Input | InvalidCell | None], usage: Usage) -> tuple[list[Input], _Rows]:
    """Equal inputs become one."""
    number: dict[Input, int] = {}
    input_index, refused = array("q"), {}
    for row, item in enumerate(read):
        if item is None:
            usage.nulls += 1
            input_index.append(-1)
        elif isinstance(item, InvalidCell):
            refused[row] = Failure(FailureKind.INPUT_REJECTED, item.reason)
            input_index.append(-1)
        else:
            input_index.append(number.setdefault(item, len(number)))
    usage.rows, usage.distinct = len(read), len(number)
    return list(number), _Rows(input_index, refused)


def _run(
    query: Query, inputs: Sequence[Input], progress: Progress | None, cancel: Cancel | None
) -> tuple[Results, Failure | None]:
    """What became of each input, and why nothing of it is to be shown, where it is not."""
    ended = threading.Event()
    executor = _wait(client.submit(_until(ended, _asked(query, inputs, progress, cancel))), ended)
    stopped, results = executor.stopped, executor.results
    doomed = stopped is not None and stopped.kind is FailureKind.FATAL and not results.answered
    results.fail_remaining(stopped or Failure(FailureKind.NOT_SENT, "the query ended before this row"))
    return results, stopped if doomed or query.model.on_error == "raise" else None


async def _asked(
    query: Query, inputs: Sequence[Input], progress: Progress | None, cancel: Cancel | None
) -> QueryExecutor:
    to, route_state, deps = await query.dependencies()
    executor = QueryExecutor(query.model, to, query.engine.timeout, query.usage, deps, inputs)
    neighbours = asyncio.create_task(route_state.coordinator.watch())
    watcher = asyncio.create_task(_watch(executor, route_state, len(inputs), query.model.max_seconds, progress, cancel))
    work = asyncio.create_task(executor.run())
    try:
        await asyncio.wait([work, watcher], return_when=asyncio.FIRST_COMPLETED)
        if watcher.done():
            watcher.result()
    finally:
        for task in (watcher, work, neighbours):
            task.cancel()
        await asyncio.gather(work, watcher, neighbours, return_exceptions=True)
        route_state.save()
        await asyncio.gather(deps.answers.flush(), deps.quota.release())
    if not work.cancelled():
        work.result()
    return executor


async def _until(ended: threading.Event, work: Coroutine[Any, Any, QueryExecutor]) -> QueryExecutor:
    try:
        return await work
    finally:
        ended.set()


def _wait(future: Future[QueryExecutor], ended: threading.Event) -> QueryExecutor:
    """The result of a query on the loop's thread; Ctrl-C here ends the query there, its answers stored."""
    try:
        # Waited for in turns: a signal that another thread was given does not end a wait of this one.
        while not wait([future], timeout=_LISTEN_EVERY).done:
            pass
        return future.result()
    except KeyboardInterrupt:
        future.cancel()  # counts as cancelled at once, while the query still has answers to store
        ended.wait(timeout=1)
        raise


async def _watch(
    executor: QueryExecutor,
    route_state: RouteState,
    total: int,
    max_seconds: float | None,
    progress: Progress | None,
    cancel: Cancel | None,
) -> None:
    """Tell of progress, and end the query when it is cancelled or its time is up."""
    started = logged = time.monotonic()
    while True:
        now = time.monotonic()
        if progress is not None:
            progress(executor.done, total)
        if cancel is not None and cancel.is_set():
            return executor.stop(Failure(FailureKind.NOT_SENT, "the query was cancelled before this row"))
        if max_seconds is not None and now - started >= max_seconds:
            return executor.stop(
                Failure(FailureKind.NOT_SENT, f"max_seconds = {max_seconds:g} was reached before this row")
            )
        if now - logged >= _LOG_EVERY:
            logged = now
            rate = executor.done / (now - started)
            left = f", {(total - executor.done) / rate:.0f} s left" if rate else ""
            logger.info("%d of %d inputs answered, %.1f a second%s", executor.done, total, rate, left)
            route_state.save()
        await asyncio.sleep(_LOOK_EVERY)


def _raise_where_nothing_is_left(failures: Mapping[int, Failure], rows: int, model: ModelSettings) -> None:
    if failures and (rows == 1 or model.on_error == "raise"):
        raise InferenceError(failures[min(failures)].message)


def _columns(
    input_index: array[int],
    results: Results,
    failures: Mapping[int, Failure],
    frame: pd.DataFrame,
    model: ModelSettings,
) -> pd.DataFrame:
    """The columns of the prediction, by the place of each row's input among the results."""
    task, target = model.definition, model.target
    values = _by_row(results.values, input_index, None)
    columns: dict[str, Any] = {target: _objects(values, frame.index)}
    if task.scored:
        scores = _by_row(results.scores, input_index, float("nan"))
        columns[f"{target}_confidence"] = pd.Series(np.array(scores, dtype=float), frame.index, copy=False)
    if task.explained:
        columns[f"{target}_explain"] = _objects(_by_row(results.explains, input_index, None), frame.index)
    for name in model.output_schema or ():
        columns[name] = _objects([value[name] if value is not None else None for value in values], frame.index)
    reasons: list[str | None] = [None] * len(input_index)
    for row, failure in failures.items():
        reasons[row] = failure.reason
    columns[f"{target}_error"] = _objects(reasons, frame.index)
    return pd.DataFrame(columns, index=frame.index, copy=False)


def _by_row(column: Sequence[Any], input_index: array[int], missing: Any) -> Sequence[Any]:
    """A column of results for each row of the table. The column itself, uncopied, where all rows differ."""
    if len(column) == len(input_index) and -1 not in input_index:
        return column
    return [column[place] if place >= 0 else missing for place in input_index]


def _objects(values: Sequence[Any], index: pd.Index[Any]) -> pd.Series[Any]:
    # Not of the values as they are, since vectors of one length would make a table of them.
    return pd.Series(np.fromiter(values, dtype=object, count=len(values)), index, dtype=object, copy=False)
