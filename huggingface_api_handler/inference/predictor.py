"""DataFrame in, DataFrame out: the one path that all rows take."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future, wait
from typing import Any, Protocol

import pandas as pd

from ..failures import Failure, InferenceError, Kind
from ..settings import EngineSettings, ModelSettings
from ..tasks import Input, Prediction, Refused, read_inputs
from . import receipts, transport
from .dry_run import dry_run
from .query import Query, Scope
from .route import route
from .routes import Known
from .sender import Sender
from .usage import Receipt

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
    where = route(engine, model)
    receipt = Receipt(task.name, model.model, where.host)
    rows = read_inputs(task, frame, model)
    distinct: dict[Input, int] = {}
    places = [distinct.setdefault(row, len(distinct)) if _is_sent(row) else -1 for row in rows]
    receipt.rows, receipt.nulls, receipt.distinct = len(rows), sum(row is None for row in rows), len(distinct)
    inputs = list(distinct)
    distinct.clear()
    query = Query(model, engine, where, receipt, scope)
    if model.dry_run:
        return dry_run(query, inputs, frame)

    results: list[Prediction | Failure] = []
    if inputs:
        results = _run(query, inputs, progress, cancel)
    receipt.seconds = time.monotonic() - started

    of_row: list[Prediction | Failure | None] = []
    for row, place in zip(rows, places, strict=True):
        of_row.append(
            results[place] if place >= 0 else Failure(Kind.ROW, row.reason) if isinstance(row, Refused) else None
        )
    receipt.answered = sum(isinstance(result, Prediction) for result in of_row)
    receipt.errors.update(result.kind.value for result in of_row if isinstance(result, Failure))
    receipts.keep(query.store, scope, receipt)
    _raise_where_nothing_is_left(of_row, model)
    out = _columns(of_row, frame, model)
    out.attrs["usage"] = receipt.as_dict()
    return out


def _is_sent(row: Input | Refused | None) -> bool:
    return row is not None and not isinstance(row, Refused)


def _run(
    query: Query, inputs: Sequence[Input], progress: Progress | None, cancel: Cancel | None
) -> list[Prediction | Failure]:
    ended = threading.Event()
    sender = _wait(transport.submit(_until(ended, _asked(query, inputs, progress, cancel))), ended)
    stopped = sender.stopped
    doomed = (
        stopped is not None
        and stopped.kind is Kind.STOP
        and not any(isinstance(result, Prediction) for result in sender.results)
    )
    if stopped is not None and (doomed or query.model.on_error == "raise"):
        raise InferenceError(stopped.message)
    unasked = stopped or Failure(Kind.UNASKED, "the query ended before this row")
    return [unasked if result is None else result for result in sender.results]


async def _asked(query: Query, inputs: Sequence[Input], progress: Progress | None, cancel: Cancel | None) -> Sender:
    to, known, around = await query.surroundings()
    sender = Sender(query.model, to, query.engine.timeout, query.receipt, around, inputs)
    neighbours = asyncio.create_task(known.shared.watch())
    watcher = asyncio.create_task(_watch(sender, known, len(inputs), query.model.max_seconds, progress, cancel))
    work = asyncio.create_task(sender.run())
    try:
        await asyncio.wait([work, watcher], return_when=asyncio.FIRST_COMPLETED)
        if watcher.done():
            watcher.result()
    finally:
        for task in (watcher, work, neighbours):
            task.cancel()
        await asyncio.gather(work, watcher, neighbours, return_exceptions=True)
        known.remember()
        await asyncio.gather(around.answers.settled(), around.quota.give_back())
    if not work.cancelled():
        work.result()
    return sender


async def _until(ended: threading.Event, work: Coroutine[Any, Any, Sender]) -> Sender:
    try:
        return await work
    finally:
        ended.set()


def _wait(future: Future[Sender], ended: threading.Event) -> Sender:
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
    sender: Sender,
    known: Known,
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
            progress(sender.done, total)
        if cancel is not None and cancel.is_set():
            return sender.stop(Failure(Kind.UNASKED, "the query was cancelled before this row"))
        if max_seconds is not None and now - started >= max_seconds:
            return sender.stop(Failure(Kind.UNASKED, f"max_seconds = {max_seconds:g} was reached before this row"))
        if now - logged >= _LOG_EVERY:
            logged = now
            rate = sender.done / (now - started)
            left = f", {(total - sender.done) / rate:.0f} s left" if rate else ""
            logger.info("%d of %d inputs answered, %.1f a second%s", sender.done, total, rate, left)
            known.remember()
        await asyncio.sleep(_LOOK_EVERY)


def _raise_where_nothing_is_left(rows: Sequence[Prediction | Failure | None], model: ModelSettings) -> None:
    reason = next((row.message for row in rows if isinstance(row, Failure)), None)
    if reason is not None and (len(rows) == 1 or model.on_error == "raise"):
        raise InferenceError(reason)


def _columns(rows: Sequence[Prediction | Failure | None], frame: pd.DataFrame, model: ModelSettings) -> pd.DataFrame:
    task, target = model.definition, model.target
    answers = [row if isinstance(row, Prediction) else Prediction(None) for row in rows]
    columns: dict[str, Any] = {target: pd.Series([answer.value for answer in answers], index=frame.index, dtype=object)}
    if task.scored:
        scores = [float("nan") if answer.confidence is None else answer.confidence for answer in answers]
        columns[f"{target}_confidence"] = pd.Series(scores, index=frame.index, dtype=float)
    if task.explained:
        columns[f"{target}_explain"] = pd.Series(
            [answer.explain for answer in answers], index=frame.index, dtype=object
        )
    for name in model.output_schema or ():
        fields = [answer.value[name] if answer.value is not None else None for answer in answers]
        columns[name] = pd.Series(fields, index=frame.index, dtype=object)
    reasons = [row.reason if isinstance(row, Failure) else None for row in rows]
    columns[f"{target}_error"] = pd.Series(reasons, index=frame.index, dtype=object)
    return pd.DataFrame(columns, index=frame.index)
