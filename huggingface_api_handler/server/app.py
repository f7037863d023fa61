"""The HTTP side: routes, bodies, headers, errors.

Protocol: https://huggingface.co/docs/inference-providers/providers/hf-inference (task requests) and
https://huggingface.github.io/text-embeddings-inference (`/info`, `/health`, the error for long lists).
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from . import registry
from .auth import BearerTokenMiddleware
from .model_card import ModelCard, OutputT
from .model_pool import ModelPool
from .protocol import chat_completion
from .protocol.errors import HTTPError
from .protocol.inputs import MAX_REQUEST_INPUTS, InputT, ModelInputs
from .protocol.json_types import JSON, Parameters
from .protocol.outputs import ChatAnswer, ChatMessage
from .protocol.request_body import MAX_BODY_BYTES, parse_request_body
from .responses import error_response, json_response, output_response

if TYPE_CHECKING:
    from .metrics import Metrics

PATH_PREFIXES = ("", "/hf-inference")
# For 10 MB, 0.7 Mbit/s.
BODY_TIMEOUT_S = 120.0
# More digits name no length that could be allowed, and int() would take long for millions of them.
_MAX_LENGTH_DIGITS = 20
_FINGERPRINT_CHARS = 12


def create_app(token: str | None = None) -> Starlette:
    """Build the server as an ASGI application.

    Args:
        token: With it, every path asks for it as bearer token.

    Returns:
        The application.

    Raises:
        ValueError: The token is empty, so that it would protect nothing.
    """
    if token is not None and not token.strip():
        raise ValueError("The token is empty. Give one with characters in it, or none to serve without.")
    metrics = _create_metrics()
    app = Starlette(
        routes=_routes(metrics),
        middleware=[Middleware(BearerTokenMiddleware, token=token)] if token is not None else [],
        exception_handlers={
            HTTPError: _handle_http_error,
            HTTPException: _handle_starlette_error,
            Exception: _handle_unexpected_error,
        },
        lifespan=_lifespan,
    )
    app.state.pool = ModelPool()
    app.state.metrics = metrics
    return app


def _create_metrics() -> Metrics | None:
    try:
        from .metrics import Metrics
    except ModuleNotFoundError:  # the extra metrics is not installed
        return None
    return Metrics()


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    yield
    app.state.pool.close()


def _routes(metrics: Metrics | None) -> list[Route]:
    chat, predict = (_chat, _predict) if metrics is None else (metrics.measured(_chat), metrics.measured(_predict))
    routes = [
        Route("/health", _health, methods=["GET"]),
        Route("/metrics", _metrics, methods=["GET"]),
        Route("/info", _info, methods=["GET"]),
        Route("/v1/chat/completions", chat, methods=["POST"]),
    ]
    for prefix in PATH_PREFIXES:
        routes += [
            Route(f"{prefix}/models", _list_models, methods=["GET"]),
            # The longer paths first: an id takes slashes too.
            Route(f"{prefix}/models/{{model_id:path}}/v1/chat/completions", chat, methods=["POST"]),
            Route(f"{prefix}/models/{{model_id:path}}/pipeline/{{task}}", predict, methods=["POST"]),
            Route(f"{prefix}/models/{{model_id:path}}", predict, methods=["POST"]),
            Route(f"{prefix}/models/{{model_id:path}}", _get_model, methods=["GET"]),
        ]
    return routes


async def _predict(request: Request) -> Response:
    model_id: str = request.path_params["model_id"]
    # Before the body is read, which may be large.
    registry.find_cards(model_id)
    body = parse_request_body(await _read_body(request), request.headers.get("content-type", ""))
    card = registry.select_card(model_id, request.path_params.get("task"), body.inputs)
    inputs = card.parse_inputs(body.inputs)
    outputs, headers = await _run_model(request, card, inputs, body.parameters, body.wait_for_model)
    return output_response(outputs if inputs.is_batch or card.wrap_single else outputs[0], headers)


async def _run_model(
    request: Request,
    card: ModelCard[InputT, OutputT],
    inputs: ModelInputs[InputT],
    parameters: Parameters,
    wait: bool,
) -> tuple[Sequence[OutputT], dict[str, str]]:
    """Return the model's outputs, and the headers that describe them."""
    wait = wait or request.headers.get("x-wait-for-model", "").lower() in ("true", "1")
    pool: ModelPool = request.app.state.pool
    metrics: Metrics | None = request.app.state.metrics
    with nullcontext() if metrics is None else metrics.running(request, card.task, len(inputs.items)):
        model = await pool.get(card, request.path_params.get("model_id", card.name), wait)
        started = time.perf_counter()
        outputs = await model.predict(inputs.items, parameters)
    headers = {
        "x-compute-time": f"{time.perf_counter() - started:.3f}",
        "x-compute-type": "cpu",
        "x-compute-characters": str(inputs.num_characters),
        "x-sha": card.sha(),
    }
    return outputs, headers


