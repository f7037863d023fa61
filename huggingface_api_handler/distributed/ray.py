"""Predictions for a Ray Dataset: lazy, each block asked about by an actor that keeps its connections."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

try:
    import pyarrow as pa
    import ray
    from ray.data import ActorPoolStrategy, Dataset
    from ray.data.dataset import MaterializedDataset
except ImportError as error:
    raise ImportError('Ray is missing. Install it: pip install "huggingface_api_handler[ray]"') from error

from ..config.normalize import Using
from ..errors import InputError
from ..inference import checked_settings
from ..inference.runtime.frames import arrow_types
from .columns import refuse_taken_names
from .job import Job
from .job_usage import JobUsage
from .worker import predict_part

logger = logging.getLogger(__name__)

_ACTOR_CPUS = 0.5
"""CPUs that an actor takes of Ray's count. It mostly waits, and reading the table must find a CPU beside the actors."""

_PIECE_ROWS = 4096
"""Rows that are given back together, so that a block's predictions leave the actor as they come."""

_BLOCKS_PER_ACTOR = 4
"""Blocks that are advised, so that no actor waits long for the last one."""

_ACTOR_NAME_BYTES = 8


def predict(
    ds: Any,
    using: Using,
    engine: Using | None = None,
    *,
    concurrency: int | tuple[int, int] = 2,
    num_cpus: float = _ACTOR_CPUS,
    usage: JobUsage | None = None,
    **map_batches: Any,
) -> Any:
    """Predict every row of a Ray Dataset. Lazy: nothing is asked before the dataset is consumed.

    Each block is one query of the actor that has it. An actor keeps its connections, and what it learned of the route,
    for the next block. Actors of one machine share stored answers, pauses and limits through the engine's
    ``cache_dir``. The block of an actor that died is asked about again, without what is stored.

    Args:
        ds: a ``ray.data.Dataset``.
        using: as for ``inference.predict``, except that ``max_requests`` and ``max_seconds``, which bound one query,
            and tasks that read whole tables need a materialized dataset of a single block.
        engine: as for ``inference.predict``. Its paths are those of the workers' machines, and so is the key where it
            is not given as ``api_key``: each actor finds it in its own environment.
        concurrency: how many actors, or the least and the most of them. An actor has as many requests in flight as the
            service takes, so more than one for each machine is faster only where its CPU is the limit.
        num_cpus: what an actor takes of Ray's count of CPUs. Where actors take all, nothing is left to read the table.
        usage: gets what the actors ask and take. Read it before ``ray.shutdown()``.
        **map_batches: more arguments of ``Dataset.map_batches`` about where actors run, such as ``resources`` or
            ``runtime_env``.

    Returns:
        A Dataset with the columns of ``ds`` as they are, and those that ``inference.output_schema`` tells, in pyarrow's
        types; JSON is text. Its rows are in the order of ``ds``: for that, ``preserve_order`` is set in the context
        that ``ds`` shares with it. Its ``schema()`` asks nothing where that of ``ds`` is known and pyarrow's, as of
        files; else it asks about one row.

    Raises:
        InputError: The arguments or the columns cannot be used. Raised at the call; nothing has run. Columns that are
            not known yet are checked by the actors.

    Example:
        >>> import ray
        >>> reviews = ray.data.from_items([{"text": "I love you."}, {"text": None}])
        >>> using = {"task": "text-classification", "column": "text", "target": "mood", "dry_run": True}
        >>> predict(reviews, using, concurrency=1).schema().names[:2]
        ['text', 'mood']
    """
    if not isinstance(ds, Dataset):
        raise InputError(
            f"a table must be a ray.data.Dataset here, and not {type(ds).__name__}. For a table in memory there is "
            "huggingface_api_handler.predict"
        )
    schema = ds.schema(fetch_if_missing=False)  # what is missing would be found by running a row through the plan
    try:
        columns = checked_settings(using, engine).model.column_names if schema is None else schema.names
        job = Job.of(using, engine, columns, parts=ds.num_blocks() if isinstance(ds, MaterializedDataset) else None)
    finally:
        del engine  # which holds the key as text, where a crash report would print it
    refuse_taken_names(job, columns if schema is not None else ())
    smallest, largest = concurrency if isinstance(concurrency, tuple) else (concurrency, concurrency)
    _warn_of_few_blocks(ds, largest)
    out = ds.map_batches(
        Predictor,
        fn_constructor_kwargs={"job": job, "reports": None if usage is None else _reports_of(usage)},
        batch_format="pyarrow",  # pandas would make floats of whole numbers with a NULL among them
        batch_size=None,  # a block is one query
        compute=ActorPoolStrategy(min_size=smallest, max_size=largest),
        num_cpus=num_cpus,
        udf_modifying_row_count=False,  # so that limit() and count() ask about fewer rows, or none
        **map_batches,
    )
    out.context.execution_options.preserve_order = True
    _tell_schema(out, schema, job)
    return out


