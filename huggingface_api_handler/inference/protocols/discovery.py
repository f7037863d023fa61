"""What CREATE finds out about a model's route, stored with the model as JSON, so that no query has to ask again."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from dataclasses import replace
from typing import NamedTuple, TypedDict

from ...config.settings import EngineSettings, ModelSettings
from ...errors import InferenceError, InputError
from ...tasks import Task
from ...tasks.example_input import example_input
from ..failures import Failure
from ..public_addresses import PrivateAddress
from ..transport.client import HttpClient
from . import hub_models
from .addresses import remove_path, shown_url
from .endpoint_policy import refusal
from .hub_models import Listing
from .key_policy import without_key
from .known_lengths import QUESTION_TIMEOUT_S, KnownLengths
from .model_lengths import StoredLength, object_in
from .router_prices import RouterPrices, StoredPrices, find_prices
from .routing import Evidence, Route, listing_at_create, resolve_route
from .servers import KINDS, MODELS, OPENAI, OPENAI_MODELS, TEI, Protocols, ServerKind, info_url
from .tei import Tei

logger = logging.getLogger(__name__)

_WANTS_KEY = (401, 403)
_NOT_THERE = (404, 405, 501)
_SERVER_ERROR = 500

_ABOUT_MODEL = re.compile("model", re.I)


class TeiServer(TypedDict):
    """A Text Embeddings Inference server as it is stored.

    Attributes:
        url: The address it was found at.
        largest_batch: The maximum number of inputs in one request.
    """

    url: str
    largest_batch: int


class FoundServer(TypedDict):
    """A server of another kind as it is stored.

    Attributes:
        url: The endpoint that it was found at.
        kind: Its name in ``servers.KINDS``.
        base: The address after which its operations are.
    """

    url: str
    kind: str
    base: str


class Discovery(TypedDict, total=False):
    """What is stored with a model. Empty if there was nothing to find out.

    Attributes:
        provider: The Hub's mapping of the model to its name at a provider, as ``HubProvider.mapping`` gives
            it.
        tei: The server at the endpoint, if it is Text Embeddings Inference.
        server: The server at the endpoint, if it is of another kind that was recognised.
        hub: Who serves the model, where neither endpoint nor provider is named.
        length: How long one input may be, where the server or the Hub says it.
        prices: What the providers of a model for chat ask, where Hugging Face's router says it.
    """

    provider: dict[str, str | None]
    tei: TeiServer
    hub: Listing
    server: FoundServer
    length: StoredLength
    prices: StoredPrices


class _Server(NamedTuple):
    """What was found at an endpoint.

    Attributes:
        kind: The kind of server.
        protocols: What this one speaks.
        base: The address after which its operations are.
        evidence: How that is known.
    """

    kind: ServerKind
    protocols: Protocols
    base: str
    evidence: Evidence = Evidence.FOUND


def discover(engine: EngineSettings, model: ModelSettings, http: HttpClient) -> Discovery:
    """Ask the Hub for the model's name at its provider, or the endpoint which server it is.

    Takes a few seconds at most. A host that cannot be reached is only a warning: the query asks it again.

    Args:
        engine: The settings of the engine.
        model: The settings of the model.
        http: Sends the request, on its own event loop.

    Returns:
        What to store with the model, and to give to ``DetectedServers.restore`` before a query.

    Raises:
        InputError: Nobody or not the provider serves the model, its endpoint may not be asked (see
            ``resolve_route``), or the server cannot be asked with these parameters.
    """
    began = time.monotonic()
    if (listing := listing_at_create(engine, model)) is not None:
        found: Discovery = {"hub": listing}
        return found if "problem" in listing else _with_hub_facts(found, engine, model, http, began)
    try:
        route = resolve_route(engine, model)
    except InferenceError as error:
        logger.warning("%s", error)
        return {}
    if (mapping := _mapping_at_provider(route)) is not None:
        return _with_hub_facts({"provider": mapping}, engine, model, http, began)
    if not route.endpoint:
        return _with_hub_facts({}, engine, model, http, began)
    if route.is_public_only:
        http.submit(_refuse_private(route.url, http)).result()
    servers = DetectedServers()
    at_server = http.submit(servers.detect(http, route, model.definition)).result()
    _refuse_what_cannot_be_asked(at_server, model)
    return _with_length(_found_at(route, at_server), servers.lengths, engine, model, at_server, http)


def _mapping_at_provider(route: Route) -> dict[str, str | None] | None:
    """What the Hub says of the model at the provider of a route; None where it leads to no provider."""
    if not route.provider:
        return None
    from .hub_providers import HubProvider

    return route.protocol.mapping() if isinstance(route.protocol, HubProvider) else None


def _found_at(route: Route, at_server: Route) -> Discovery:
    """The server at the endpoint of a route, as it is stored."""
    if at_server.evidence is not Evidence.FOUND:
        return {}
    if isinstance(at_server.protocol, Tei):
        return {"tei": {"url": route.endpoint, "largest_batch": at_server.protocol.max_batch_size}}
    return {"server": {"url": route.endpoint, "kind": at_server.kind.name, "base": at_server.base}}


def _with_hub_facts(
    found: Discovery, engine: EngineSettings, model: ModelSettings, http: HttpClient, began: float
) -> Discovery:
    """What was found, with the length that the model's configuration names, and for chat with what it costs."""
    left_s = QUESTION_TIMEOUT_S - (time.monotonic() - began)
    if left_s <= 0:
        return found
    if (prices := find_prices(engine, model, http, left_s)) is not None:
        return {**found, "prices": prices}
    if model.definition.chunking is None:
        return found
    return _with_length(found, KnownLengths(), engine, model, resolve_route(engine, model), http, left_s)


