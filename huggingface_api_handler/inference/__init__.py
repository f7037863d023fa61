"""Inference over a DataFrame, as fast as the service allows and never twice. Needs no MindsDB.

>>> from huggingface_api_handler.inference import predict
>>> out = predict(df, using={"task": "text-classification", "column": "text", "target": "sentiment"})
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ..config.validation import engine_settings, model_settings
from ..errors import InputError
from .runtime.dataframe import Cancel, Progress, predict_frame
from .storage.scope import Scope


def predict(
    df: pd.DataFrame,
    using: Mapping[str, Any],
    engine: Mapping[str, Any] | None = None,
    *,
    progress: Progress | bool | None = None,
    cancel: Cancel | None = None,
) -> pd.DataFrame:
    """Predict every row of ``df``, which stays as it is.

    ``using`` takes what CREATE MODEL ... USING takes, and ``target``, the name of the prediction's column
    ('prediction'); ``engine`` takes what CREATE ML_ENGINE ... USING takes, and ``name``,
    under which answers are stored (by default the endpoint and the account). ``progress`` is called with (inputs
    done, inputs in all) about ten times a second, or True for a bar; a ``cancel`` that is set ends the query
    with what it has.

    Returns a DataFrame with the index of ``df`` and the columns ``<target>``; ``<target>_confidence`` (float in
    [0, 1]) and ``<target>_explain`` where the task has scores or parts; and ``<target>_error``, None or the
    reason. The receipt is in ``out.attrs["usage"]``.

    Raises InputError for arguments or a table that cannot be used, before any request; InferenceError where no
    row can be answered (a wrong key, an unknown model, a dead host), or where the only row failed.
    """
    given = dict(engine or {})
    name = given.pop("name", None)
    scope = Scope(str(name)) if name is not None else None
    try:
        engine_checked = engine_settings(given)
    except InputError as error:
        raise error.with_traceback(None) from None
    finally:
        del given, engine  # which hold the key as text, where a crash report would print it
    model = model_settings(using, engine_checked)
    if progress is not True:
        return predict_frame(df, model, engine_checked, progress=progress or None, cancel=cancel, scope=scope)
    from tqdm.auto import tqdm

    with tqdm(total=None, unit="input") as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        out = predict_frame(df, model, engine_checked, progress=show, cancel=cancel, scope=scope)
        show(out.attrs["usage"]["distinct"], out.attrs["usage"]["distinct"])
        return out


__all__ = ["predict"]
