"""`run`: one inference from the shell, and one line of JSON for the script that called it."""

from __future__ import annotations

import argparse
import json
import sys
from typing import NamedTuple, TypedDict


class _ScoredLabel(TypedDict):
    label: str
    score: float


class _Outcome(NamedTuple):
    """What one inference came to: the prediction, and the model that was used."""

    prediction: object
    model: str | None


def run_once(args: argparse.Namespace) -> int:
    """Print `{"success", "result", "is_classification", "model", "error"}` on one line.

    Args:
        args: ``text``; ``task`` or ``model`` or both; and ``candidate_labels``, ``no_wait``, ``endpoint``,
            ``protocol``, ``parameters`` (JSON), ``api_key_env``, each None or False where it was not given.

    Returns:
        The exit status: 1 where ``success`` is false, else 0.
    """
    try:
        prediction, model = _infer(args)
    except Exception as error:  # whatever went wrong, the caller reads JSON
        _print(None, False, args.model, str(error) or type(error).__name__)
        return 1
    scored_labels = _scored_labels(prediction)
    if scored_labels is not None:
        result: object = sorted(scored_labels, key=lambda scored: -float(scored["score"]))
    else:
        result = prediction if isinstance(prediction, list) else [prediction]
    _print(result, scored_labels is not None, model, None)
    return 0


def _infer(args: argparse.Namespace) -> _Outcome:
    if not args.task and not args.model:
        raise ValueError("Give --task, --model or both.")
    from ..config.credentials import key_in_variable

    using: dict[str, object] = {"column": "text", "target": "prediction", **_parameters(args.parameters)}
    if args.model:
        using["model"] = args.model
    if args.candidate_labels:
        labels = [label.strip() for label in args.candidate_labels.split(",")]
        using["candidate_labels"] = [label for label in labels if label]
    if args.no_wait:
        using["options"] = {"wait_for_model": False}
    engine: dict[str, object] = {
        "endpoint": args.endpoint,
        "protocol": args.protocol,
        "api_key": None if args.api_key_env is None else key_in_variable(args.api_key_env),
    }
    engine = {name: value for name, value in engine.items() if value is not None}
    engine["cache"] = False  # whoever tries a key or an endpoint wants its answer, not one from the store
    task = args.task or _own_task(args.model, engine)
    using["task"] = task
    if _has_labels(task):
        using["output"] = "all"

    import pandas as pd

    from ..inference import predict

    out = predict(pd.DataFrame({"text": [args.text]}), using=using, engine=engine)
    row = out.iloc[0]
    error = row.get("prediction_error")
    if error is not None and error == error:  # neither None nor NaN
        raise RuntimeError(str(error))
    return _Outcome(_plain(row["prediction"]), out.attrs.get("usage", {}).get("model") or args.model)


def _own_task(model: str, engine: dict[str, object]) -> str:
    """The task of a model that is given without one, as CREATE MODEL finds it."""
    from ..config.validation import engine_settings
    from ..inference.protocols.preflight import task_of

    return task_of(model, engine_settings(engine))


def _has_labels(name: str) -> bool:
    from ..tasks import ALIASES, TASKS

    task = TASKS.get(ALIASES.get(name, name))
    return task is not None and "output" in task.arguments


def _parameters(text: str | None) -> dict[str, object]:
    if not text:
        return {}
    try:
        parameters = json.loads(text)
    except ValueError as error:
        raise ValueError(f"--parameters is not JSON: {error}") from None
    if not isinstance(parameters, dict):
        raise ValueError(f"--parameters takes a JSON object such as '{{\"top_k\": 3}}', not {text}")
    return {"parameters": parameters}


def _scored_labels(prediction: object) -> list[_ScoredLabel] | None:
    """The prediction where it is a list of labels with scores, told by its shape: the task need not be a classifier."""
    if not isinstance(prediction, list) or not prediction:
        return None
    if not all(isinstance(item, dict) and set(item) == {"label", "score"} for item in prediction):
        return None
    return prediction


def _plain(value: object) -> object:
    """Arrays and scalars of numpy as what JSON knows."""
    return value.tolist() if hasattr(value, "tolist") else value


def _print(result: object, is_classification: bool, model: str | None, error: str | None) -> None:
    line = {
        "success": error is None,
        "result": result,
        "is_classification": is_classification,
        "model": model,
        "error": error,
    }
    sys.stdout.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")
