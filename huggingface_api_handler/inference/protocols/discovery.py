"""What CREATE finds out about a model's route, stored with the model as JSON, so that no query has to ask again."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TypedDict

from ...config.settings import EngineSettings, ModelSettings
from ...errors import InferenceError
from ...tasks import Task
from ..public_addresses import PrivateAddress
from ..transport.client import HttpClient
from . import hub_models, hub_providers, tei
from .endpoint_policy import refusal
from .hf_inference import HFInference
from .hub_models import Listing
from .hub_providers import HubProvider
from .routing import Route, listing_at_create, resolve_route
from .tei import Tei

logger = logging.getLogger(__name__)

_SERVER_ERROR = 500
_INFO_TIMEOUT_S = 5.0  # the first query waits for this, and a server that is up answers at once


class TeiServer(TypedDict):
    """A Text Embeddings Inference server as it is stored.

    Attributes:
        url: The address it was found at.
        largest_batch: The maximum number of inputs in one request.
    """

    url: str
    largest_batch: int


class Discovery(TypedDict, total=False):
    """What is stored with a model. Empty if there was nothing to find out.

    Attributes:
        provider: The Hub's mapping of the model to its name at a provider, as ``HubProvider.mapping`` gives
            it.
        tei: The server at the endpoint, if it is Text Embeddings Inference.
        hub: Who serves the model, where neither endpoint nor provider is named.
    """

    provider: dict[str, str | None]
    tei: TeiServer
    hub: Listing


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
        InputError: Nobody or not the provider serves the model, or its endpoint may not be asked (see
            ``resolve_route``).
    """
    if (listing := listing_at_create(engine, model)) is not None:
        return {"hub": listing}
    try:
        route = resolve_route(engine, model)
    except InferenceError as error:
        logger.warning("%s", error)
        return {}
    if isinstance(route.protocol, HubProvider):
        return {"provider": route.protocol.mapping()}
    if route.is_public_only:
        http.submit(_refuse_private(route.url, http)).result()
    protocol = http.submit(DetectedServers().detect(http, route, model.definition)).result().protocol
    return {"tei": {"url": route.url, "largest_batch": protocol.max_batch_size}} if isinstance(protocol, Tei) else {}


async def _refuse_private(url: str, http: HttpClient) -> None:
    """Raise InputError where the name of a model's endpoint leads to a private address: each query would say so."""
    try:
        await asyncio.wait_for(http.look_up_public(url), _INFO_TIMEOUT_S)
    except PrivateAddress as error:
        raise refusal(error.host, error.reason) from None
    except (OSError, UnicodeError, asyncio.TimeoutError):  # the query looks it up again
        pass


class DetectedServers:
    """What answers at the endpoints that a session has met."""

    def __init__(self) -> None:
        """Start without any."""
        self._protocols: dict[str, Tei] = {}  # by the endpoint's URL
        # URL and account: what a server says to one key alone, such as that it is wrong, says nothing about another.
        self._unrecognised: set[tuple[str, str]] = set()

    def restore(self, discovery: Discovery) -> None:
        """Use here what ``discover`` found in another process.

        Args:
            discovery: What ``discover`` returned.
        """
        if "provider" in discovery:
            hub_providers.register_mapping(discovery["provider"])
        if "hub" in discovery:
            hub_models.restore(discovery["hub"])
        if "tei" in discovery:
            self._protocols.setdefault(discovery["tei"]["url"], Tei(discovery["tei"]["largest_batch"]))

    async def detect(self, http: HttpClient, route: Route, task: Task) -> Route:
        """Find out what the server of an endpoint speaks. Asks it once, if it may be one that can be recognised.

        Args:
            http: Sends the request, on its own event loop.
            route: The route of a query, as ``routing.resolve_route`` gives it.
            task: The task to ask for.

        Returns:
            The route to that server in its own protocol; ``route`` as it is where the server was not recognised,
            cannot be reached, or is not asked because nothing else could serve the task there.
        """
        asked = (route.url, route.account)
        if _may_be_recognised(route, task) and route.url not in self._protocols and asked not in self._unrecognised:
            try:
                response = await http.get(
                    f"{route.url}{tei.INFO_PATH}", route.headers, _INFO_TIMEOUT_S, public_only=route.is_public_only
                )
            except Exception:  # the query itself will say what is wrong with this host
                return route
            if response.status >= _SERVER_ERROR:  # it may be starting, and is asked again
                return route
            protocol = tei.from_info(response)
            if protocol is None:
                self._unrecognised.add(asked)
            else:
                self._protocols[route.url] = protocol
        return self.route_to(route, task)

    def route_to(self, route: Route, task: Task) -> Route:
        """Use what ``detect`` found at an endpoint before. Sends no request.

        Args:
            route: The route of a query, as ``routing.resolve_route`` gives it.
            task: The task to ask for.

        Returns:
            As of ``detect``; ``route`` as it is where the endpoint was not asked.
        """
        protocol = self._protocols.get(route.url)
        if protocol is None or not _may_be_recognised(route, task):
            return route
        return replace(route, url=protocol.url(route.url, route.model, task), protocol=protocol)


def _may_be_recognised(route: Route, task: Task) -> bool:
    """Whether the endpoint is one model's, and was taken to speak hf-inference only for want of anything better."""
    return not route.serves_many_models and isinstance(route.protocol, HFInference) and tei.serves(task)
