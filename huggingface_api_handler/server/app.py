"""The HTTP side: routes, bodies, headers, errors.

Protocol: https://huggingface.co/docs/inference-providers/providers/hf-inference (task requests) and
https://huggingface.github.io/text-embeddings-inference (`/info`, `/health`, the refusal of long lists).
"""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from . import registry
from .auth import BearerTokenMiddleware
from .model_card import ModelCard
from .model_pool import ModelPool
from .models import chat
from .protocol.errors import HTTPError
from .protocol.media_inputs import parse_request_body
from .protocol.request_body import MAX_BATCH_SIZE, MAX_BODY_BYTES, ModelInputs
from .responses import error_response, json_response, output_response

PREFIXES = ("", "/hf-inference")


def create_app(token: str | None = None) -> Starlette:
    """The server as an ASGI application; with `token`, every path asks for it as bearer token.

    Raises ValueError for an empty token, which would protect nothing.
    """
    if token is not None and not token.strip():
        raise ValueError("The token is empty. Give one with characters in it, or none to serve without.")
    app = Starlette(
        routes=_routes(),
        middleware=[Middleware(BearerTokenMiddleware, token=token)] if token is not None else [],
        exception_handlers={HTTPError: _refused, HTTPException: _http_error, Exception: _unexpected},
        lifespan=_lifespan,
    )
    app.state.pool = ModelPool()
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    yield
    app.state.pool.close()


def _routes() -> list[Route]:
    routes = [
        Route("/health", _health, methods=["GET"]),
        Route("/info", _info, methods=["GET"]),
        Route("/v1/chat/completions", _chat, methods=["POST"]),
    ]
    for prefix in PREFIXES:
        routes += [
            Route(f"{prefix}/models", _models, methods=["GET"]),
            # The longer paths first: an id takes slashes too.
            Route(f"{prefix}/models/{{model_id:path}}/v1/chat/completions", _chat, methods=["POST"]),
            Route(f"{prefix}/models/{{model_id:path}}/pipeline/{{task}}", _predict, methods=["POST"]),
            Route(f"{prefix}/models/{{model_id:path}}", _predict, methods=["POST"]),
            Route(f"{prefix}/models/{{model_id:path}}", _model, methods=["GET"]),
        ]
    return routes


async def _predict(request: Request) -> Response:
    model_id: str = request.path_params["model_id"]
    registry.find_cards(model_id)
    body = parse_request_body(await _body(request), request.headers.get("content-type", ""))
    card = registry.select_card(model_id, request.path_params.get("task"), body.inputs)
    inputs = card.parse_inputs(body.inputs)
    answers, headers = await _ask(request, card, inputs, body.parameters, body.wait)
    return output_response(answers if inputs.is_batch or card.wrap_single else answers[0], headers)


async def _ask(
    request: Request, card: ModelCard, inputs: ModelInputs, parameters: Mapping[str, Any], wait: bool
) -> tuple[list[Any], dict[str, str]]:
    """The model's answers and the headers that tell about them."""
    wait = wait or request.headers.get("x-wait-for-model", "").lower() in ("true", "1")
    model = await request.app.state.pool.get(card, request.path_params.get("model_id", card.name), wait)
    started = time.perf_counter()
    answers = await model.predict(inputs.items, parameters)
    headers = {
        "x-compute-time": f"{time.perf_counter() - started:.3f}",
        "x-compute-type": "cpu",
        "x-compute-characters": str(inputs.num_characters),
        "x-sha": card.sha(),
    }
    return answers, headers


async def _body(request: Request) -> bytes:
    """The body, refused with 413 as soon as it is known to be too large."""
    advice = "Send fewer inputs in a request, or a smaller file."
    too_large = HTTPError(413, f"The body is larger than {MAX_BODY_BYTES} bytes. {advice}")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > MAX_BODY_BYTES:
        raise too_large
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY_BYTES:
            raise too_large
    return bytes(content)


async def _health(request: Request) -> Response:
    return json_response({"status": "ok"})


async def _info(request: Request) -> Response:
    return json_response(
        {
            "server": "huggingface_api_handler local inference server",
            "version": _version(),
            "max_client_batch_size": MAX_BATCH_SIZE,
            "max_body_bytes": MAX_BODY_BYTES,
            "models": [_brief(model_id) for model_id in registry.model_ids()],
        }
    )


def _brief(model_id: str) -> dict[str, Any]:
    return {"id": model_id, "tasks": [card.task for card in registry.find_cards(model_id)]}


def _version() -> str:
    try:
        return importlib.metadata.version("huggingface_api_handler")
    except importlib.metadata.PackageNotFoundError:
        # MindsDB may load the handler from a folder that was never installed.
        return "not installed"


async def _models(request: Request) -> Response:
    return json_response([registry.model_metadata(model_id) for model_id in registry.model_ids()])


async def _model(request: Request) -> Response:
    return json_response(registry.model_metadata(request.path_params["model_id"]))


async def _chat(request: Request) -> Response:
    """The path's model, else the body's without the router's suffix (`:fastest`, `:groq`)."""
    if "model_id" in request.path_params:
        registry.find_cards(request.path_params["model_id"])
    asked = chat.parse_chat_request(await _body(request))
    model_id = request.path_params.get("model_id") or (asked.model or "").partition(":")[0]
    if not model_id:
        models = [name for name in registry.model_ids() if chat.TASK in _brief(name)["tasks"]]
        raise HTTPError(400, [f"Error in `model`: name one of this server's chat models: {', '.join(models)}"])
    card = registry.select_card(model_id, chat.TASK, asked.messages)
    answers, headers = await _ask(request, card, card.parse_inputs(asked.messages), asked.parameters, False)
    return json_response(chat.chat_completion(answers[0], model_id), headers=headers)


def _endpoint(request: Request) -> str:
    return f"{str(request.base_url).rstrip('/')}/models"


async def _refused(request: Request, error: Exception) -> Response:
    # Starlette's types let handlers take any exception; it calls this one for refusals alone.
    return error_response(cast(HTTPError, error))


async def _http_error(request: Request, error: Exception) -> Response:
    error = cast(HTTPException, error)
    if error.status_code == 404:
        message = f"Nothing is served at {request.url.path}. The endpoint URL to use is {_endpoint(request)}"
        return error_response(HTTPError(404, message))
    if error.status_code == 405:
        allowed = (error.headers or {}).get("allow", "another method")
        message = f"{request.method} is not possible at {request.url.path}; use {allowed}"
        return error_response(HTTPError(405, message), error.headers)
    return error_response(HTTPError(error.status_code, error.detail), error.headers)


async def _unexpected(request: Request, error: Exception) -> Response:
    """What nobody foresaw: the log has the traceback, the client only the kind of error."""
    return error_response(HTTPError(500, f"Internal error ({type(error).__name__}); the server's log has the details"))
