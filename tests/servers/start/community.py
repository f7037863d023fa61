"""The routes of api-inference-community over pipelines of transformers, as its documentation has them written.

``TASK`` and ``MODEL_ID`` are its own variables. Every path is served, since its containers stand behind one model's address.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import transformers as hf
from api_inference_community.routes import pipeline_route, status_ok
from starlette.applications import Starlette
from starlette.routing import Route

TASK, MODEL = os.environ["TASK"], os.environ["MODEL_ID"]
RATE = 16_000


class Pipeline:
    """One model, called with the input that the routes made of a body."""

    sampling_rate = RATE

    def __init__(self) -> None:
        if TASK == "tabular-regression":
            self.pipeline: Any = None
        else:
            kind = "feature-extraction" if TASK == "sentence-similarity" else TASK
            self.pipeline = hf.pipeline(kind, model=MODEL, device="cpu")

    def __call__(self, inputs: Any, **parameters: Any) -> Any:
        """Answer one input, in the shape that its documentation names for the task."""
        if TASK == "tabular-regression":
            columns = inputs["data"]
            return [sum(map(float, row)) for row in zip(*columns.values(), strict=True)]
        if TASK == "sentence-similarity":
            source, *others = (self._vector(text) for text in (inputs["source_sentence"], *inputs["sentences"]))
            return [float(source @ other / np.linalg.norm(source) / np.linalg.norm(other)) for other in others]
        if TASK == "feature-extraction":
            return (
                [self._vector(text).tolist() for text in inputs]
                if isinstance(inputs, list)
                else self._vector(inputs).tolist()
            )
        if TASK == "question-answering":
            return self.pipeline(question=inputs["question"], context=inputs["context"], **parameters)
        if TASK in ("automatic-speech-recognition", "audio-classification"):
            return self.pipeline({"raw": inputs, "sampling_rate": RATE}, **parameters)
        if TASK == "text-classification":
            return [self.pipeline(inputs, top_k=None, **parameters)]
        if TASK == "token-classification":
            found = self.pipeline(inputs, aggregation_strategy="simple", **parameters)
            return [{**one, "score": float(one["score"])} for one in found]
        return self.pipeline(inputs, **parameters)

    def _vector(self, text: str) -> Any:
        return np.mean(np.array(self.pipeline(text))[0], axis=0)


app = Starlette(
    routes=[
        Route("/{path:path}", status_ok, methods=["GET"]),
        Route("/{path:path}", pipeline_route, methods=["POST"]),
    ]
)
_pipeline = Pipeline()
app.get_pipeline = lambda: _pipeline  # type: ignore[attr-defined]
