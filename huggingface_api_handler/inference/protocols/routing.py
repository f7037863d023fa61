"""Where a request goes, and in which protocol."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from urllib.parse import urlsplit

from ...config.policies import with_choice
from ...config.settings import EngineSettings, ModelSettings
from ...errors import HuggingFaceAPIError, InputError
from ...redaction import Secret, preview, secret_in_use
from ...tasks import Task
from ...urls import without_slash
from .addresses import path_of
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
from .key_policy import ROUTER, KeyDecision, RequestKind, hub_key, key_for, provider_key
from .servers import CHAT, HUGGING_FACE, KINDS, Choice, ServerKind, choose, said_kind
from .user_agent import user_agent_headers

logger = logging.getLogger(__name__)

_HF_INFERENCE_BASE = f"{ROUTER}/hf-inference/models"
_MAX_PROVIDERS = 4  # of one query; stored answers are looked for at each of them


class Evidence(Enum):
    """How it is known which kind of server a route leads to."""

    SAID = "said by the engine's protocol"
    ADDRESS = "shown by its address"
    FOUND = "found by asking it"
    ASSUMED = "assumed, since nothing shows another"


def _no_key(_url: str) -> bool:
    return False


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
        kind: The kind of server that it is taken for.
        evidence: How that is known.
        endpoint: The endpoint that was given, as it is told from others; empty where Hugging Face serves the model.
        base: The endpoint as it was written, after which the paths of operations are put.
        info_paths: Where to ask the server what it is, since that decides what it is asked in. Empty where it is known.
        account: Tells whose the requests are: what one key may do, and what was answered to it, says nothing about
            another key. It holds the key, so it stays out of ``repr``.
        secret: The key that is sent, as it is looked for in the answers to it; None where none is.
        key_advice: What to do for a key to go along, where there is one that may not.
        is_public_only: Whether it is asked at public addresses only (see ``endpoint_policy``).
        provider: The inference provider that is asked through a helper of huggingface_hub; empty where none is.
        is_key_allowed_for: Whether the key may go to another address of the same server.
        max_input_tokens: Tokens that one input may have, as the server or the Hub says it; None where that is not
            known. ``discovery`` puts it in.
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
    kind: ServerKind = HUGGING_FACE
    evidence: Evidence = Evidence.ASSUMED
    endpoint: str = ""
    base: str = ""
    info_paths: tuple[str, ...] = ()
    max_input_tokens: int | None = None
    provider: str = ""
    is_key_allowed_for: Callable[[str], bool] = field(default=_no_key, repr=False, compare=False)
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
    _refuse_kind_without_endpoint(engine)
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
    _refuse_kind_without_endpoint(engine)
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
    router_base = ROUTER if CHAT.supports(task) else _HF_INFERENCE_BASE
    if provider_name and not _is_asked_directly(provider_name, router_base):
        return _provider_route(engine, model, provider_name, name)
    if endpoint is not None:
        return _endpoint_route(engine, model, endpoint)
    base = _HF_INFERENCE_BASE if provider_name == HF_INFERENCE.name else router_base
    direct = CHAT if CHAT.supports(task) else HF_INFERENCE
    protocol = direct if policy is None else RouterChat(policy=policy)
    route = _route(engine, model, protocol.url(base, name, task), protocol, serves_many_models=True)
    return replace(route, model=name if policy is None else with_choice(name, policy))


def _refuse_kind_without_endpoint(engine: EngineSettings) -> None:
    if (kind := said_kind(engine)) is not None:
        raise InputError(
            f"the engine's protocol = {kind.name!r} is for an endpoint, and neither the engine nor the "
            "model has one. Give endpoint, or leave protocol out to ask Hugging Face"
        )


def _endpoint_route(engine: EngineSettings, model: ModelSettings, endpoint: str) -> Route:
    task, many = model.definition, serves_many_models(endpoint)
    if (kind := said_kind(engine)) is not None:
        choice, evidence = Choice(kind, True), Evidence.SAID
        _refuse_unfit(kind, task, endpoint)
    else:
        is_hugging_face = many or endpoint.startswith(f"{_HF_INFERENCE_BASE}/")
        choice = Choice(HUGGING_FACE, True) if is_hugging_face else choose(endpoint, task)
        evidence = Evidence.ADDRESS if choice.is_known else Evidence.ASSUMED
    protocols = choice.kind.protocols_for(task)
    urls = [choice.kind.url(protocol, endpoint, model.model, task) for protocol in protocols]
    # The full path of an operation says which of them is meant.
    number = next((at for at, url in enumerate(urls) if path_of(url) == path_of(endpoint)), 0)
    route = _route(engine, model, urls[number], protocols[number], serves_many_models=many)
    return replace(
        route,
        kind=choice.kind,
        evidence=evidence,
        endpoint=without_slash(endpoint),
        base=endpoint,
        info_paths=choice.info_paths,
        is_public_only=is_public_only(model.endpoint, engine),
    )


def _route(
    engine: EngineSettings, model: ModelSettings, url: str, protocol: WireProtocol, *, serves_many_models: bool
) -> Route:
    headers = {**_headers(model), "content-type": JSON_TYPE, **protocol.headers(model.definition)}
    decision = key_for(url, engine)
    headers.update(decision.headers)
    if decision.key is not None and engine.bill_to:
        headers["x-hf-bill-to"] = engine.bill_to
    return Route(
        url,
        model.model,
        headers,
        decision.key is not None,
        serves_many_models,
        protocol,
        decision.account,
        decision.secret,
        decision.advice,
        is_key_allowed_for=lambda other: key_for(other, engine).key is not None,
    )


def _refuse_unfit(kind: ServerKind, task: Task, endpoint: str) -> None:
    """Refuse a kind of server, as the engine says it, that serves no such task or cannot be at such an endpoint."""
    if serves_many_models(endpoint) and kind is not HUGGING_FACE:
        raise InputError(
            f"protocol = {kind.name!r} does not fit the endpoint {preview(endpoint)}: an address that ends in /models "
            "is a server of many models, which is asked in 'huggingface'. Give the address without /models"
        )
    if not kind.protocols_for(task):
        names = ", ".join(repr(each.name) for each in KINDS if each.protocols_for(task))
        raise InputError(
            f"a server of protocol = {kind.name!r} does not serve {task.name}. Those that do: {names}. Change protocol "
            "of the engine to what your server is, or leave it out"
        )


def _is_asked_directly(provider: str, router_base: str) -> bool:
    """Whether a provider is Hugging Face itself: its own, or its router, which chooses one for what it serves."""
    return provider == HF_INFERENCE.name or (provider == "auto" and router_base == ROUTER)


def _headers(model: ModelSettings) -> dict[str, str]:
    headers = dict(user_agent_headers())
    if not model.options.use_cache:
        headers["x-use-cache"] = "false"
    headers["x-wait-for-model"] = str(model.options.wait_for_model).lower()
    return headers


def _provider_route(engine: EngineSettings, model: ModelSettings, name: str, hub_name: str) -> Route:
    # huggingface_hub's helpers take a third of a second to import, and most queries ask none.
    from .hub_providers import provider_for

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
    return Route(url, hub_name, headers, True, True, protocol, account, decision.secret, provider=protocol.name)
