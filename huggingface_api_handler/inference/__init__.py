"""Inference over a DataFrame, as fast as the service allows and never twice. Needs no MindsDB.

>>> import pandas as pd
>>> from huggingface_api_handler.inference import predict
>>> reviews = pd.DataFrame({"text": ["I love you.", "I love you.", None]})
>>> using = {"task": "text-classification", "column": "text", "target": "sentiment"}
>>> predict(reviews, using={**using, "dry_run": True})["sentiment"][0]
'dry run: 3 rows, 1 NULL or blank, 1 distinct inputs, 0 answers stored, 1 requests, unknown time'
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ..config.normalize import Using
from ..config.validation import engine_settings, model_settings
from ..errors import InputError
from .runtime.dataframe import Cancel, Progress, predict_frame
from .storage.scope import Scope
from .telemetry.hooks import InferenceHook


def predict(
    df: pd.DataFrame,
    using: Using,
    engine: Using | None = None,
    *,
    progress: Progress | bool | None = None,
    cancel: Cancel | None = None,
    hooks: Sequence[InferenceHook] = (),
) -> pd.DataFrame:
    """Predict every row of a table.

    Args:
        df: the table, which stays as it is.
        using: what CREATE MODEL ... USING takes, and ``target``, the name of the prediction's column ('prediction').
        engine: what CREATE ML_ENGINE ... USING takes, and ``name``, under which answers are stored (by default the
            endpoint and the account).
        progress: is called with (inputs done, inputs in all) about ten times a second, or True for a bar.
        cancel: an event such as ``threading.Event``; once it is set, the query ends with what it has.
        hooks: objects of subclasses of ``telemetry.hooks.InferenceHook``, which are told of the query and its requests.

    Returns:
        A DataFrame with the index of ``df`` and the columns ``<target>``; ``<target>_confidence`` (float in [0, 1]) and
        ``<target>_explain`` where the task has scores or parts; and ``<target>_error``, None or the reason. What was
        asked and taken is in ``out.attrs["usage"]``.

    Raises:
        InputError: the arguments or the table cannot be used. No request was sent.
        InferenceError: no row can be answered (a wrong key, an unknown model, a dead host), or the only row failed.
    """
    engine_using = dict(engine or {})
    name = engine_using.pop("name", None)
    scope = Scope(str(name)) if name is not None else None
    try:
        engine_checked = engine_settings(engine_using)
    except InputError as error:
        raise error.with_traceback(None) from None
    finally:
        del engine_using, engine  # which hold the key as text, where a crash report would print it
    model = model_settings(using, engine_checked)
    if progress is not True:
        return predict_frame(
            df, model, engine_checked, progress=progress or None, cancel=cancel, scope=scope, hooks=hooks
        )
    from tqdm.auto import tqdm

    with tqdm(total=None, unit="input") as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        out = predict_frame(df, model, engine_checked, progress=show, cancel=cancel, scope=scope, hooks=hooks)
        show(out.attrs["usage"]["distinct"], out.attrs["usage"]["distinct"])
        return out


__all__ = ["predict"]
