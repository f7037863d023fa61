"""The HTTP side: routes, and errors as responses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from . import audio_api, openai_api, task_api
from .auth import BearerTokenMiddleware
from .model_pool import ModelPool
from .protocol.errors import HTTPError
from .responses import error_response

if TYPE_CHECKING:
    from .metrics import Metrics

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]

PATH_PREFIXES = ("", "/hf-inference")


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


_OPENAI_ROUTES: tuple[tuple[str, Endpoint], ...] = (
    ("chat/completions", openai_api.chat),
    ("completions", openai_api.complete),
    ("embeddings", openai_api.embed),
    ("rerank", openai_api.rerank),
    ("audio/transcriptions", audio_api.transcribe),
    ("audio/speech", audio_api.speak),
)
"""Paths in OpenAI's form, below `/v1`. The body names the model, unless the path before `/v1` is a model's URL."""

_TOP_ROUTES: tuple[tuple[str, Endpoint], ...] = (
    *((f"/v1/{path}", endpoint) for path, endpoint in _OPENAI_ROUTES),
    ("/rerank", openai_api.rerank),
    ("/v2/rerank", openai_api.rerank),
)

_MODEL_ROUTES: tuple[tuple[str, Endpoint], ...] = (
    # The longer paths first: an id takes slashes too.
    *((f"/v1/{path}", endpoint) for path, endpoint in _OPENAI_ROUTES),
    ("/pipeline/{task}", task_api.predict),
    ("", task_api.predict),
)
"""Paths below a model's URL."""

_INFORMATION_ROUTES: tuple[tuple[str, Endpoint], ...] = (
    ("/health", task_api.health),
    ("/metrics", task_api.show_metrics),
    ("/info", task_api.info),
    ("/v1/models", openai_api.list_models),
    ("/v1/models/{model_id:path}", openai_api.get_model),
)


def _routes(metrics: Metrics | None) -> list[Route]:
    def measured(endpoint: Endpoint) -> Endpoint:
        """Count an endpoint's requests, where metrics are installed."""
        return endpoint if metrics is None else metrics.measured(endpoint)

    routes = [Route(path, endpoint, methods=["GET"]) for path, endpoint in _INFORMATION_ROUTES]
    routes += [Route(path, measured(endpoint), methods=["POST"]) for path, endpoint in _TOP_ROUTES]
    for prefix in PATH_PREFIXES:
        model = f"{prefix}/models/{{model_id:path}}"
        routes.append(Route(f"{prefix}/models", task_api.list_models, methods=["GET"]))
        routes += [Route(model + path, measured(endpoint), methods=["POST"]) for path, endpoint in _MODEL_ROUTES]
        routes.append(Route(f"{model}/info", task_api.model_info, methods=["GET"]))
        routes.append(Route(model, task_api.get_model, methods=["GET"]))
    return routes


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
