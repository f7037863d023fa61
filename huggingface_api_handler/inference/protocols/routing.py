"""Where a request goes, and whether the key goes with it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

from pydantic import SecretStr

from ...config.credentials import resolve_api_key
from ...config.settings import EngineSettings, ModelSettings
from ...errors import InputError
from ...redaction import Secret, secret_in_use
from ...tasks import Task
from ...urls import is_secure_url
from .base import JSON_TYPE, WireProtocol
from .hf_inference import HF_INFERENCE, serves_many_models
from .hub_providers import provider_for, user_agent_headers
from .openai_chat import OpenAIChat

ROUTER = "https://router.huggingface.co"
"""Where requests go that name no endpoint."""

_HF_INFERENCE_BASE = f"{ROUTER}/hf-inference/models"
_HUGGING_FACE_HOST = re.compile(r"([a-z0-9.-]+\.)?(huggingface\.co|huggingface\.cloud|hf\.co)")


class Server(NamedTuple):
    """A kind of server that is asked directly.

    Attributes:
        protocol: What it speaks.
        path_ending: How the path of its endpoint ends. Any path ends with the empty text.
        router_base: Where Hugging Face's router speaks this protocol, None where it does not.
    """

    protocol: WireProtocol
    path_ending: str = ""
    router_base: str | None = None


SERVERS = (
    Server(OpenAIChat(), router_base=ROUTER),
    Server(HF_INFERENCE, router_base=_HF_INFERENCE_BASE),
)
"""All of them. The first that supports the task, and fits the endpoint, is taken."""


@dataclass(frozen=True)
class Route:
    """Where the requests of one query go.

    Attributes:
        url: The address of every request.
        model: The model's name.
        headers: The headers of every request. They hold the key, so they stay out of ``repr``.
        has_key: Whether the key is sent.
        serves_many_models: Whether other models are served beside this one, so that the address says nothing of it.
        protocol: What the server speaks.
        account: Tells whose the requests are: what one key may do, and what was answered to it, says nothing about
            another key. It holds the key, so it stays out of ``repr``.
        secret: The key that is sent, as it is looked for in the answers to it; None where none is.
    """

    url: str
    model: str
    headers: dict[str, str] = field(repr=False)
    has_key: bool
    serves_many_models: bool = False
    protocol: WireProtocol = HF_INFERENCE
    account: str = field(default="", repr=False)
    secret: Secret | None = field(default=None, repr=False, compare=False)

    @property
    def host(self) -> str:
        """The host, and port if there is one, as an error may show it."""
        return urlsplit(self.url).netloc


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
    task = model.definition
    endpoint = model.endpoint or engine.endpoint
    provider_name = model.provider or (engine.provider if model.endpoint is None else None)
    server = _server(task, endpoint)
    if provider_name and not _is_asked_directly(provider_name, server):
        return _provider_route(engine, model, provider_name)
    base = endpoint or (_HF_INFERENCE_BASE if provider_name == HF_INFERENCE.name else server.router_base) or ROUTER
    url = server.protocol.url(base, model.model, task)
    headers = {**_headers(model), "content-type": JSON_TYPE, **server.protocol.headers(task)}
    key = resolve_api_key(engine) if is_key_allowed_for(url, engine, model.endpoint) else None
    if key is not None:
        headers["authorization"] = f"Bearer {key.get_secret_value()}"
        if engine.bill_to:
            headers["x-hf-bill-to"] = engine.bill_to
    many = endpoint is None or serves_many_models(endpoint)
    account = headers.get("authorization", "")
    secret = Secret.of(key.get_secret_value() if key is not None else None)
    return Route(url, model.model, headers, key is not None, many, server.protocol, account, secret)


def _server(task: Task, endpoint: str | None) -> Server:
    path = urlsplit(endpoint).path if endpoint else None
    return next(
        server
        for server in SERVERS
        if server.protocol.supports(task)
        and (server.router_base is not None if path is None else path.endswith(server.path_ending))
    )


def _is_asked_directly(provider: str, server: Server) -> bool:
    """Whether a provider is Hugging Face itself: its own, or its router, which chooses one for what it serves."""
    return provider == HF_INFERENCE.name or (provider == "auto" and server.router_base == ROUTER)


def _headers(model: ModelSettings) -> dict[str, str]:
    headers = dict(user_agent_headers())
    if not model.options.use_cache:
        headers["x-use-cache"] = "false"
    if model.options.wait_for_model:
        headers["x-wait-for-model"] = "true"
    return headers


def _provider_route(engine: EngineSettings, model: ModelSettings, name: str) -> Route:
    key = _provider_key(engine, name)
    headers = _headers(model)
    if engine.bill_to:
        headers["x-hf-bill-to"] = engine.bill_to
    task = model.definition
    with secret_in_use(Secret.of(key.get_secret_value() if key is not None else None)):
        protocol = provider_for(model.model, task, name, key, headers)
    # The account is the key alone, as it always was: stored answers are found by it.
    account = protocol.key.get_secret_value()
    url = protocol.url(ROUTER, model.model, task)
    return Route(url, model.model, dict(protocol.headers(task)), True, True, protocol, account, Secret.of(account))


def _provider_key(engine: EngineSettings, name: str) -> SecretStr | None:
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
    return key


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
