"""Where a request goes, and in which protocol."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

from ...config.settings import EngineSettings, ModelSettings
from ...errors import InputError
from ...redaction import Secret, secret_in_use
from ...tasks import Task
from .base import JSON_TYPE, WireProtocol
from .endpoint_policy import is_public_only
from .hf_inference import HF_INFERENCE, serves_many_models
from .hub_providers import provider_for, user_agent_headers
from .key_policy import ROUTER, KeyDecision, RequestKind, hub_key, key_for, provider_key
from .openai_chat import OpenAIChat

_HF_INFERENCE_BASE = f"{ROUTER}/hf-inference/models"


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
        headers: The headers of every request, to ``url`` and to what is below it. They hold the key, so they stay out
            of ``repr``.
        has_key: Whether the key is sent.
        serves_many_models: Whether other models are served beside this one, so that the address says nothing of it.
        protocol: What the server speaks.
        account: Tells whose the requests are: what one key may do, and what was answered to it, says nothing about
            another key. It holds the key, so it stays out of ``repr``.
        secret: The key that is sent, as it is looked for in the answers to it; None where none is.
        key_advice: What to do for a key to go along, where there is one that may not.
        is_public_only: Whether it is asked at public addresses only (see ``endpoint_policy``).
    """

    url: str
    model: str
    headers: dict[str, str] = field(repr=False)
    has_key: bool
    serves_many_models: bool = False
    protocol: WireProtocol = HF_INFERENCE
    account: str = field(default="", repr=False)
    secret: Secret | None = field(default=None, repr=False, compare=False)
    key_advice: str = ""
    is_public_only: bool = False

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
        InputError: The environment variable named for the key is not set or may not be read, the key does not belong
            to the provider, the provider does not serve the model, or the model's endpoint is at a private address.
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
    decision = key_for(url, engine)
    has_key = decision.key is not None
    headers.update(decision.headers)
    if has_key and engine.bill_to:
        headers["x-hf-bill-to"] = engine.bill_to
    many = endpoint is None or serves_many_models(endpoint)
    # The account is the header's value, as it always was: stored answers are found by it.
    account = "".join(decision.headers.values())
    return Route(
        url,
        model.model,
        headers,
        has_key,
        many,
        server.protocol,
        account,
        decision.secret,
        decision.advice,
        is_public_only(model.endpoint, engine),
    )


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
    key = provider_key(engine, name)
    headers = _headers(model)
    if engine.bill_to:
        headers["x-hf-bill-to"] = engine.bill_to
    task = model.definition
    with secret_in_use(KeyDecision(key).secret):
        protocol = provider_for(model.model, task, name, key, headers, hub_key(engine))
    url = protocol.url(ROUTER, model.model, task)
    decision = key_for(url, engine, RequestKind.PROVIDER, name)
    if decision.key is None:
        raise InputError(decision.advice)
    # The account is the key alone, as it always was: stored answers are found by it.
    account = decision.key.get_secret_value()
    headers = dict(protocol.headers(task))
    return Route(url, model.model, headers, True, True, protocol, account, decision.secret)
