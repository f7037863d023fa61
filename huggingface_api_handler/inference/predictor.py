"""DataFrame in, DataFrame out: the one path that all rows take."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from ..failures import Failure, InferenceError, Kind
from ..settings import EngineSettings, ModelSettings
from ..tasks import Input, Media, Prediction, Reference, Refused, read_inputs
from . import media, tei, transport
from .learned import Learned
from .limiter import IN_FLIGHT, Limiter
from .media import MediaPolicy
from .route import Route, route
from .sender import Sender, Surroundings
from .usage import Receipt

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
_LOOK_EVERY = 0.1
_LOG_EVERY = 5.0


class Cancel(Protocol):
    """Any event: ``threading.Event`` and its kin."""

    def is_set(self) -> bool: ...


_limiters: dict[tuple[int, str], Limiter] = {}
_learned: dict[str, Learned] = {}


def predict_frame(
    frame: pd.DataFrame,
    model: ModelSettings,
    engine: EngineSettings,
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> pd.DataFrame:
    """Predict every row of ``frame``, which stays as it is.

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

    results: list[Prediction | Failure] = []
    if distinct:
        results = _run(list(distinct), model, engine, where, receipt, progress, cancel)
    receipt.seconds = time.monotonic() - started

    of_row: list[Prediction | Failure | None] = []
    for row, place in zip(rows, places, strict=True):
        of_row.append(
            results[place] if place >= 0 else Failure(Kind.ROW, row.reason) if isinstance(row, Refused) else None
        )
    receipt.answered = sum(isinstance(result, Prediction) for result in of_row)
    receipt.errors.update(result.kind.value for result in of_row if isinstance(result, Failure))
    _raise_where_nothing_is_left(of_row, model)
    out = _columns(of_row, frame, model)
    out.attrs["usage"] = receipt.as_dict()
    return out


def _is_sent(row: Input | Refused | None) -> bool:
    return row is not None and not isinstance(row, Refused)


def _run(
    inputs: Sequence[Input],
    model: ModelSettings,
    engine: EngineSettings,
    where: Route,
    receipt: Receipt,
    progress: Progress | None,
    cancel: Cancel | None,
) -> list[Prediction | Failure]:
    places = engine.max_concurrency or IN_FLIGHT

    async def query() -> Sender:
        learned = _learned.setdefault(
            _name(where), Learned() if where.takes_lists else Learned(lists=False, largest_batch=1)
        )
        server = await tei.found_at(where, model.task)
        to = where if server is None else tei.routed(where, model.task)
        if server is not None:
            learned.lists, learned.largest_batch = True, server.largest_batch
        sender = Sender(model, to, engine.timeout, receipt, _surroundings(to, places, engine, learned), inputs)
        watcher = asyncio.create_task(_watch(sender, len(inputs), model.max_seconds, progress, cancel))
        work = asyncio.create_task(sender.run(places))
        try:
            await asyncio.wait([work, watcher], return_when=asyncio.FIRST_COMPLETED)
            if watcher.done():
                watcher.result()
        finally:
            watcher.cancel()
            work.cancel()
            await asyncio.gather(work, watcher, return_exceptions=True)
        if not work.cancelled():
            work.result()
        return sender

    sender = _wait(transport.submit(query()))
    stopped = sender.stopped
    doomed = (
        stopped is not None
        and stopped.kind is Kind.STOP
        and not any(isinstance(result, Prediction) for result in sender.results)
    )
    if stopped is not None and (doomed or model.on_error == "raise"):
        raise InferenceError(stopped.message)
    unasked = stopped or Failure(Kind.UNASKED, "the query ended before this row")
    return [unasked if result is None else result for result in sender.results]


def _wait(future: Future[Sender]) -> Sender:
    """The result of a query on the loop's thread; Ctrl-C here ends the query there."""
    try:
        return future.result()
    except KeyboardInterrupt:
        future.cancel()
        with suppress(FutureTimeoutError, CancelledError):
            future.exception(timeout=1)
        raise


async def _watch(
    sender: Sender, total: int, max_seconds: float | None, progress: Progress | None, cancel: Cancel | None
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
        await asyncio.sleep(_LOOK_EVERY)


def _name(where: Route) -> str:
    """What a route is known by. What was seen of it under one key says nothing about another key."""
    account = hashlib.sha256(where.headers.get("authorization", "").encode()).hexdigest()[:16]
    return f"{account} {where.url} {where.model}"


def _surroundings(where: Route, places: int, engine: EngineSettings, learned: Learned) -> Surroundings:
    loop = id(asyncio.get_running_loop())
    limiter = _limiters.setdefault((loop, f"{places} {_name(where)}"), Limiter(places))
    policy = MediaPolicy(Path(engine.media_dir) if engine.media_dir else None, engine.allow_private_media)
    output = Path(engine.output_dir) if engine.output_dir else None

    async def load(reference: Reference) -> Media:
        return await media.load(reference.cell, reference.kind, policy)

    async def save(made: Media) -> str:
        return await asyncio.to_thread(media.save, made, output)

    return Surroundings(transport.post, limiter, learned, load, save)


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