def _with_length(
    found: Discovery,
    lengths: KnownLengths,
    engine: EngineSettings,
    model: ModelSettings,
    route: Route,
    http: HttpClient,
    left_s: float = QUESTION_TIMEOUT_S,
) -> Discovery:
    """What was found, with the length, which is asked for where texts of the task can be cut."""
    if model.definition.chunking is not None:
        http.submit(lengths.find(http, engine, route, model.definition, left_s)).result()
    stored = lengths.to_store(route, model.definition)
    return found if stored is None else {**found, "length": stored}


def _refuse_what_cannot_be_asked(route: Route, model: ModelSettings) -> None:
    """Raise InputError for arguments that the server's protocol has not: each row of each query would say so."""
    if route.evidence is Evidence.ASSUMED:  # it may turn out to be another server
        return
    example = example_input(model.definition, model)
    try:
        if example is not None:
            route.protocol.encode(model.definition, [example], model)
    except ValueError as error:
        raise InputError(f"{error} (the endpoint is {route.kind.name!r}, {route.evidence.value})") from None


async def _refuse_private(url: str, http: HttpClient) -> None:
    """Raise InputError where the name of a model's endpoint leads to a private address: each query would say so."""
    try:
        await asyncio.wait_for(http.look_up_public(url), QUESTION_TIMEOUT_S)
    except PrivateAddress as error:
        raise refusal(error.host, error.reason) from None
    except (OSError, UnicodeError, asyncio.TimeoutError):  # the query looks it up again
        pass


