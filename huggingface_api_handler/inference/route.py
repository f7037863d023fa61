"""Where a request goes, and whether the key goes with it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from .. import __version__
from ..keys import find_key, is_private_path
from ..settings import EngineSettings, ModelSettings

ROUTER = "https://router.huggingface.co"
_HUGGING_FACE_HOST = re.compile(r"(.+\.)?(huggingface\.co|huggingface\.cloud|hf\.co)")

# Models of these tasks often serve another one by default, so the task is part of the path:
# https://huggingface.co/docs/inference-providers/providers/hf-inference
_NAMED_IN_PATH = ("feature-extraction", "sentence-similarity")


@dataclass(frozen=True)
class Route:
    """A URL with its headers. The headers hold the key, so they stay out of ``repr``."""

    url: str
    model: str
    headers: dict[str, str] = field(repr=False)
    has_key: bool

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc


def route(engine: EngineSettings, model: ModelSettings) -> Route:
    """Decide where the requests of ``model`` go. Sends nothing. Raises InputError where a named key is not set."""
    endpoint = model.endpoint or engine.endpoint
    url = _endpoint_url(endpoint, model) if endpoint else _router_url(model)
    headers: dict[str, str] = {**_user_agent(), "content-type": "application/json"}
    if not model.options.use_cache:
        headers["x-use-cache"] = "false"
    if model.options.wait_for_model:
        headers["x-wait-for-model"] = "true"
    key = find_key(engine) if may_have_key(url, engine, model.endpoint) else None
    if key is not None:
        headers["authorization"] = f"Bearer {key.get_secret_value()}"
        if engine.bill_to:
            headers["x-hf-bill-to"] = engine.bill_to
    return Route(url, model.model, headers, key is not None)


def may_have_key(url: str, engine: EngineSettings, model_endpoint: str | None = None) -> bool:
    """Whether the key belongs to the place ``url``.

    A key given with an engine that has an endpoint belongs to that endpoint and nowhere else. Any other key is
    Hugging Face's, and goes to its hosts and to ``trusted_hosts``. Neither travels where it could be read on the way.
    """
    if not is_private_path(url):
        return False
    if engine.endpoint is not None and engine.has_own_key:
        return model_endpoint is None or _origin(model_endpoint) == _origin(engine.endpoint)
    host = (urlsplit(url).hostname or "").lower()
    return _HUGGING_FACE_HOST.fullmatch(host) is not None or host in {name.lower() for name in engine.trusted_hosts}


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _router_url(model: ModelSettings) -> str:
    if model.definition.protocol == "chat":
        return f"{ROUTER}/v1/chat/completions"
    return _in_catalogue(f"{ROUTER}/hf-inference/models", model)


def _endpoint_url(endpoint: str, model: ModelSettings) -> str:
    """``endpoint`` as given; a path that ends in ``/models`` holds many, so the model's name follows it."""
    if urlsplit(endpoint).path.endswith("/models"):
        return _in_catalogue(endpoint, model)
    if model.definition.protocol == "chat":
        return _chat_url(endpoint)
    return endpoint


def _in_catalogue(base: str, model: ModelSettings) -> str:
    url = f"{base}/{quote(model.model, safe='/@:.-_')}"
    if model.definition.protocol == "chat":
        return _chat_url(url)
    return f"{url}/pipeline/{model.task}" if model.task in _NAMED_IN_PATH else url


def _chat_url(base: str) -> str:
    if base.endswith("/chat/completions"):
        return base
    return f"{base}/chat/completions" if base.endswith("/v1") else f"{base}/v1/chat/completions"


@lru_cache(maxsize=1)
def _user_agent() -> dict[str, Any]:
    # token=False: without it, huggingface_hub would add this machine's token to headers for any host.
    return dict(build_hf_headers(token=False, library_name="huggingface_api_handler", library_version=__version__))
