"""What chat costs at Hugging Face, as its router says it: read when a model is made, and again when that is old."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TypedDict, cast
from weakref import WeakKeyDictionary

from ...config.policies import CHEAPEST, POLICIES, split_choice
from ...config.settings import EngineSettings, ModelSettings
from ...config.types import MAX_PRICE_USD
from ...printable import printable
from ..pricing.prices import NO_PRICES, Price, PriceList
from ..transport.client import HttpClient
from .hub_api import QUESTION_TIMEOUT_S
from .hub_choice import choice_of
from .hub_description import ask_router, has_router_key
from .openai_chat import OpenAIChat

logger = logging.getLogger(__name__)

_LIVE = "live"
_MAX_PRICED_PROVIDERS = 40
_MAX_PROVIDER_CHARS = 64
_AUTO = "auto"

_MAX_AGE = timedelta(days=1)
"""Prices that are older are asked for again, before a query that is not small."""

_RETRY_AFTER = timedelta(minutes=10)
"""Where the router says no price, it is asked again only then. A budget in dollars may wait for it."""

_TOO_FEW_TO_ASK = 50
"""Inputs of a small query: to ask for prices would take longer than it is worth."""


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
    return http.submit(_ask(split_choice(model.model)[0], engine, http, timeout_s)).result()


async def _ask(name: str, engine: EngineSettings, http: HttpClient, timeout_s: float) -> StoredPrices | None:
    prices = dict(_live(await ask_router(name, engine, http, timeout_s)))
    asked = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"model": name, "asked": asked, "providers": prices} if prices else None


def prices_of(stored: object, engine: EngineSettings, model: ModelSettings) -> PriceList:
    """The prices that hold for a model in one statement.

    Args:
        stored: What ``find_prices`` returned when the model was made; None where nothing is known.
        engine: The settings of the engine.
        model: The settings of the model, with what the statement overrides.

    Returns:
        Those that the person gave, with the model or the engine. Else those of the provider that is asked; where the
        router chooses one, of all that it may choose.

    Raises:
        InputError: The provider was said twice, or a policy does not exist for the task.
    """
    given = model.prices or engine.prices
    if given is not None:
        return PriceList(any_provider=Price(**given))
    if not isinstance(stored, dict) or not _is_priced_by_router(engine, model):
        return NO_PRICES
    choice = choice_of(engine, model)
    name, suffix = split_choice(choice.model)
    providers = stored.get("providers")
    if stored.get("model") != name or not isinstance(providers, dict):
        return NO_PRICES
    priced = {provider: price for provider, pair in providers.items() if (price := _price(pair)) is not None}
    wanted = choice.policy or suffix or choice.provider
    if wanted not in (None, _AUTO) and wanted not in POLICIES:
        priced = {provider: price for provider, price in priced.items() if provider == wanted}
    elif wanted == CHEAPEST and priced:
        cheapest = min(price.output or Decimal(0) for price in priced.values())
        priced = {provider: price for provider, price in priced.items() if price.output == cheapest}
    return PriceList(priced) if priced else NO_PRICES


class RouterPrices:
    """The prices that a session has met, of models for chat at Hugging Face's router."""

    def __init__(self) -> None:
        """Start without any."""
        self._stored: dict[str, StoredPrices] = {}
        self._unanswered: dict[str, datetime] = {}
        # Of each loop: one that was held as a process forked is never given back in the child, which has another loop.
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    def restore(self, stored: object) -> None:
        """Use what was stored with a model, where nothing newer is known.

        Args:
            stored: What ``find_prices`` returned; None where it was made before there were prices.
        """
        if not isinstance(stored, dict) or not isinstance(name := stored.get("model"), str):
            return
        if not isinstance(providers := stored.get("providers"), dict) or not all(map(_price, providers.values())):
            return
        if name not in self._stored or _when(stored) > _when(self._stored[name]):
            self._stored[name] = cast("StoredPrices", stored)

    def of(self, engine: EngineSettings, model: ModelSettings) -> Callable[[], PriceList]:
        """Find the prices that hold for a model in one statement.

        Args:
            engine: The settings of the engine.
            model: The settings of the model.

        Returns:
            Gives them as they are known now, as ``prices_of`` does. Each request asks, so they are made once for each
            answer of the router.
        """
        name = split_choice(model.model)[0]
        newest: tuple[StoredPrices | None, PriceList] | None = None

        def prices() -> PriceList:
            nonlocal newest
            stored = self._stored.get(name)
            if newest is None or newest[0] is not stored:
                newest = stored, prices_of(stored, engine, model)
            return newest[1]

        return prices

    def is_stale(self, engine: EngineSettings, model: ModelSettings, inputs: float) -> bool:
        """Whether prices should be asked for before or in a query.

        Args:
            engine: The settings of the engine.
            model: The settings of the model.
            inputs: How many the query is known to have.

        Returns:
            True where they are older than a day, or not known, and the query is not small.
        """
        if inputs < _TOO_FEW_TO_ASK or model.prices or engine.prices or not _is_priced_by_router(engine, model):
            return False
        return not self._is_recent(split_choice(model.model)[0]) and has_router_key(engine)

    async def refresh(self, engine: EngineSettings, model: ModelSettings, http: HttpClient) -> None:
        """Ask the router anew, and say where a price has changed.

        Args:
            engine: The settings of the engine.
            model: The settings of the model.
            http: Sends the request.
        """
        async with self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            name = split_choice(model.model)[0]
            if self._is_recent(name):
                return
            found = await _ask(name, engine, http, QUESTION_TIMEOUT_S)
            if found is None:  # the router may be away, and those that are known hold until it is back
                self._unanswered[name] = datetime.now(timezone.utc)
                return
            old_providers = self._stored[name]["providers"] if name in self._stored else {}
            self._stored[name] = found
            for provider, price in found["providers"].items():
                if old_providers.get(provider, price) != price:
                    logger.warning(
                        "%s changed its price of %s from %s to %s USD per million tokens read and written. Answers "
                        "that come from now on are counted at the new one",
                        provider, name, _shown(old_providers[provider]), _shown(price),
                    )  # fmt: skip

    def _is_recent(self, name: str) -> bool:
        """Whether the router has said what a model costs within a day, or was asked a moment ago."""
        now, stored, unanswered = datetime.now(timezone.utc), self._stored.get(name), self._unanswered.get(name)
        if unanswered is not None and timedelta(0) <= now - unanswered <= _RETRY_AFTER:
            return True
        return stored is not None and timedelta(0) <= now - _when(stored) <= _MAX_AGE


