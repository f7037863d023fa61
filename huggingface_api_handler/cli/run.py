"""`run`: one inference from the shell, and one line of JSON for the script that called it."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any


def run_once(chosen: argparse.Namespace) -> int:
    """Print `{"success", "result", "is_classification", "model", "error"}` on one line; 0 or, failed, 1."""
    try:
        result, model = _infer(chosen)
    except Exception as problem:  # whatever went wrong, the caller reads JSON
        _print(None, False, chosen.model, str(problem) or type(problem).__name__)
        return 1
    classified = _is_scored_labels(result)
    if classified:
        result = sorted(result, key=lambda each: -float(each["score"]))
    elif not isinstance(result, list):
        result = [result]
    _print(result, classified, model, None)
    return 0


def _infer(chosen: argparse.Namespace) -> tuple[Any, str | None]:
    if not chosen.task and not chosen.model:
        raise ValueError("Give --task, --model or both.")
    using: dict[str, Any] = {"column": "text", "target": "prediction", **_parameters(chosen)}
    if chosen.model:
        using["model"] = chosen.model
    if chosen.candidate_labels:
        labels = [label.strip() for label in chosen.candidate_labels.split(",")]
        using["candidate_labels"] = [label for label in labels if label]
    if chosen.no_wait:
        using["options"] = {"wait_for_model": False}
    settings = {"endpoint": chosen.endpoint, "api_key_env": chosen.api_key_env}
    engine: dict[str, Any] = {name: value for name, value in settings.items() if value is not None}
    engine["cache"] = False  # whoever tries a key or an endpoint wants to hear from it, and not from the store
    using["task"] = chosen.task or _own_task(chosen.model, engine)
    if _has_labels(using["task"]):
        using["output"] = "all"

    import pandas as pd

    from ..inference import predict

    out = predict(pd.DataFrame({"text": [chosen.text]}), using=using, engine=engine)
    row = out.iloc[0]
    error = row.get("prediction_error")
    if error is not None and error == error:  # neither None nor NaN
        raise RuntimeError(str(error))
    return _plain(row["prediction"]), out.attrs.get("usage", {}).get("model") or chosen.model


def _own_task(model: str, engine: dict[str, Any]) -> str:
    """The task of a model that is given without one, as CREATE MODEL finds it."""
    from ..config.validation import engine_settings
    from ..inference.protocols.preflight import task_of

    return task_of(model, engine_settings(engine))


def _has_labels(task: str) -> bool:
    from ..tasks import ALIASES, TASKS

    known = TASKS.get(ALIASES.get(task, task))
    return known is not None and "output" in known.arguments


def _parameters(chosen: argparse.Namespace) -> dict[str, Any]:
    if not chosen.parameters:
        return {}
    try:
        parameters = json.loads(chosen.parameters)
    except ValueError as problem:
        raise ValueError(f"--parameters is not JSON: {problem}") from None
    if not isinstance(parameters, dict):
        raise ValueError(f"--parameters takes a JSON object such as '{{\"top_k\": 3}}', not {chosen.parameters}")
    return {"parameters": parameters}


def _is_scored_labels(value: Any) -> bool:
    """By the answer's shape, since a model may be given without its task."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(each, dict) and set(each) == {"label", "score"} for each in value)
    )


def _plain(value: Any) -> Any:
    """Arrays and scalars of numpy as what JSON knows."""
    return value.tolist() if hasattr(value, "tolist") else value


def _print(result: Any, classified: bool, model: str | None, error: str | None) -> None:
    line = {
        "success": error is None,
        "result": result,
        "is_classification": classified,
        "model": model,
        "error": error,
    }
    sys.stdout.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")
