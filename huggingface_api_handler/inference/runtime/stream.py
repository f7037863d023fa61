"""Frames in, frames out: one query for all of them, in windows, so that a table of any length fits in memory."""

from __future__ import annotations

import logging
import sys
from collections import deque
from collections.abc import Iterable, Iterator

import pandas as pd

from ...errors import InferenceError
from ...redaction import secret_in_use
from ...tasks import read_inputs
from ...tasks.inputs import with_ordered_fields
from ..telemetry.usage import Usage
from .columns import prediction_columns
from .context import Query
from .dry_run import dry_run
from .failure_tally import FailureTally
from .progress import Report
from .query_run import Cancel, QueryRun
from .rows import Deduplicator, Rows
from .usage_record import UsageRecord

logger = logging.getLogger(__name__)

_MAX_LIVE_ROWS = 16_384  # two windows of the input queue, so that it never runs dry
_MIN_LIVE_ROWS = 1024
_UNKNOWN_LIVE_ROWS = 4096  # until the size of answers is known, and where all are stored ones
_MAX_LIVE_BYTES = 32 * 1024 * 1024  # of answers as JSON; in Python they take some times as much


def predict_frames(
    frames: Iterable[pd.DataFrame | None],
    query: Query,
    *,
    report: Report | None = None,
    cancel: Cancel | None = None,
    min_failures: int = 1,
) -> Iterator[pd.DataFrame]:
    """Predict every row of every frame, in their order.

    Reads ahead as far as a window: some frames are being asked while earlier ones are given back.

    Args:
        frames: the frames, which are read from this thread. None among them gives back all that were read before, so
            that what is asked next may depend on it.
        query: what is asked, and of which route.
        report: is called about ten times a second with the inputs that are done, and all of them that are known.
        cancel: ends the query once it is set. Frames that were read are given back, with what they have.
        min_failures: how many rows must have failed alike for a query without any answer to fail.

    Yields:
        For each frame one with its index and the columns of ``prediction_columns``; ``attrs["usage"]`` holds the usage
        up to there.

    Raises:
        InputError: a frame cannot be used.
        InferenceError: no row was answered, or a row failed and ``on_error`` is 'raise'.
    """
    if query.model.dry_run:
        for each in frames:
            if each is not None:
                yield dry_run(query, each)
        return
    usage, record, deduplicator, run = (
        query.usage,
        UsageRecord(query),
        Deduplicator(),
        QueryRun(query, report, cancel),
    )
    pending: deque[Rows] = deque()
    tally = FailureTally(min_failures)
    model, live_rows = query.model, 0
    try:
        for frame in frames:
            if frame is None:
                while pending:
                    yield _give_back(pending, run, query, tally, record)
                live_rows = 0
                if run.is_cancelled:
                    break
                continue
            most_rows = max_live_rows(usage, run.results.answered)
            with secret_in_use(query.route.secret):  # and not around a yield, which would hand it to the caller
                if model is query.model and len(frame):  # once: the rows of a query begin alike whatever their frame
                    model = model.model_copy(update={"columns": with_ordered_fields(frame, model.columns)})
                items = read_inputs(model.definition, frame, model)
            rows, inputs = deduplicator.rows(frame, items, most_rows)
            usage.rows, usage.nulls = usage.rows + len(frame), usage.nulls + rows.nulls
            usage.distinct = rows.stop
            record.begin(inputs)
            run.ask(rows, inputs)
            del items, inputs
            pending.append(rows)
            live_rows += len(frame)
            while len(pending) > 1 and (live_rows > most_rows or run.has_answered(pending[0])):
                live_rows -= len(pending[0].inputs)
                yield _give_back(pending, run, query, tally, record)
            if run.is_cancelled:
                break
        del deduplicator  # as large as what it remembers
        while len(pending) > 1:
            yield _give_back(pending, run, query, tally, record)
        run.end()
        last = _give_back(pending, run, query, tally, record) if pending else None
        if not usage.answered and query.model.on_error is None and not run.is_cancelled:
            error = tally.error(usage.rows)
            if error is not None:
                raise error
    finally:
        run.abandon()
        record.end(sys.exc_info()[1], was_forked=run.was_forked)
    if last is not None:
        last.attrs["usage"] = usage.as_dict()
        yield last


def _give_back(
    pending: deque[Rows], run: QueryRun, query: Query, tally: FailureTally, record: UsageRecord
) -> pd.DataFrame:
    """The prediction of the oldest frame, once its inputs are done."""
    taken = run.wait_for(pending[0])
    rows, usage, fatal = pending.popleft(), query.usage, run.fatal
    failures = rows.failures(run.results)
    tally.count(rows, failures, usage)
    if fatal is not None:
        raise InferenceError(fatal.message)
    if failures and query.model.on_error == "raise":
        raise InferenceError(failures[min(failures)].message)
    out = prediction_columns(rows, run.results, failures, query.model)
    counted = {"answered": usage.answered, "errors": dict(usage.errors), "seconds": record.seconds}
    out.attrs["usage"] = {**taken, **counted}
    if pending and pending[0].start > run.results.start:
        run.drop_before(pending[0].start)
    return out


def max_live_rows(usage: Usage, answered: int) -> int:
    """How many rows may be on their way, so that vectors take no more memory than labels.

    Args:
        usage: of the query so far.
        answered: inputs that have a prediction.

    Returns:
        A number of rows.
    """
    asked = answered - usage.cache_hits
    if not usage.bytes_received or asked <= 0:
        return _UNKNOWN_LIVE_ROWS
    most = int(_MAX_LIVE_BYTES / (usage.bytes_received / asked))
    return max(_MIN_LIVE_ROWS, min(_MAX_LIVE_ROWS, most))
