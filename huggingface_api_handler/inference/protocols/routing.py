"""Where a request goes, and whether the key goes with it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import quote, urlsplit

from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from ..._version import __version__
from ...config.credentials import resolve_api_key
from ...config.settings import EngineSettings, ModelSettings
from ...errors import InputError
from ...tasks.base import Body
from ...urls import is_secure_url
from .hub_providers import Provider, provider_for

ROUTER = "https://router.huggingface.co"
"""Where requests go that name no endpoint."""

_HUGGING_FACE_HOST = re.compile(r"([a-z0-9.-]+\.)?(huggingface\.co|huggingface\.cloud|hf\.co)")

# Models of these tasks often serve another one by default, so the task is part of the path:
# https://huggingface.co/docs/inference-providers/providers/hf-inference
_TASKS_NAMED_IN_PATH = ("feature-extraction", "sentence-similarity")


@dataclass(frozen=True)
class Route:
    """Where the requests of one query go.

    Attributes:
        url: The address of every request.
        model: The model's name.
        headers: The headers of every request. They hold the key, so they stay out of ``repr``.
        has_key: Whether the key is sent.
        serves_many_models: Whether other models are served beside this one, so that the address says nothing of it.
        provider: The inference provider, or None if the server is asked directly.
        body: Makes the body of a request if the server wants another form than the task's own.
    """

    url: str
    model: str
    headers: dict[str, str] = field(repr=False)
    has_key: bool
    serves_many_models: bool = False
    provider: Provider | None = None
    body: Body | None = None

    @property
    def host(self) -> str:
        """The host, and port if there is one, as an error may show it."""
        return urlsplit(self.url).netloc

    @property
    def accepts_batches(self) -> bool:
        """Whether several inputs may go in one request: the providers' helpers build requests of one input."""
        return self.provider is None


def resolve_route(engine: EngineSettings, model: ModelSettings) -> Route:
    """Decide where the requests of a model go, and whether the key goes with them.

    Sends no request, except that it asks the Hub once a process for the model's name at a provider.

    Args:
        engine: The settings of the engine.
        model: The settings of the model. Its endpoint and provider come before the engine's.

    Returns:
        The route.

    Raises:
        InputError: The environment variable named for the key is not set, the key does not belong to the provider,
            or the provider does not serve the model.
        InferenceError: The Hub cannot be asked for the model's name at the provider.
    """
    endpoint = model.endpoint or engine.endpoint
    provider_name = model.provider or (engine.provider if model.endpoint is None else None)
    headers = _headers(engine, model)
    uses_router = provider_name == "hf-inference" or (provider_name == "auto" and model.definition.protocol == "chat")
    if provider_name and not uses_router:
        return _provider_route(engine, model, provider_name, headers)
    url = _endpoint_url(endpoint, model) if endpoint else _router_url(model, provider_name)
    headers = {**headers, "content-type": "application/json"}
    key = resolve_api_key(engine) if is_key_allowed_for(url, engine, model.endpoint) else None
    if key is not None:
        headers["authorization"] = f"Bearer {key.get_secret_value()}"
        if engine.bill_to:
            headers["x-hf-bill-to"] = engine.bill_to
    serves_many_models = endpoint is None or urlsplit(endpoint).path.endswith("/models")
    return Route(url, model.model, headers, key is not None, serves_many_models)


def _headers(engine: EngineSettings, model: ModelSettings) -> dict[str, str]:
    headers: dict[str, str] = dict(_user_agent())
    if not model.options.use_cache:
        headers["x-use-cache"] = "false"
    if model.options.wait_for_model:
        headers["x-wait-for-model"] = "true"
    return headers


def _provider_route(engine: EngineSettings, model: ModelSettings, name: str, headers: dict[str, str]) -> Route:
    if engine.endpoint is not None and engine.has_own_key:
        raise InputError(
            f"the engine's key belongs to its endpoint, and would go to provider {name!r}. Create another engine for "
            "the provider, with a key of Hugging Face's or of the provider's own"
        )
    key = resolve_api_key(engine)
    if key is not None and not key.get_secret_value().startswith("hf_") and engine.provider != name:
        raise InputError(
            f"the engine's key is not Hugging Face's, so it belongs to one provider: name {name!r} in CREATE ML_ENGINE "
            "beside it, and not in CREATE MODEL"
        )
    if engine.bill_to:
        headers = {**headers, "x-hf-bill-to": engine.bill_to}
    provider = provider_for(model, name, key, headers)
    secret = provider.key.get_secret_value()
    url = provider.helper._prepare_url(secret, provider.helper._prepare_mapping_info(model.model).provider_id)
    return Route(url, model.model, {"authorization": secret}, has_key=True, serves_many_models=True, provider=provider)


def is_key_allowed_for(url: str, engine: EngineSettings, model_endpoint: str | None = None) -> bool:
    """Whether the engine's key may be sent to ``url``.

    A key given with an engine that has an endpoint belongs to that endpoint and nowhere else. Any other key is
    Hugging Face's, and goes to its hosts and to ``trusted_hosts``. No key is sent unencrypted over a network.

    Args:
        url: The address of a request.
        engine: The settings of the engine.
        model_endpoint: The endpoint of the model's own, if it has one.

    Returns:
        True if the key may go there.

    >>> engine = EngineSettings.model_validate({"api_key": "hf_example"})
    >>> is_key_allowed_for("https://router.huggingface.co/v1/chat/completions", engine)
    True
    >>> is_key_allowed_for("https://elsewhere.example", engine)
    False
    """
    if not is_secure_url(url):
        return False
    if engine.endpoint is not None and engine.has_own_key:
        return model_endpoint is None or _origin(model_endpoint) == _origin(engine.endpoint)
    host = (urlsplit(url).hostname or "").lower()
    return _HUGGING_FACE_HOST.fullmatch(host) is not None or host in {name.lower() for name in engine.trusted_hosts}


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _router_url(model: ModelSettings, provider: str | None) -> str:
    if model.definition.protocol == "chat" and provider != "hf-inference":
        return f"{ROUTER}/v1/chat/completions"
    return _model_url(f"{ROUTER}/hf-inference/models", model)


def _endpoint_url(endpoint: str, model: ModelSettings) -> str:
    """``endpoint`` as given. A path that ends in ``/models`` serves many models, so the model's name follows it."""
    if urlsplit(endpoint).path.endswith("/models"):
        return _model_url(endpoint, model)
    if model.definition.protocol == "chat":
        return _chat_url(endpoint)
    return endpoint


def _model_url(base: str, model: ModelSettings) -> str:
    url = f"{base}/{quote(model.model, safe='/@:.-_')}"
    if model.definition.protocol == "chat":
        return _chat_url(url)
    return f"{url}/pipeline/{model.task}" if model.task in _TASKS_NAMED_IN_PATH else url


def _chat_url(base: str) -> str:
    if base.endswith("/chat/completions"):
        return base
    return f"{base}/chat/completions" if base.endswith("/v1") else f"{base}/v1/chat/completions"


@lru_cache(maxsize=1)
def _user_agent() -> dict[str, str]:
    # token=False: without it, huggingface_hub would add this machine's token to headers for any host.
    return dict(build_hf_headers(token=False, library_name="huggingface_api_handler", library_version=__version__))
