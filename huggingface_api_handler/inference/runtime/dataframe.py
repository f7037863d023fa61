"""A table in, a table out: the path that all rows take."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from array import array
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

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
from ..telemetry.hooks import Hooks, InferenceHook, hooks_of
from ..telemetry.usage import Usage
from ..transport import client
from .context import Query
from .dry_run import dry_run
from .executor import QueryExecutor
from .results import Results

if TYPE_CHECKING:
    Index: TypeAlias = pd.Index[Any]
    Series: TypeAlias = pd.Series[Any]

logger = logging.getLogger(__name__)

T = TypeVar("T")

Progress = Callable[[int, int], None]
"""Is called with the inputs that are done, and all of them."""

_WATCH_INTERVAL_S = 0.1
_SIGNAL_INTERVAL_S = 0.5
_LOG_INTERVAL_S = 5.0


class Cancel(Protocol):
    """Any event: ``threading.Event`` and its kin."""

    def is_set(self) -> bool:
        """Whether the query is to end."""
        ...


def predict_frame(
    frame: pd.DataFrame,
    model: ModelSettings,
    engine: EngineSettings,
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    scope: Scope | None = None,
    hooks: Sequence[InferenceHook] = (),
) -> pd.DataFrame:
    """Predict every row of a table.

    Args:
        frame: the table, which stays as it is.
        model: the checked arguments of CREATE MODEL and SELECT.
        engine: the checked arguments of CREATE ML_ENGINE.
        progress: is called about ten times a second.
        cancel: ends the query once it is set, with what it has.
        scope: whose stored answers may be used, and whose usage this query's is counted with.
        hooks: who is told of the query, beside the hooks that are registered. Not of a dry run.

    Returns:
        A DataFrame with the index of ``frame`` and the columns ``<target>``, ``<target>_confidence`` and
        ``<target>_explain`` where the task has them, and ``<target>_error``; ``attrs["usage"]`` holds the usage.

    Raises:
        InputError: the arguments or the table cannot be used. No request was sent.
        InferenceError: no row can be answered, a row failed and ``on_error`` is 'raise', or the only row failed.
    """
    started = time.monotonic()
    task = model.definition
    route = resolve_route(engine, model)
    usage = Usage(task.name, model.model, route.host)
    inputs, rows = _deduplicate(read_inputs(task, frame, model), usage)
    query_hooks = hooks_of(hooks, usage)
    query = Query(model, engine, route, usage, scope, query_hooks)
    if model.dry_run:
        return dry_run(query, inputs, frame)
    with _telling(query_hooks, usage):
        results, fatal = _run(query, inputs, progress, cancel) if inputs else (Results(0), None)
        usage.seconds = time.monotonic() - started
        failures = rows.failures(results)
        usage.errors.update(failure.kind.value for failure in failures.values())
        usage.answered = usage.rows - usage.nulls - len(failures)
        usage_log.record(query.store, scope, usage)
        if fatal is not None:
            raise InferenceError(fatal.message)
        if failures and (usage.rows == 1 or model.on_error == "raise"):
            raise InferenceError(failures[min(failures)].message)
    out = _columns(rows.input_index, results, failures, frame, model)
    out.attrs["usage"] = usage.as_dict()
    return out


@contextmanager
def _telling(hooks: Hooks | None, usage: Usage) -> Iterator[None]:
    """Tell hooks, on the loop's thread, that a query begins and that it ends."""
    if hooks is None:
        yield
        return

    async def tell(event: Callable[..., None], *facts: object) -> None:
        event(*facts)

    client.submit(tell(hooks.query_started, usage)).result()
    try:
        yield
    except Exception as error:
        client.submit(tell(hooks.query_ended, usage, error)).result()
        raise
    except BaseException as error:  # Ctrl-C does not wait for hooks
        client.submit(tell(hooks.query_ended, usage, error))
        raise
    client.submit(tell(hooks.query_ended, usage, None)).result()


@dataclass(frozen=True)
class _Rows:
    """For each row the index of its input among the distinct, -1 where it has none, and the rows that are invalid."""

    input_index: array[int]
    invalid: dict[int, Failure]

    def failures(self, results: Results) -> dict[int, Failure]:
        """The failures by row."""
        failed = results.failures
        if not failed:
            return self.invalid
        found = {row: failed[index] for row, index in enumerate(self.input_index) if index in failed}
        return {**found, **self.invalid}


