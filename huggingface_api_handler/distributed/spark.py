"""Predictions for a Spark DataFrame: lazy, each partition asked about by the Python process that has it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

try:
    import pyarrow as pa
    from pyspark.accumulators import AccumulatorParam
    from pyspark.sql import types
except ImportError as error:
    raise ImportError('Spark is missing. Install it: pip install "huggingface_api_handler[spark]"') from error

from ..config.normalize import Using
from ..errors import InputError
from .columns import refuse_taken_names
from .job import Job
from .job_usage import JobUsage
from .worker import predict_part

Item = TypeVar("Item")

_TYPES = {
    "VARCHAR": types.StringType(),
    "JSON": types.StringType(),
    "DOUBLE": types.DoubleType(),
    "BIGINT": types.LongType(),
    "BOOLEAN": types.BooleanType(),
    "FLOAT[]": types.ArrayType(types.FloatType()),
    "VARCHAR[]": types.ArrayType(types.StringType()),
}


def predict(sdf: Any, using: Using, engine: Using | None = None, *, usage: JobUsage | None = None) -> Any:
    """Predict every row of a Spark DataFrame. Lazy: nothing is asked before an action.

    Each partition is one query of the Python process that has it. A process keeps its connections for the next
    partition. Processes of one machine share stored answers, pauses and limits through the engine's ``cache_dir``. A
    task that is tried again asks nothing that is stored.

    Args:
        sdf: a ``pyspark.sql.DataFrame``, of Spark Connect too.
        using: as for ``inference.predict``, except for ``max_requests`` and ``max_seconds``, which bound one query, and
            for tasks that read whole tables.
        engine: as for ``inference.predict``. Its paths are those of the workers' machines, and so is the key where it
            is not given as ``api_key``: each process finds it in its own environment.
        usage: gets what the workers ask and take, through an accumulator. Spark leaves out what a task asked that
            failed, until its process has done another one, and Spark Connect has no accumulators.

    Returns:
        A DataFrame with the columns of ``sdf`` as they are, and those that ``inference.output_schema`` tells: texts as
        StringType, JSON too, DoubleType, LongType, BooleanType, and arrays of floats or texts.

    Raises:
        InputError: The arguments or the columns cannot be used. Raised at the call; no task has run.

    Example:
        >>> from pyspark.sql import SparkSession
        >>> spark = SparkSession.builder.getOrCreate()
        >>> reviews = spark.createDataFrame([("I love you.",), (None,)], "text string")
        >>> using = {"task": "text-classification", "column": "text", "target": "mood", "dry_run": True}
        >>> predict(reviews, using).columns[:3]
        ['text', 'mood', 'mood_error']
    """
    kind = type(sdf)
    if kind.__name__ != "DataFrame" or not kind.__module__.startswith("pyspark.sql."):
        raise InputError(
            f"a table must be a pyspark.sql.DataFrame here, and not {kind.__name__}. For a table in memory there is "
            "huggingface_api_handler.predict"
        )
    try:
        job = Job.of(using, engine, sdf.columns)
    finally:
        del engine  # which holds the key as text, where a crash report would print it
    refuse_taken_names(job, sdf.columns)
    reports = None if usage is None else _accumulator(sdf, usage)
    columns = [types.StructField(name, _TYPES[sql_type]) for name, sql_type in job.schema.items()]
    # Not mapInPandas, which before Spark 4 makes floats of whole numbers with a NULL among them.
    return sdf.mapInArrow(
        partial(predict_partition, job=job, reports=reports), types.StructType([*sdf.schema.fields, *columns])
    )


def predict_partition(batches: Iterator[pa.RecordBatch], *, job: Job, reports: Any) -> Iterator[pa.RecordBatch]:
    """Predict one partition, as one query. Spark calls this in a Python process of a worker.

    Args:
        batches: The rows.
        job: What to ask.
        reports: The accumulator of the reports; None where nobody wants one.

    Yields:
        Each batch with the columns of its predictions behind its own.

    Raises:
        InputError: A batch cannot be used, or the key is not in this process's environment.
        InferenceError: See ``worker.predict_part``.
    """
    asked: deque[pa.RecordBatch] = deque()  # the query reads ahead
    add = None if reports is None else lambda report: reports.add((report,))
    for predictions in predict_part(job, _reading(batches, asked), report=add):
        batch = asked.popleft()
        yield pa.RecordBatch.from_arrays(
            [*batch.columns, *predictions.columns], schema=pa.schema([*batch.schema, *predictions.schema])
        )


def _reading(items: Iterator[Item], asked: deque[Item]) -> Iterator[Item]:
    for each in items:
        asked.append(each)
        yield each


class _Reports(AccumulatorParam[Sequence[str]]):  # type: ignore[misc]  # where mypy runs there is no Spark
    """Brings reports to the usage of a job: Spark adds those of a task once, when it has succeeded.

    On a worker they wait for the end of the task.
    """

    def __init__(self, usage: JobUsage | None) -> None:
        self._usage = usage

    def zero(self, value: Sequence[str]) -> Sequence[str]:
        return ()

    def addInPlace(self, value1: Sequence[str], value2: Sequence[str]) -> Sequence[str]:  # noqa: N802
        if self._usage is None:
            return (*value1, *value2)
        for report in value2:
            self._usage.merge(report)
        return ()

    def __reduce__(self) -> tuple[type[_Reports], tuple[None]]:
        """Leave the usage with the driver."""
        return _Reports, (None,)


def _accumulator(sdf: Any, usage: JobUsage) -> Any:
    if ".connect." in type(sdf).__module__:
        raise InputError(
            "Spark Connect has no accumulators, which bring the usage. Leave it out, or use a session of "
            "SparkSession.builder.master(...)"
        )
    return sdf.sparkSession.sparkContext.accumulator((), _Reports(usage))


__all__ = ["JobUsage", "predict"]
