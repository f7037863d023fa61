"""What is found out about a model's route at CREATE, so that no query needs to ask: kept with the model, as JSON."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from ...config.settings import EngineSettings, ModelSettings
from ...errors import InferenceError
from ..transport import client
from . import hub_providers, tei
from .routing import resolve_route

logger = logging.getLogger(__name__)


def discover(engine: EngineSettings, model: ModelSettings) -> dict[str, Any]:
    """Ask the Hub for the provider's name of the model, or the endpoint which server it is. A few seconds at most.

    Raises InputError where the provider does not serve the model; who cannot be reached is asked again by a query.
    """
    try:
        route = resolve_route(engine, model)
    except InferenceError as error:
        logger.warning("%s", error)
        return {}
    if route.provider is not None:
        return {"provider": hub_providers.mapping_of(route.provider)}
    server = client.submit(tei.detect(route, model.task)).result()
    return {"tei": {"url": route.url, "largest_batch": server.largest_batch}} if server is not None else {}


def restore(found: Mapping[str, Any]) -> None:
    """Use in this process what ``find`` found."""
    if "provider" in found:
        hub_providers.remember(found["provider"])
    if "tei" in found:
        tei.remember(found["tei"]["url"], found["tei"]["largest_batch"])