def _deduplicate(items: Sequence[Input | InvalidCell | None], usage: Usage) -> tuple[list[Input], _Rows]:
    """Equal inputs become one."""
    indexes: dict[Input, int] = {}
    input_index, invalid = array("q"), {}
    for row, item in enumerate(items):
        if item is None:
            usage.nulls += 1
            input_index.append(-1)
        elif isinstance(item, InvalidCell):
            invalid[row] = Failure(FailureKind.INPUT_REJECTED, item.reason)
            input_index.append(-1)
        else:
            input_index.append(indexes.setdefault(item, len(indexes)))
    usage.rows, usage.distinct = len(items), len(indexes)
    return list(indexes), _Rows(input_index, invalid)


def _run(
    query: Query, inputs: Sequence[Input], progress: Progress | None, cancel: Cancel | None
) -> tuple[Results, Failure | None]:
    """The results, and why none of them is to be shown where that is so."""
    ended = threading.Event()
    executor = _wait(client.submit(_set_at_end(ended, _execute(query, inputs, progress, cancel))), ended)
    stopped, results = executor.stopped, executor.results
    is_fatal = stopped is not None and stopped.kind is FailureKind.FATAL and not results.answered
    results.fail_remaining(stopped or Failure(FailureKind.NOT_SENT, "the query ended before this row"))
    return results, stopped if is_fatal or query.model.on_error == "raise" else None


async def _execute(
    query: Query, inputs: Sequence[Input], progress: Progress | None, cancel: Cancel | None
) -> QueryExecutor:
    route, state, dependencies = await query.dependencies()
    executor = QueryExecutor(query.model, route, query.engine.timeout, query.usage, dependencies, inputs)
    peers = asyncio.create_task(state.coordinator.watch())
    watcher = asyncio.create_task(_watch(executor, state, len(inputs), query.model.max_seconds, progress, cancel))
    work = asyncio.create_task(executor.run())
    try:
        await asyncio.wait([work, watcher], return_when=asyncio.FIRST_COMPLETED)
        if watcher.done():
            watcher.result()
    finally:
        for task in (watcher, work, peers):
            task.cancel()
        await asyncio.gather(work, watcher, peers, return_exceptions=True)
        state.save()
        await asyncio.gather(dependencies.answers.flush(), dependencies.quota.release())
    if not work.cancelled():
        work.result()
    return executor


async def _set_at_end(ended: threading.Event, work: Coroutine[None, None, T]) -> T:
    try:
        return await work
    finally:
        ended.set()


def _wait(future: Future[T], ended: threading.Event) -> T:
    """The result of a query on the loop's thread; Ctrl-C here ends the query there, its answers stored."""
    try:
        # Waited for in turns: a signal that another thread was given does not end a wait of this one.
        while not wait([future], timeout=_SIGNAL_INTERVAL_S).done:
            pass
        return future.result()
    except KeyboardInterrupt:
        future.cancel()  # counts as cancelled at once, while the query still has answers to store
        ended.wait(timeout=1)
        raise


async def _watch(
    executor: QueryExecutor,
    state: RouteState,
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
            reason = f"max_seconds = {max_seconds:g} was reached before this row"
            return executor.stop(Failure(FailureKind.NOT_SENT, reason))
        if now - logged >= _LOG_INTERVAL_S:
            logged = now
            rate = executor.done / (now - started)
            remaining = f", {(total - executor.done) / rate:.0f} s left" if rate else ""
            logger.info("%d of %d inputs answered, %.1f a second%s", executor.done, total, rate, remaining)
            state.save()
        await asyncio.sleep(_WATCH_INTERVAL_S)


def _columns(
    input_index: array[int],
    results: Results,
    failures: Mapping[int, Failure],
    frame: pd.DataFrame,
    model: ModelSettings,
) -> pd.DataFrame:
    """The columns of the prediction, by the input of each row."""
    task, target = model.definition, model.target
    values = _by_row(results.values, input_index, None)
    columns = {target: _objects(values, frame.index)}
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


def _by_row(column: Sequence[T], input_index: array[int], missing: T) -> Sequence[T]:
    """A column of results for each row of the table. The column itself, uncopied, where all rows differ."""
    if len(column) == len(input_index) and -1 not in input_index:
        return column
    return [column[index] if index >= 0 else missing for index in input_index]


def _objects(values: Sequence[object], index: Index) -> Series:
    # Not of the values as they are, since vectors of one length would make a table of them.
    return pd.Series(np.fromiter(values, dtype=object, count=len(values)), index, dtype=object, copy=False)