class Predictor:
    """An actor's work: ``map_batches`` makes one in each actor, and calls it with one block after another."""

    def __init__(self, job: Job, reports: Any) -> None:
        """Begin with no block.

        Args:
            job: What to ask.
            reports: The actor that has the reports; None where nobody wants one.
        """
        self._job, self._reports = job, reports
        self._name = secrets.token_hex(_ACTOR_NAME_BYTES)

    def __call__(self, block: pa.Table) -> Iterator[pa.Table]:
        """Predict one block, as one query.

        Args:
            block: The rows.

        Yields:
            Parts of the block, in order, with the columns of their predictions behind their own.

        Raises:
            InputError: The block cannot be used, or the key is not in this actor's environment.
            InferenceError: See ``worker.predict_part``.
        """
        refuse_taken_names(self._job, block.column_names)
        pieces = [block.slice(start, _PIECE_ROWS) for start in range(0, max(1, block.num_rows), _PIECE_ROWS)]
        report = None if self._reports is None else self._report
        for piece, predictions in zip(pieces, predict_part(self._job, pieces, report=report), strict=True):
            yield pa.table(
                [*piece.columns, *predictions.columns], schema=pa.schema([*piece.schema, *predictions.schema])
            )

    def _report(self, report: str) -> None:
        try:
            ray.get(self._reports.put.remote(self._name, report))
        except ray.exceptions.RayError as error:  # which costs a count, and no prediction
            logger.warning("what this block took is missing in the usage: %s", type(error).__name__)


class Reports:
    """The newest report of each actor, in an actor of their own, which lives as long as somebody may ask it."""

    def __init__(self) -> None:
        """Begin with none."""
        self._by_actor: dict[str, str] = {}

    def put(self, name: str, report: str) -> None:
        """Take a report.

        Args:
            name: Whose it is.
            report: All that this actor has asked so far.
        """
        self._by_actor[name] = report

    def all(self) -> list[str]:
        """Give the reports of all actors."""
        return list(self._by_actor.values())


def _reports_of(usage: JobUsage) -> Any:
    reports = ray.remote(num_cpus=0)(Reports).remote()

    def fetch() -> Iterable[str]:
        if ray.is_initialized():  # else ray.get would begin a cluster
            with suppress(ray.exceptions.RayError):
                return ray.get(reports.all.remote())  # type: ignore[no-any-return]
        return ()

    usage.add_source(fetch)
    return reports


def _warn_of_few_blocks(ds: Any, actors: int) -> None:
    """Warn where the dataset has fewer blocks than there are to be actors."""
    try:
        blocks = ds._logical_plan.initial_num_blocks()  # public for materialized datasets only
    except Exception:  # in another version of Ray; it warns by itself later, in its own words
        return
    if blocks is not None and blocks < actors:
        logger.warning(
            "the dataset has %s, and a block is one task: of %d actors only %d will work. For all of them to work, cut "
            "it first: ds.repartition(%d)",
            "1 block" if blocks == 1 else f"{blocks} blocks",
            actors,
            blocks,
            _BLOCKS_PER_ACTOR * actors,
        )


def _tell_schema(out: Any, schema: Any, job: Job) -> None:
    """Let ``out.schema()`` be known, which Ray would find by asking about a row."""
    if schema is None or not isinstance(schema.base_schema, pa.Schema):
        return
    whole = pa.schema([*schema.base_schema, *(pa.field(*each) for each in arrow_types(job.settings.model).items())])
    with suppress(Exception):  # in another version of Ray, which then asks
        out._cache.set_schema(out._logical_plan.dag, whole)


__all__ = ["JobUsage", "predict"]