async def _read_body(request: Request) -> bytes:
    """Read the body; raise 408 where it does not come in time, and 413 as soon as it is known to be too large."""
    try:
        return await asyncio.wait_for(_read_stream(request), BODY_TIMEOUT_S)
    except asyncio.TimeoutError:
        raise HTTPError(408, f"The body did not come within {BODY_TIMEOUT_S:g} s.") from None


async def _read_stream(request: Request) -> bytes:
    advice = "Send fewer inputs in a request, or a smaller file."
    too_large = HTTPError(413, f"The body is larger than {MAX_BODY_BYTES} bytes. {advice}")
    content_length = request.headers.get("content-length", "")
    if content_length.isdecimal() and int(content_length[:_MAX_LENGTH_DIGITS]) > MAX_BODY_BYTES:
        raise too_large
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY_BYTES:
            raise too_large
    return bytes(content)


async def _health(request: Request) -> Response:
    return json_response({"status": "ok"})


async def _metrics(request: Request) -> Response:
    metrics: Metrics | None = request.app.state.metrics
    if metrics is None:
        advice = 'Install it with: pip install "huggingface_api_handler[metrics]", and start the server again'
        raise HTTPError(404, f"Metrics need prometheus_client. {advice}")
    return metrics.response()


async def _info(request: Request) -> Response:
    models: list[JSON] = [{"id": model_id, "tasks": _tasks(model_id)} for model_id in registry.model_ids()]
    return json_response(
        {
            "server": "huggingface_api_handler local inference server",
            "version": _version(),
            "max_client_batch_size": MAX_REQUEST_INPUTS,
            "max_body_bytes": MAX_BODY_BYTES,
            "models": models,
        }
    )


def _tasks(model_id: str) -> list[str]:
    return [card.task for card in registry.find_cards(model_id)]


def _version() -> str:
    try:
        return importlib.metadata.version("huggingface_api_handler")
    except importlib.metadata.PackageNotFoundError:
        # MindsDB may load the handler from a folder that was never installed.
        return "not installed"


async def _list_models(request: Request) -> Response:
    return json_response([registry.model_metadata(model_id) for model_id in registry.model_ids()])


async def _get_model(request: Request) -> Response:
    return json_response(registry.model_metadata(request.path_params["model_id"]))


async def _chat(request: Request) -> Response:
    """Answer with the path's model, else the body's without the router's suffix (`:fastest`, `:groq`)."""
    if "model_id" in request.path_params:
        registry.find_cards(request.path_params["model_id"])
    body = chat_completion.parse_chat_request(await _read_body(request))
    model_id: str = request.path_params.get("model_id") or (body.model or "").partition(":")[0]
    if not model_id:
        models = [name for name in registry.model_ids() if chat_completion.TASK in _tasks(name)]
        raise HTTPError(400, [f"Error in `model`: name one of this server's chat models: {', '.join(models)}"])
    card: ModelCard[list[ChatMessage], ChatAnswer] = registry.select_card(model_id, chat_completion.TASK, body.messages)
    outputs, headers = await _run_model(request, card, card.parse_inputs(body.messages), body.parameters, False)
    metrics: Metrics | None = request.app.state.metrics
    if metrics is not None:
        metrics.on_tokens(card.task, outputs[0]["usage"]["total_tokens"])
    fingerprint = card.sha()[:_FINGERPRINT_CHARS]
    return json_response(chat_completion.chat_completion(outputs[0], model_id, fingerprint), headers=headers)


# Starlette's types let an exception handler take any exception; it calls each for the exceptions it is set for.


async def _handle_http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPError):
        raise error
    return error_response(error)


async def _handle_starlette_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == 404:
        endpoint_url = f"{str(request.base_url).rstrip('/')}/models"
        message = f"Nothing is served at {request.url.path}. The endpoint URL to use is {endpoint_url}"
        return error_response(HTTPError(404, message))
    if error.status_code == 405:
        allowed = (error.headers or {}).get("allow", "another method")
        message = f"{request.method} is not possible at {request.url.path}; use {allowed}"
        return error_response(HTTPError(405, message), error.headers)
    return error_response(HTTPError(error.status_code, error.detail), error.headers)


async def _handle_unexpected_error(request: Request, error: Exception) -> Response:
    """Tell the client only the kind of error; the log has the traceback."""
    return error_response(HTTPError(500, f"Internal error ({type(error).__name__}); the server's log has the details"))
