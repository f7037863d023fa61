"""What chat costs at Hugging Face: read when a model is made, so that the price of a statement is known first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import NamedTuple, TypedDict

from ...config.policies import CHEAPEST, POLICIES, split_choice
from ...config.settings import EngineSettings, ModelSettings
from ...printable import printable
from ..transport.client import HttpClient
from .hub_choice import choice_of
from .hub_description import has_router_key, providers_at_router
from .openai_chat import OpenAIChat

_LIVE = "live"
_MAX_PRICED_PROVIDERS = 40
_MAX_PROVIDER_CHARS = 64
_TOKENS_OF_A_PRICE = 1_000_000
_AUTO = "auto"


class StoredPrices(TypedDict):
    """Prices as they are stored with a model.

    Attributes:
        model: The model's name on the Hub.
        asked: When the router was asked: the date and time in UTC.
        providers: USD per million tokens read, and per million written, of each live provider that names both.
    """

    model: str
    asked: str
    providers: dict[str, list[float]]


class TokenPrice(NamedTuple):
    """The price of one provider.

    Attributes:
        read: USD per million tokens that the model reads.
        written: USD per million tokens that it writes.
    """

    read: float
    written: float


Prices = tuple[TokenPrice, ...]
"""The prices of those who may be asked; empty where they are not priced."""

FREE: Prices = (TokenPrice(0.0, 0.0),)
"""Of a server that this machine runs."""


def find_prices(
    engine: EngineSettings, model: ModelSettings, http: HttpClient, timeout_s: float
) -> StoredPrices | None:
    """Ask Hugging Face's router what a model costs, where it is one for chat.

    Args:
        engine: The settings of the engine.
        model: The settings of a model without an endpoint.
        http: Sends the request, on its own event loop.
        timeout_s: How long to wait.

    Returns:
        What to store with the model; None where the router says nothing of it, could not be asked, or serves nobody
            without a key.

    Raises:
        InputError: The environment variable named for the key may not be read, or is not set.
    """
    # With a provider's own key nothing is asked of Hugging Face, which then need not know which model it is.
    if not OpenAIChat().supports(model.definition) or not has_router_key(engine):
        return None
    name = split_choice(model.model)[0]
    prices = dict(_live(providers_at_router(name, engine, http, timeout_s)))
    asked = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"model": name, "asked": asked, "providers": prices} if prices else None


def prices_of(stored: object, engine: EngineSettings, model: ModelSettings) -> Prices:
    """The prices that hold for a model in one statement.

    Args:
        stored: What ``find_prices`` returned when the model was made; None where it was made before there were prices.
        engine: The settings of the engine.
        model: The settings of the model, with what the statement overrides.

    Returns:
        The price of the provider that is asked. Where the router chooses one: of all that it may choose.

    Raises:
        InputError: The provider was said twice, or a policy does not exist for the task.
    """
    if not isinstance(stored, dict) or model.endpoint or engine.endpoint:
        return ()
    if not OpenAIChat().supports(model.definition):
        return ()
    choice = choice_of(engine, model)
    name, suffix = split_choice(choice.model)
    providers = stored.get("providers")
    if stored.get("model") != name or not isinstance(providers, dict):
        return ()
    priced = {provider: price for provider, pair in providers.items() if (price := _price(pair)) is not None}
    wanted = choice.policy or suffix or choice.provider
    if wanted == CHEAPEST and priced:
        return (min(priced.values(), key=lambda price: price.written),)
    if wanted is None or wanted == _AUTO or wanted in POLICIES:
        return tuple(priced.values())
    return (priced[wanted],) if wanted in priced else ()


def dollars(prices: Prices, read: float, written: float) -> float:
    """What tokens cost.

    Args:
        prices: Of those who may be asked, at least one.
        read: Tokens that the model reads.
        written: Tokens that it writes.

    Returns:
        USD, at the dearest of them.

    >>> dollars((TokenPrice(0.5, 1.0), TokenPrice(0.25, 4.0)), 2_000_000, 1_000_000)
    4.5
    """
    return max(price.read * read + price.written * written for price in prices) / _TOKENS_OF_A_PRICE


def _live(providers: list[Mapping[str, object]]) -> Iterator[tuple[str, list[float]]]:
    """The live ones of providers as the router tells of them, with their prices."""
    for each in providers[:_MAX_PRICED_PROVIDERS]:
        name, pricing = each.get("provider"), each.get("pricing")
        if not isinstance(name, str) or not name or printable(name) != name or len(name) > _MAX_PROVIDER_CHARS:
            continue
        given = [pricing.get("input"), pricing.get("output")] if isinstance(pricing, dict) else None
        price = _price(given) or (FREE[0] if each.get("is_free") is True else None)
        if each.get("status") == _LIVE and price is not None:
            yield name, list(price)


def _price(pair: object) -> TokenPrice | None:
    """Two figures as a price; None where they are none."""
    if not isinstance(pair, (list, tuple)) or len(pair) != 2:
        return None
    if not all(type(each) in (int, float) and math.isfinite(each) and each >= 0 for each in pair):
        return None
    return TokenPrice(float(pair[0]), float(pair[1]))
