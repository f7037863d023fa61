"""A table in, a table out: the stream of one frame."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ..config.settings import EngineSettings, ModelSettings
from .cascade.run import predict_frames
from .runtime.context import Query
from .runtime.progress import Progress
from .runtime.query_run import Cancel
from .runtime.session import Session
from .storage.scope import Scope
from .telemetry.hooks import InferenceHook


def predict_frame(
    frame: pd.DataFrame,
    model: ModelSettings,
    engine: EngineSettings,
    *,
    session: Session | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    scope: Scope | None = None,
    hooks: Sequence[InferenceHook] = (),
    min_failures: int = 1,
) -> pd.DataFrame:
    """Predict every row of a table.

    Args:
        frame: the table, which stays as it is.
        model: the checked arguments of CREATE MODEL and SELECT.
        engine: the checked arguments of CREATE ML_ENGINE.
        session: the connections, stores and routes to use; None for those of the process.
        progress: as for ``predict``.
        cancel: ends the query once it is set, with what it has.
        scope: whose stored answers may be used, and whose usage this query's is counted with.
        hooks: who is told of the query, beside the hooks that are registered. Not of a dry run.
        min_failures: how many rows must have failed alike for a query without any answer to fail.

    Returns:
        A DataFrame with the index of ``frame`` and the columns of ``columns.prediction_columns``; ``attrs["usage"]``
        holds the usage.

    Raises:
        InputError: the arguments or the table cannot be used. No request was sent.
        InferenceError: no row was answered, or a row failed and ``on_error`` is 'raise'.
    """
    query = Query.of(model, engine, session, scope, hooks)
    (out,) = predict_frames([frame], query, progress=progress, cancel=cancel, min_failures=min_failures)
    return out