def _is_priced_by_router(engine: EngineSettings, model: ModelSettings) -> bool:
    return not (model.endpoint or engine.endpoint) and OpenAIChat().supports(model.definition)


def _when(stored: Mapping[str, object]) -> datetime:
    """When prices were asked for; long ago where that cannot be read."""
    try:
        asked = datetime.fromisoformat(str(stored.get("asked")))
    except ValueError:
        return datetime.min.replace(tzinfo=timezone.utc)
    return asked if asked.tzinfo is not None else asked.replace(tzinfo=timezone.utc)


def _shown(pair: list[float]) -> str:
    return " and ".join(f"{amount:g}" for amount in pair)


def _live(providers: list[Mapping[str, object]]) -> Iterator[tuple[str, list[float]]]:
    """The live ones of providers as the router tells of them, with their prices."""
    for each in providers[:_MAX_PRICED_PROVIDERS]:
        name, pricing = each.get("provider"), each.get("pricing")
        if not isinstance(name, str) or not name or printable(name) != name or len(name) > _MAX_PROVIDER_CHARS:
            continue
        given = [pricing.get("input"), pricing.get("output")] if isinstance(pricing, dict) else None
        if given is None and each.get("is_free") is True:
            given = [0.0, 0.0]
        price = _price(given)
        if each.get("status") == _LIVE and price is not None:
            yield name, [float(price.input or 0), float(price.output or 0)]


def _price(pair: object) -> Price | None:
    """Two figures as a price; None where they are none."""
    if not isinstance(pair, (list, tuple)) or len(pair) != 2:
        return None
    if not all(type(each) in (int, float) and 0 <= each <= MAX_PRICE_USD for each in pair):
        return None
    return Price(Decimal(str(pair[0])), Decimal(str(pair[1])))