class DetectedServers:
    """What answers at the endpoints that a session has met.

    Attributes:
        lengths: How long inputs may be, as these servers and the Hub say it.
        prices: What models for chat cost, as Hugging Face's router says it.
    """

    def __init__(self) -> None:
        """Start without any."""
        self.lengths = KnownLengths()
        self.prices = RouterPrices()
        self._servers: dict[str, _Server] = {}  # by the endpoint
        # Endpoint and account: what a server says to one key alone, such as that it is wrong, says nothing about
        # another. The value: where it was asked, and what it is taken for since it wants a key there.
        self._asked: dict[tuple[str, str], set[str]] = {}
        self._guarded: dict[tuple[str, str], _Server] = {}
        self._absent: dict[tuple[str, str, str], int] = {}  # endpoint, model, task: protocols that were not there

    def restore(self, discovery: Discovery, engine: EngineSettings) -> None:
        """Use here what ``discover`` found in another process.

        Args:
            discovery: What ``discover`` returned.
            engine: The settings of the engine that it was found for.

        Raises:
            InputError: The environment variable named for the key may not be read, or is not set.
        """
        if "provider" in discovery:
            from .hub_providers import register_mapping

            register_mapping(discovery["provider"])
        if "hub" in discovery:
            hub_models.restore(discovery["hub"], engine)
        if "length" in discovery:
            self.lengths.restore(discovery["length"])
        if "prices" in discovery:
            self.prices.restore(discovery["prices"])
        if "tei" in discovery:
            url, size = discovery["tei"]["url"], discovery["tei"]["largest_batch"]
            self._servers.setdefault(url, _Server(TEI, (Tei(size),), url))
        if "server" in discovery:
            stored = discovery["server"]
            kind = next((kind for kind in KINDS if kind.name == stored["kind"]), None)
            if kind is not None:  # another version of this package may have stored it
                self._servers.setdefault(stored["url"], _Server(kind, kind.protocols, stored["base"]))

    async def detect(self, http: HttpClient, route: Route, task: Task, failure: Failure | None = None) -> Route:
        """Find out what the server of an endpoint speaks. Asks it once, if it may be one that can be recognised.

        Args:
            http: Sends the request, on its own event loop.
            route: The route of a query, as ``routing.resolve_route`` gives it.
            task: The task to ask for.
            failure: Of the first request along the route that this returned before, where it failed.

        Returns:
            The route to that server in its own protocol; ``route`` as it is where the server was not recognised,
            cannot be reached, or is not asked because its protocol is known.
        """
        if failure is not None and _is_absent(failure):
            self._go_on(route, task)
        account = (route.endpoint, route.account)
        if route.info_paths and route.endpoint not in self._servers and account not in self._guarded:
            asked = self._asked.setdefault(account, set())
            for path in route.info_paths:
                if path not in asked and not await self._ask(http, route, path, asked):
                    break
        return self.route_to(route, task)

    async def _ask(self, http: HttpClient, route: Route, path: str, asked: set[str]) -> bool:
        """Ask the server of a route what it is. Returns whether another path is to be asked."""
        url = info_url(route.base, path)
        headers = route.headers if route.is_key_allowed_for(url) else without_key(route.headers)
        try:
            response = await http.get(url, headers, QUESTION_TIMEOUT_S, public_only=route.is_public_only)
        except Exception:  # the query itself will say what is wrong with this host
            return False
        if response.status >= _SERVER_ERROR:  # it may be starting, and is asked again
            return False
        asked.add(path)
        if path == OPENAI_MODELS and response.status in _WANTS_KEY:  # only a server that has it guards it
            account = (route.endpoint, route.account)
            self._guarded[account] = _Server(OPENAI, OPENAI.protocols, route.base, Evidence.ASSUMED)
            return False
        info = object_in(response)
        self.lengths.note(route, path, info)
        for kind in KINDS:
            if path in kind.info_paths and (protocols := kind.read(info)) is not None:
                base = remove_path(url, MODELS) if kind.task_paths else route.base
                self._servers[route.endpoint] = _Server(kind, protocols, base)
                return False
        return True

    def route_to(self, route: Route, task: Task) -> Route:
        """Use what ``detect`` found at an endpoint before. Sends no request.

        Args:
            route: The route of a query, as ``routing.resolve_route`` gives it.
            task: The task to ask for.

        Returns:
            As of ``detect``, with the length that is known; the protocol of ``route`` where the endpoint was not asked.
        """
        length, found = self.lengths.length_of(route, task), self._in_own_protocol(route, task)
        return found if length is None else replace(found, max_input_tokens=length.tokens)

    def _in_own_protocol(self, route: Route, task: Task) -> Route:
        server, absent = self._server_of(route), self._absent.get((route.endpoint, route.model, task.name), 0)
        protocols = _protocols_for(server, task)
        if not protocols or (server.protocols is route.kind.protocols and not absent):
            return route
        protocol = protocols[min(absent, len(protocols) - 1)]
        url = server.kind.url(protocol, server.base, route.model, task)
        changed = replace(
            route, url=url, protocol=protocol, kind=server.kind, base=server.base, evidence=server.evidence
        )
        return changed if not route.has_key or route.is_key_allowed_for(url) else _keyless(changed)

    def _server_of(self, route: Route) -> _Server:
        """What is known of the server of a route, or what it is taken for."""
        found = self._servers.get(route.endpoint) if route.info_paths else None
        if found is None and route.info_paths:
            found = self._guarded.get((route.endpoint, route.account))
        return found or _Server(route.kind, route.kind.protocols, route.base, route.evidence)

    def _go_on(self, route: Route, task: Task) -> None:
        """Ask in the next protocol of the server, since it has not the operation of the last one."""
        key = (route.endpoint, route.model, task.name)
        absent = self._absent.get(key, 0) + 1
        if absent < len(_protocols_for(self._server_of(route), task)):
            self._absent[key] = absent


def _protocols_for(server: _Server, task: Task) -> Protocols:
    return replace(server.kind, protocols=server.protocols).protocols_for(task)


def _is_absent(failure: Failure) -> bool:
    """Whether a server has no such operation, rather than no such model."""
    if failure.status not in _NOT_THERE:
        return False
    return failure.error is None or failure.error.search(_ABOUT_MODEL) is None


def _keyless(route: Route) -> Route:
    advice = f"No key went along: the engine's key is not for {shown_url(route.url)}"
    return replace(route, headers=without_key(route.headers), has_key=False, secret=None, key_advice=advice)
