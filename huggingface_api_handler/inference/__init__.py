"""Inference over a DataFrame, as fast as the service allows and never twice. Needs no MindsDB.

>>> import pandas as pd
>>> from huggingface_api_handler.inference import predict
>>> reviews = pd.DataFrame({"text": ["I love you.", "I love you.", None]})
>>> using = {"task": "text-classification", "column": "text", "target": "sentiment"}
>>> predict(reviews, using={**using, "dry_run": True})["sentiment"][0].partition(", unknown")[0]
'dry run: 3 rows, 1 NULL or blank, 1 distinct inputs, 0 answers stored, 1 requests'
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

import pandas as pd

from ..config.normalize import Using, as_map
from ..config.proxies import FindEngine, NamedEngine
from ..config.settings import EngineSettings, ModelSettings
from ..config.validation import engine_settings, model_settings
from ..errors import InputError
from ..redaction import preview
from .cascade.run import predict_frames
from .runtime.columns import column_types
from .runtime.context import Query
from .runtime.frames import open_frame
from .runtime.progress import Phase, Progress, show_in_bar
from .runtime.query_run import Cancel
from .runtime.session import ConcurrencyLimiter, Session
from .storage.scope import NamedScope, Scope
from .telemetry.hooks import InferenceHook

Table = TypeVar("Table")
"""A pandas DataFrame, a pyarrow Table or RecordBatch, or a Polars DataFrame: what comes in goes out."""


def predict(
    df: Table,
    using: Using,
    engine: Using | None = None,
    *,
    session: Session | None = None,
    progress: Progress | bool | None = None,
    cancel: Cancel | None = None,
    hooks: Sequence[InferenceHook] = (),
) -> Table:
    """Predict every row of a table.

    Args:
        df: a pandas DataFrame, which stays as it is; or a pyarrow Table or RecordBatch, or a Polars DataFrame.
        using: what CREATE MODEL ... USING takes, and ``target``, the name of the prediction's column ('prediction').
            Without ``engine`` its ``endpoint`` may be at a private address, as an engine's may.
        engine: what CREATE ML_ENGINE ... USING takes, and ``name``, under which requests are counted and answers
            are stored (by default the endpoint). Another key of the same name finds no answers.
        session: the connections, stores and routes to use; None for those of the process.
        progress: is called with (inputs done, inputs in all) about ten times a second, or True for a bar. Of a cascade
            a function that has a parameter ``phase`` is told the ``Phase`` too; it is None without a cascade.
        cancel: an event such as ``threading.Event``; once it is set, the query ends with what it has.
        hooks: objects of subclasses of ``telemetry.hooks.InferenceHook``, which are told of the query and its requests.

    Returns:
        A DataFrame with the index of ``df`` and the columns ``<target>``; ``<target>_confidence`` (float in [0, 1]) and
        ``<target>_explain`` where the task has scores or parts; and ``<target>_error``, None or the reason. What was
        asked and taken is in ``out.attrs["usage"]``. A table of another kind than pandas gets one of its kind, with the
        types of ``output_schema``.

    Raises:
        InputError: the arguments or the table cannot be used. No request was sent.
        InferenceError: no row was answered (a wrong key, an unknown model, a dead host, rows that all fail).
    """
    try:
        settings = checked_settings(using, engine)
    finally:
        del engine  # which holds the key as text, where a crash report would print it
    query = Query.of(settings.model, settings.engine, session, settings.scope, hooks)
    (out,) = predict_tables([df], query, progress, cancel)
    return out


def predict_batches(
    frames: Iterable[Table],
    using: Using,
    engine: Using | None = None,
    *,
    session: Session | None = None,
    progress: Progress | bool | None = None,
    cancel: Cancel | None = None,
    hooks: Sequence[InferenceHook] = (),
) -> Iterator[Table]:
    """Predict every row of a table that comes in pieces, as one query: one budget, one usage, one set of limits.

    Reads ahead of what it gives back, some 16,000 rows and one piece at most, so that a table of any length fits in
    memory. Equal inputs that are further apart than that are asked for again where answers are not stored.

    Args:
        frames: the pieces, in any sizes, each of a kind that ``predict`` takes. They are read from your thread.
        using: as for ``predict``.
        engine: as for ``predict``.
        session: as for ``predict``.
        progress: as for ``predict``; all inputs are those that were read so far.
        cancel: as for ``predict``. Pieces that were read are given back, and no more are read.
        hooks: as for ``predict``.

    Returns:
        An iterator of what ``predict`` returns for each piece, in their order. ``attrs["usage"]`` of each is the
        usage of the whole query up to there; a dry run counts each piece for itself. If you leave it early
        (``close()``, or ``break`` and no more reference), the query ends.

    Raises:
        InputError: the arguments cannot be used, at once; or a piece cannot, as it is read.
        InferenceError: as for ``predict``, as the iterator gets there.

    >>> import pandas as pd
    >>> pieces = (pd.DataFrame({"text": [text, None]}) for text in ("a", "b"))
    >>> using = {"task": "text-classification", "column": "text", "dry_run": True}
    >>> [len(out) for out in predict_batches(pieces, using)]
    [2, 2]
    """
    try:
        settings = checked_settings(using, engine)
    finally:
        del engine
    query = Query.of(settings.model, settings.engine, session, settings.scope, hooks)
    return predict_tables(frames, query, progress, cancel)


def output_schema(using: Using, engine: Using | None = None) -> dict[str, str]:
    """The columns of a prediction, before anything is asked. Sends nothing.

    Args:
        using: as for ``predict``.
        engine: as for ``predict``.

    Returns:
        The SQL type of each column by its name, in order: VARCHAR, DOUBLE, BIGINT, BOOLEAN, JSON, FLOAT[] or
        VARCHAR[]. In a DataFrame of pandas, JSON is the parsed value.

    Raises:
        InputError: the arguments cannot be used.

    >>> output_schema({"task": "text-classification", "column": "text", "target": "mood"})
    {'mood': 'VARCHAR', 'mood_confidence': 'DOUBLE', 'mood_explain': 'JSON', 'mood_error': 'VARCHAR'}
    """
    try:
        return column_types(checked_settings(using, engine).model)
    finally:
        del engine


class Settings(NamedTuple):
    """The arguments of ``predict``, checked.

    Attributes:
        model: What CREATE MODEL ... USING takes.
        engine: What CREATE ML_ENGINE ... USING takes. Its key shows in no ``repr``.
        scope: Whose requests and stored answers they are; None without a name.
    """

    model: ModelSettings
    engine: EngineSettings
    scope: Scope | None


def checked_settings(using: Using, engine: Using | None, *, statement: str = "using") -> Settings:
    """Check the arguments of ``predict``, for whoever asks later or in another process. Sends nothing.

    Args:
        using: as for ``predict``.
        engine: as for ``predict``.
        statement: What the person wrote, for the errors.

    Returns:
        The settings, which pickle.

    Raises:
        InputError: the arguments cannot be used.
    """
    # Without an engine of somebody else's, the endpoint that using names is chosen by whoever runs this program.
    engine_using = {"allow_private_endpoints": True} if engine is None else dict(engine)
    name = engine_using.pop("name", None)
    try:
        checked = engine_settings(engine_using)
    except InputError as error:
        raise error.with_traceback(None) from None
    finally:
        del engine_using, engine
    using, find_engine = _with_own_engine(using)
    model = model_settings(using, checked, statement=statement, find_engine=find_engine)
    return Settings(model, checked, NamedScope(str(name)) if name is not None else None)


def _with_own_engine(using: Using) -> tuple[Using, FindEngine]:
    """The arguments with a name in place of the engine that ``cascade`` brings as a map, which may hold a key."""
    cascade = as_map(using).get("cascade")
    given = cascade.get("engine") if isinstance(cascade, Mapping) else None

    def find(name: str) -> NamedEngine:
        if not isinstance(given, Mapping):
            raise InputError(
                f"cascade: the engine {preview(name)} has a name in SQL. Here give a map of its arguments: "
                "{'engine': {'endpoint': '...'}}"
            )
        try:
            return NamedEngine(engine_settings(given))
        except InputError as error:
            raise error.with_traceback(None) from None

    if isinstance(cascade, Mapping) and isinstance(given, Mapping):
        using = {**using, "cascade": {**cascade, "engine": "the map given"}}
    return using, find


def predict_tables(
    frames: Iterable[Table],
    query: Query,
    progress: Progress | bool | None = None,
    cancel: Cancel | None = None,
    *,
    min_failures: int = 1,
) -> Iterator[Table]:
    """Predict every row of tables for a query that was made before, whose usage can so be read after an error too.

    Args:
        frames: as for ``predict_batches``.
        query: what is asked, and of which route.
        progress: as for ``predict``.
        cancel: as for ``predict``.
        min_failures: how many rows must have failed alike for a query without any answer to fail.

    Yields:
        What ``predict`` returns for each table, in their order.

    Raises:
        InputError: a table cannot be used.
        InferenceError: as for ``predict``.
    """
    ways_back = []

    def opened() -> Iterator[pd.DataFrame]:
        for table in frames:
            frame, way_back = open_frame(table, query.model)
            ways_back.append(way_back)
            yield frame

    with _progress(progress) as shown:
        for out in predict_frames(opened(), query, progress=shown, cancel=cancel, min_failures=min_failures):
            yield ways_back.pop(0)(out)


@contextmanager
def _progress(progress: Progress | bool | None) -> Iterator[Progress | None]:
    """What is called of the progress, with a bar where True was given."""
    if progress is not True:
        yield progress or None
        return
    from tqdm.auto import tqdm

    with tqdm(total=None, unit="input") as bar:

        def show(done: int, total: int, phase: Phase | None) -> None:
            show_in_bar(bar, "", done, total, phase)

        yield show


__all__ = ["ConcurrencyLimiter", "InferenceHook", "Phase", "Session", "output_schema", "predict", "predict_batches"]
