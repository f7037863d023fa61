"""Text Embeddings Inference: which server answers at an endpoint, and the form of batch that it reads rightly.

Its routes and shapes: https://huggingface.github.io/text-embeddings-inference. On ``/predict`` it reads
``["a", "b"]`` as one pair of sentences; several inputs go as ``[["a"], ["b"]]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from ...tasks import Settings
from ..transport import client
from .routing import Route

PATHS = {
    "feature-extraction": "/embed",
    "text-classification": "/predict",
    "text-ranking": "/rerank",
    "sentence-similarity": "/similarity",
}
_PATIENCE = 5.0
_LARGEST_BATCH = 32  # what it takes where /info does not say (its --max-client-batch-size)

_found: dict[str, Server | None] = {}


@dataclass(frozen=True)
class Server:
    """A Text Embeddings Inference server: the most inputs it takes in one request."""

    largest_batch: int


async def detect(route: Route, task: str) -> Server | None:
    """The server at an endpoint of one model, by its ``/info``, asked once a process; None for any other."""
    if route.serves_many or route.provider is not None or task not in PATHS:
        return None
    if route.url not in _found:
        try:
            response = await client.get(f"{route.url}/info", route.headers, _PATIENCE)
        except Exception:  # the query itself will tell what is wrong with this host
            return None
        _found[route.url] = _read_info(response.status, response.body)
    return _found[route.url]


def remember(url: str, largest_batch: int) -> None:
    """Take it that such a server answers at ``url``, as it did when it was asked."""
    _found.setdefault(url, Server(largest_batch))


def detected(route: Route) -> Server | None:
    """The server that was found at this endpoint before; asks nothing."""
    return _found.get(route.url)


def route_to(route: Route, task: str) -> Route:
    """The route of ``task`` on such a server."""
    body = predict_body if task == "text-classification" else None
    return replace(route, url=route.url.removesuffix(PATHS[task]) + PATHS[task], body=body)


def predict_body(inputs: Sequence[Any], settings: Settings) -> dict[str, Any]:
    """``{"inputs": [[text], ...]}`` for several texts, which one list of texts would not be; parameters beside them."""
    return {"inputs": [[text] for text in inputs] if len(inputs) > 1 else inputs[0], **settings.parameters}


def _read_info(status: int, body: bytes) -> Server | None:
    try:
        info = orjson.loads(body) if status == 200 else None
    except ValueError:
        info = None
    if not isinstance(info, dict) or "model_type" not in info or "model_id" not in info:
        return None
    most = info.get("max_client_batch_size")
    return Server(most if isinstance(most, int) and most > 0 else _LARGEST_BATCH)
