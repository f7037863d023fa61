"""Predictions for a Dask DataFrame: lazy, each partition asked about by the worker that has it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

try:
    import dask.dataframe as dd
    import distributed
    import pyarrow as pa
    from dask.base import normalize_token
    from dask.dataframe.utils import pyarrow_strings_enabled
except ImportError as error:
    raise ImportError('Dask is missing. Install it: pip install "huggingface_api_handler[dask]"') from error

from ..config.normalize import Using
from ..errors import InputError
from ..inference.runtime.frames import typed_cells
from .job import Job
from .job_usage import JobUsage
from .worker import predict_part, reports_here

_TOPIC = "huggingface_api_handler"

Dtypes = Mapping[str, Any]
"""The type of each column of the predictions in pandas."""

# Tasks are named after the job, so that no hash of its key is in their names.
normalize_token.register(Job, lambda job: job.id)


def predict(ddf: Any, using: Using, engine: Using | None = None, *, usage: JobUsage | None = None) -> Any:
    """Predict every row of a Dask DataFrame. Lazy: nothing is asked before the result is computed or written.

    Each partition is one query of the worker that has it. Workers of one machine share stored answers, pauses and
    limits through the engine's ``cache_dir``. A partition that is computed again asks nothing that is stored.

    Args:
        ddf: a ``dask.dataframe.DataFrame``.
        using: as for ``inference.predict``, except that ``max_requests`` and ``max_seconds``, which bound one query,
            and tasks that read whole tables need a single partition.
        engine: as for ``inference.predict``. Its paths are those of the workers' machines, and so is the key where it
            is not given as ``api_key``: each worker finds it in its own environment.
        usage: gets what the workers ask and take.

    Returns:
        A ``dask.dataframe.DataFrame`` with the index, divisions and partitions of ``ddf``, and the columns that
        ``inference.output_schema`` tells. JSON is text. Texts are of Dask's type for strings (its configuration
        ``dataframe.convert-string``), integers ``Int64``, booleans ``boolean``, and lists pyarrow's.

    Raises:
        InputError: The arguments or the columns cannot be used. Raised at the call; nothing was computed.

    Example:
        >>> import dask.dataframe as dd
        >>> import pandas as pd
        >>> reviews = dd.from_pandas(pd.DataFrame({"text": ["I love you.", None]}), npartitions=2)
        >>> using = {"task": "text-classification", "column": "text", "target": "mood", "dry_run": True}
        >>> predict(reviews, using).columns.tolist()[:2]
        ['mood', 'mood_error']
    """
    if not isinstance(ddf, dd.DataFrame):
        raise InputError(
            f"a table must be a dask.dataframe.DataFrame here, and not {type(ddf).__name__}. For a table in memory "
            "there is huggingface_api_handler.predict"
        )
    try:
        job = Job.of(using, engine, ddf.columns, parts=ddf.npartitions)
    finally:
        del engine  # which holds the key as text, where a crash report would print it
    dtypes = _dtypes(job.schema)
    meta = pd.DataFrame({name: pd.Series([], dtype=dtype) for name, dtype in dtypes.items()})
    if usage is not None:
        _connect(usage, job)
    read = ddf[job.columns_read(ddf.columns)]  # so that no other column is read from a file, or sent to a worker
    return read.map_partitions(predict_partition, job, dtypes, meta=meta.set_index(ddf._meta.index[:0]))


def predict_partition(partition: pd.DataFrame, job: Job, dtypes: Dtypes) -> pd.DataFrame:
    """Predict one partition. Dask calls this on a worker.

    Args:
        partition: The rows.
        job: What to ask.
        dtypes: The type of each column of the predictions.

    Returns:
        The predictions, with the index of ``partition``.

    Raises:
        InputError: The partition cannot be used, or the key is not in this worker's environment.
        InferenceError: See ``worker.predict_part``.
        distributed.Reschedule: The task was cancelled meanwhile. If it is wanted again, it begins anew.
    """
    if partition.empty:
        columns: dict[str, pd.Series[Any]] = {name: pd.Series([], dtype=dtype) for name, dtype in dtypes.items()}
        return pd.DataFrame(columns).set_index(partition.index)
    task = _RunningTask.current()
    report = None if task is None else partial(task.report, job)
    (out,) = predict_part(job, [partition], report=report, cancel=task)
    if task is not None and task.was_cancelled:
        raise distributed.Reschedule
    cells = typed_cells(out, job.settings.model)
    return pd.DataFrame(
        {name: _series(cells[name][1], dtype, partition.index) for name, dtype in dtypes.items()},
        index=partition.index,
    )


class _RunningTask:
    """The task of a distributed worker that this thread runs. As an event, it is set once nobody wants its result."""

    def __init__(self, worker: Any, key: Any) -> None:
        self._worker, self._key = worker, key
        self.was_cancelled = False

    @classmethod
    def current(cls) -> _RunningTask | None:
        """The task; None with Dask's schedulers in one process, which have no workers."""
        try:
            worker = distributed.get_worker()
        except ValueError:
            return None
        return cls(worker, worker.get_current_task())

    def is_set(self) -> bool:
        state = self._worker.state.tasks.get(self._key)
        self.was_cancelled = self.was_cancelled or state is None or state.state == "cancelled"
        return self.was_cancelled

    def report(self, job: Job, report: str) -> None:
        self._worker.log_event(_topic(job), report)


def _topic(job: Job) -> str:
    """Of the events in which workers report on a job."""
    return f"{_TOPIC}-{job.id}"


def _connect(usage: JobUsage, job: Job) -> None:
    """Let the usage have the reports of all workers: of this process, and of the cluster that it is a client of."""
    topic = _topic(job)
    usage.add_source(partial(reports_here, job.id))
    usage.add_source(partial(_events, topic))
    client = _client()
    if client is not None:  # the scheduler keeps the last 1,000 events of a topic, so hear them all
        client.subscribe_topic(topic, lambda event: usage.merge(event[1]))


def _events(topic: str) -> list[str]:
    """The reports that the scheduler keeps, for a client that came later than the call of ``predict``."""
    client = _client()
    if client is None or client.asynchronous:
        return []
    return [report for _, report in client.get_events(topic)]


def _client() -> Any:
    try:
        return distributed.default_client()
    except ValueError:
        return None


def _dtypes(schema: Mapping[str, str]) -> Dtypes:
    text = pd.StringDtype("pyarrow") if pyarrow_strings_enabled() else pd.Series(["text"]).dtype
    by_sql_type = {
        "VARCHAR": text,
        "JSON": text,
        "DOUBLE": np.dtype(float),
        "BIGINT": pd.Int64Dtype(),
        "BOOLEAN": pd.BooleanDtype(),
        # Of what holds lists, the only type that Dask writes to Parquet.
        "FLOAT[]": pd.ArrowDtype(pa.list_(pa.float32())),
        "VARCHAR[]": pd.ArrowDtype(pa.list_(pa.string())),
    }
    return {name: by_sql_type[sql_type] for name, sql_type in schema.items()}


def _series(cells: list[object], dtype: Any, index: pd.Index[Any]) -> pd.Series[Any]:
    return pd.Series(cells, index=index, dtype=dtype)


__all__ = ["JobUsage", "predict"]
