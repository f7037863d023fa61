"""Who serves a model at Hugging Face, as DESCRIBE shows it: for chat with prices and speed, as its router says them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from urllib.parse import quote

import orjson

from ...config.policies import split_choice
from ...config.settings import EngineSettings, ModelSettings
from ...errors import HuggingFaceAPIError
from ...printable import printable
from ...redaction import redact
from ..transport.client import HttpClient
from .hub_api import QUESTION_TIMEOUT_S
from .hub_choice import choice_of
from .hub_models import Listing, known_listing, listing_of, warning_of
from .key_policy import ROUTER, key_for
from .openai_chat import OpenAIChat
from .routing import Route

_MAX_PROVIDERS_SHOWN = 20
_MAX_FACT_CHARS = 64

_FIELDS = {
    "status": "status",
    "context_length": "context length",
    "supports_structured_output": "structured output",
    "supports_tools": "tools",
    "first_token_latency_ms": "first token (ms)",
    "throughput": "tokens a second",
    "is_free": "free",
}
"""What the router says of a provider, and what DESCRIBE calls it. Each may be missing."""

_PRICES = {"input": "USD per million tokens read", "output": "USD per million tokens written"}


def is_router_chat(route: Route) -> bool:
    """Whether a route is that of chat at Hugging Face's router, which says nothing at its address.

    Args:
        route: The route of a model.

    Returns:
        True for the router's chat completions.
    """
    return isinstance(route.protocol, OpenAIChat) and route.url.startswith(f"{ROUTER}/")


def has_router_key(engine: EngineSettings) -> bool:
    """Whether a key goes along to Hugging Face's router.

    Args:
        engine: The settings of the engine.

    Returns:
        False without a key, and with one that is a provider's own.

    Raises:
        InputError: The environment variable named for the key may not be read, or is not set.
    """
    return key_for(f"{ROUTER}/v1/models", engine).key is not None


def served_by(engine: EngineSettings, model: ModelSettings, http: HttpClient) -> dict[str, object]:
    """Who serves a model for which no endpoint and no provider is named.

    Args:
        engine: The settings of the engine.
        model: The settings of the model.
        http: Sends the request, on its own event loop.

    Returns:
        ``provider NAME`` with what is known of each provider, and ``served as of``, the date and time in UTC. Or in
        ``warning`` why that is not known. Empty where an endpoint or a provider is named.

    Raises:
        InputError: The provider was said twice, or a policy does not exist for the task.
    """
    if model.endpoint or engine.endpoint:
        return {}
    choice = choice_of(engine, model)
    if not choice.is_for_hub and choice.provider is not None:
        return {}
    if OpenAIChat().supports(model.definition):
        asking = ask_router(split_choice(choice.model)[0], engine, http, QUESTION_TIMEOUT_S)
        found = _described(http.submit(asking).result())
        if found:
            return {**found, "served as of": datetime.now(timezone.utc).isoformat(timespec="seconds")}
    try:
        listing = known_listing(choice.model, engine) or listing_of(choice.model, engine)
    except HuggingFaceAPIError as error:
        return {"warning": str(error)}
    return _of_listing(listing)


async def ask_router(
    model: str, engine: EngineSettings, http: HttpClient, timeout_s: float
) -> list[Mapping[str, object]]:
    """Ask Hugging Face's router about the providers of a model for chat.

    Args:
        model: The model's name on the Hub.
        engine: The settings of the engine, for its key.
        http: Sends the request, on its own event loop.
        timeout_s: How long to wait.

    Returns:
        What it says of each; empty where it cannot be asked, or says nothing.
    """
    url = f"{ROUTER}/v1/models/{quote(model, safe='/')}"
    try:
        response = await http.get(url, key_for(url, engine).headers, timeout_s)
        answer = orjson.loads(response.body) if response.status == 200 else None
    except Exception:  # whoever asks goes on without it
        return []
    # Some routers wrap the model, as OpenAI's list of models does.
    if isinstance(answer, dict) and isinstance(answer.get("data"), dict):
        answer = answer["data"]
    providers = answer.get("providers") if isinstance(answer, dict) else None
    if not isinstance(providers, list):
        return []
    return [each for each in providers if isinstance(each, dict)]


def _described(providers: list[Mapping[str, object]]) -> dict[str, object]:
    found = providers[:_MAX_PROVIDERS_SHOWN]
    return {f"provider {_shown(each['provider'])}": _facts(each) for each in found if _is_text(each.get("provider"))}


def _facts(provider: Mapping[str, object]) -> dict[str, object]:
    pricing = provider.get("pricing")
    prices = pricing if isinstance(pricing, dict) else {}
    values = {label: prices.get(name) for name, label in _PRICES.items()}
    values.update({label: provider.get(name) for name, label in _FIELDS.items()})
    return {label: _shown(value) for label, value in values.items() if isinstance(value, (str, int, float))}


def _of_listing(listing: Listing) -> dict[str, object]:
    if warning := warning_of(listing):
        return {"warning": warning}
    found: dict[str, object] = {}
    for mapping in listing.get("providers", [])[:_MAX_PROVIDERS_SHOWN]:
        facts = {"status": mapping.get("status"), "task": mapping.get("task"), "name there": mapping.get("providerId")}
        found[f"provider {_shown(str(mapping.get('provider')))}"] = {
            label: _shown(value) for label, value in facts.items() if value is not None
        }
    return {**found, "served as of": listing.get("asked", "")}


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _shown(value: object) -> object:
    """A value as it may be shown: short and printable, with no key in it."""
    return redact(printable(value))[:_MAX_FACT_CHARS] if isinstance(value, str) else value
