"""Text Embeddings Inference: detected by its ``/info``, and asked in the form of batch that it reads correctly.

Its routes and shapes: https://huggingface.github.io/text-embeddings-inference. On ``/predict`` it reads
``["a", "b"]`` as one pair of sentences; several inputs go as ``[["a"], ["b"]]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson

from ...tasks import JSONObject, Settings
from ..transport.client import HttpClient
from .routing import Route

PATHS = {
    "feature-extraction": "/embed",
    "text-classification": "/predict",
    "text-ranking": "/rerank",
    "sentence-similarity": "/similarity",
}
"""The path of each task that such a server answers."""

_INFO_TIMEOUT_S = 5.0  # the first query waits for this, and a server that is up answers at once
_DEFAULT_MAX_BATCH_SIZE = 32  # the server's own default of --max-client-batch-size, if /info does not say


@dataclass(frozen=True)
class Server:
    """A Text Embeddings Inference server.

    Attributes:
        max_batch_size: The maximum number of inputs in one request.
    """

    max_batch_size: int


_servers: dict[str, Server | None] = {}  # by the URL of the endpoint; None for any other kind of server


async def detect(http: HttpClient, route: Route, task: str) -> Server | None:
    """Ask an endpoint of one model for its ``/info``, once a process.

    Args:
        http: Sends the request, on its own event loop.
        route: The route of a query, as ``routing.resolve_route`` gives it.
        task: The name of the task.

    Returns:
        The server, or None if the endpoint is another kind of server, cannot be reached, or is not asked because
        the route or task is none of such a server.
    """
    if route.serves_many_models or route.provider is not None or task not in PATHS:
        return None
    if route.url not in _servers:
        try:
            response = await http.get(f"{route.url}/info", route.headers, _INFO_TIMEOUT_S)
        except Exception:  # the query itself will say what is wrong with this host
            return None
        _servers[route.url] = _parse_info(response.status, response.body)
    return _servers[route.url]


def register_server(url: str, max_batch_size: int) -> None:
    """Assume such a server at ``url`` without asking it, because it answered there before.

    Args:
        url: The URL of the endpoint.
        max_batch_size: The maximum number of inputs in one request.
    """
    _servers.setdefault(url, Server(max_batch_size))


def cached_server(route: Route) -> Server | None:
    """The server that ``detect`` found at this endpoint before. Sends no request.

    Args:
        route: The route of a query.

    Returns:
        The server, or None if none was found, or if it was not asked.
    """
    return _servers.get(route.url)


def task_route(route: Route, task: str) -> Route:
    """The route of one task on such a server.

    Args:
        route: The route to the server.
        task: One of ``PATHS``.

    Returns:
        ``route`` with the path of the task and the form of body that the server reads.
    """
    body = predict_body if task == "text-classification" else None
    return replace(route, url=route.url.removesuffix(PATHS[task]) + PATHS[task], body=body)


def predict_body(inputs: Sequence[str], settings: Settings) -> JSONObject:
    """The body of a request to ``/predict``.

    Args:
        inputs: One or several texts.
        settings: The settings of the model; its parameters go beside the inputs.

    Returns:
        ``{"inputs": text}`` for one text, ``{"inputs": [[text], ...]}`` for several: one plain list of texts would be
        read as a pair.
    """
    return {"inputs": [[text] for text in inputs] if len(inputs) > 1 else inputs[0], **settings.parameters}


def _parse_info(status: int, body: bytes) -> Server | None:
    try:
        info = orjson.loads(body) if status == 200 else None
    except ValueError:
        info = None
    if not isinstance(info, dict) or "model_type" not in info or "model_id" not in info:
        return None
    size = info.get("max_client_batch_size")
    return Server(size if isinstance(size, int) and size > 0 else _DEFAULT_MAX_BATCH_SIZE)
