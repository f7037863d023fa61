"""What CREATE finds out about a model's route, stored with the model as JSON, so that no query has to ask again."""

from __future__ import annotations

import logging
from typing import TypedDict

from ...config.settings import EngineSettings, ModelSettings
from ...errors import InferenceError
from ..transport.client import default_client
from . import hub_providers, tei
from .routing import resolve_route

logger = logging.getLogger(__name__)


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
        provider: The Hub's mapping of the model to its name at a provider, as ``hub_providers.provider_mapping``
            gives it.
        tei: The server at the endpoint, if it is Text Embeddings Inference.
    """

    provider: dict[str, str | None]
    tei: TeiServer


def discover(engine: EngineSettings, model: ModelSettings) -> Discovery:
    """Ask the Hub for the model's name at its provider, or the endpoint which server it is.

    Takes a few seconds at most. A host that cannot be reached is only a warning: the query asks it again.

    Args:
        engine: The settings of the engine.
        model: The settings of the model.

    Returns:
        What to store with the model, and to give to ``restore`` before a query.

    Raises:
        InputError: The provider does not serve the model.
    """
    try:
        route = resolve_route(engine, model)
    except InferenceError as error:
        logger.warning("%s", error)
        return {}
    if route.provider is not None:
        return {"provider": hub_providers.provider_mapping(route.provider)}
    http = default_client()
    server = http.submit(tei.detect(http, route, model.task)).result()
    return {"tei": {"url": route.url, "largest_batch": server.max_batch_size}} if server is not None else {}


def restore(discovery: Discovery) -> None:
    """Use in this process what ``discover`` found in another.

    Args:
        discovery: What ``discover`` returned.
    """
    if "provider" in discovery:
        hub_providers.register_mapping(discovery["provider"])
    if "tei" in discovery:
        tei.register_server(discovery["tei"]["url"], discovery["tei"]["largest_batch"])
