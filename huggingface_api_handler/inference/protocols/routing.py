"""Where a request goes, and in which protocol."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from urllib.parse import urlsplit

from ...config.policies import with_choice
from ...config.settings import EngineSettings, ModelSettings
from ...errors import HuggingFaceAPIError, InputError
from ...redaction import Secret, secret_in_use
from ...tasks import Task
from .base import JSON_TYPE, WireProtocol
from .endpoint_policy import is_public_only
from .hf_inference import HF_INFERENCE, serves_many_models
from .hub_choice import RouterChat, choice_of, in_order
from .hub_models import (
    Listing,
    failing_last,
    is_served,
    known_listing,
    listing_of,
    not_served,
    providers_of,
    refuse_default_of_others,
    warning_of,
)
from .hub_providers import provider_for, user_agent_headers
from .key_policy import ROUTER, KeyDecision, RequestKind, hub_key, key_for, provider_key
from .openai_chat import OpenAIChat

logger = logging.getLogger(__name__)

_HF_INFERENCE_BASE = f"{ROUTER}/hf-inference/models"
_MAX_PROVIDERS = 4  # of one query; stored answers are looked for at each of them


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
        fallbacks: The routes to other providers of the model, for when this one fails for everybody; None where no
            other may be asked: the person named a server or a provider, or the router chooses one.
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
    fallbacks: tuple[Route, ...] | None = field(default=None, repr=False, compare=False)

    @property
    def host(self) -> str:
        """The host, and port if there is one, as an error may show it."""
        return urlsplit(self.url).netloc


def resolve_route(engine: EngineSettings, model: ModelSettings, *, may_ask: bool = True) -> Route:
    """Decide where the requests of a model go, and whether the key goes with them.

    Sends no request, except that it asks the Hub once a process: who serves the model, where neither endpoint nor
    provider is named, or else for the model's name at the provider.

    Args:
        engine: The settings of the engine.
        model: The settings of the model. Its endpoint and provider come before the engine's.
        may_ask: Whether the Hub may be asked who serves the model. Where it may not, and was not yet, the task's usual
            route is taken.

    Returns:
        The route.

    Raises:
        InputError: The environment variable named for the key is not set or may not be read, the key does not belong
            to the provider, nobody or not that provider serves the model, or the model's endpoint is at a private
            address.
        InferenceError: The Hub cannot be asked for the model's name at the provider.
    """
    if model.endpoint or engine.endpoint:
        provider = model.provider or (engine.provider if model.endpoint is None else None)
        return _route_to(engine, model, provider, model.model)
    choice = choice_of(engine, model)
    name = choice.model
    if not choice.is_for_hub:
        return _route_to(engine, model, choice.provider, name, choice.policy)
    listing = listing_of(name, engine) if may_ask else known_listing(name, engine)
    if listing is None or "problem" in listing:
        return replace(_route_to(engine, model, None, name), fallbacks=())
    providers = failing_last(name, in_order(providers_of(listing, model.definition), choice))
    if not providers:
        raise not_served(listing, model.definition, engine)
    first, *others = providers[:_MAX_PROVIDERS]
    fallbacks = tuple(_routes_to(engine, model, others, name))
    return replace(_route_to(engine, model, first, name), fallbacks=fallbacks)


def listing_at_create(engine: EngineSettings, model: ModelSettings) -> Listing | None:
    """Ask the Hub who serves a new model, where that is for the Hub or its router to say.

    Args:
        engine: The settings of the engine.
        model: The settings of the model.

    Returns:
        What the Hub says; None where an endpoint or a provider is named.

    Raises:
        InputError: Nobody serves the model, or it has no route for another reason (see ``resolve_route``).
    """
    if model.endpoint or engine.endpoint:
        return None
    choice = choice_of(engine, model)
    if not choice.is_for_hub and choice.provider is not None:
        return None
    refuse_default_of_others(model)
    listing = listing_of(choice.model, engine)
    if warning := warning_of(listing):
        logger.warning("%s", warning)
    elif not is_served(listing, model.definition):
        raise not_served(listing, model.definition, engine)
    resolve_route(engine, model)
    return listing


def _routes_to(engine: EngineSettings, model: ModelSettings, providers: Sequence[str], name: str) -> Iterator[Route]:
    """The routes to those of several providers that can be asked with the engine's key."""
    for provider in providers:
        with suppress(HuggingFaceAPIError):
            yield _route_to(engine, model, provider, name)


def _route_to(
    engine: EngineSettings, model: ModelSettings, provider_name: str | None, name: str, policy: str | None = None
) -> Route:
    """The route to an endpoint, to the router, or to one provider, where the model has ``name``."""
    task = model.definition
    endpoint = model.endpoint or engine.endpoint
    server = _server(task, endpoint)
    if provider_name and not _is_asked_directly(provider_name, server):
        return _provider_route(engine, model, provider_name, name)
    base = endpoint or (_HF_INFERENCE_BASE if provider_name == HF_INFERENCE.name else server.router_base) or ROUTER
    protocol = server.protocol if policy is None else RouterChat(policy)
    url = protocol.url(base, name, task)
    headers = {**_headers(model), "content-type": JSON_TYPE, **protocol.headers(task)}
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
        name if policy is None else with_choice(name, policy),
        headers,
        has_key,
        many,
        protocol,
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


def _provider_route(engine: EngineSettings, model: ModelSettings, name: str, hub_name: str) -> Route:
    key = provider_key(engine, name)
    headers = _headers(model)
    if engine.bill_to:
        headers["x-hf-bill-to"] = engine.bill_to
    task = model.definition
    with secret_in_use(KeyDecision(key).secret):
        protocol = provider_for(hub_name, task, name, key, headers, hub_key(engine))
    url = protocol.url(ROUTER, hub_name, task)
    decision = key_for(url, engine, RequestKind.PROVIDER, name)
    if decision.key is None:
        raise InputError(decision.advice)
    # The account is the key alone, as it always was: stored answers are found by it.
    account = decision.key.get_secret_value()
    headers = dict(protocol.headers(task))
    return Route(url, hub_name, headers, True, True, protocol, account, decision.secret)
