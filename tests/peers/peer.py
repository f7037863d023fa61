"""hugging-py-face in a process of its own, since importing it disables every logger that exists.

One JSON line in is one call, ``{"client", "method", "url", "frame", "arguments"}``, where ``frame`` is None or
``{column: [cell, ...]}``; one JSON line out is ``{"answer", "arguments", "columns"}``, the last two as the call left
them, or ``{"error": type, "message": text}``. NaN goes both ways as Python's JSON writes it.

One patch, without which two of its three classes cannot be run at all: ComputerVision and AudioProcessing take no URL
and post to a host that is gone, so ``api_url`` is set on the instance. Nothing else of the package is changed.
"""

from __future__ import annotations

import json
import sys
from typing import Any

ANSWERS, sys.stdout = sys.stdout, sys.stderr  # its import sends all logging to sys.stdout

import hugging_py_face  # noqa: E402
import pandas as pd  # noqa: E402


def client(name: str, url: str) -> Any:
    if name == "NLP":
        return hugging_py_face.NLP("hf_key", url)
    made = getattr(hugging_py_face, name)("hf_key")
    made.api_url = url
    return made


def call(asked: dict[str, Any]) -> dict[str, Any]:
    arguments = asked["arguments"]
    frame = None if asked["frame"] is None else pd.DataFrame(asked["frame"])
    given = () if frame is None else (frame,)
    try:
        answer = getattr(client(asked["client"], asked["url"]), asked["method"])(*given, **arguments)
    except Exception as error:
        return {"error": type(error).__name__, "message": str(error)}
    if isinstance(answer, pd.DataFrame):
        answer = answer["predictions"].tolist()
    return {"answer": answer, "arguments": arguments, "columns": None if frame is None else list(frame.columns)}


for line in sys.stdin:
    ANSWERS.write(json.dumps(call(json.loads(line))) + "\n")
    ANSWERS.flush()
