"""Dollars of one request, from what the service reports of it and the price of whoever answered."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from .exact import exact
from .prices import TOKENS_OF_A_PRICE, Price, PriceList
from .reported_usage import ReportedUsage

PROVIDER_HEADER = "x-inference-provider"
"""The header by which Hugging Face's router names the provider that has answered."""

_NO_TOKENS = "the service does not say how many tokens it took"
_NO_SECONDS = "the service does not say how long it computed (x-compute-time)"
_NO_PRICE = "no price is known"
_NO_OUTPUT_PRICE = "prices names no 'output', and the service generated tokens"
_NO_INPUT_PRICE = "prices names no 'input', and the service read tokens"


class Cost(NamedTuple):
    """What a request cost.

    Attributes:
        usd: Dollars, exactly; None where that is not known.
        unknown: Why it is not known; None where it is.
        is_billed: Whether the service bills it at all.
    """

    usd: Decimal | None
    unknown: str | None = None
    is_billed: bool = True


NOT_BILLED = Cost(Decimal(0), is_billed=False)
"""Of a request that failed, or that looks at a job: only answers are billed."""


NOT_ANSWERED = Cost(None, "no answer came, and it may be billed")
"""Of a request that was sent and has no response."""


def cost_of(prices: PriceList, usage: ReportedUsage | None, provider: str | None = None) -> Cost:
    """What an answered request cost.

    Args:
        prices: Of the model.
        usage: What the service reports; None where it reports nothing.
        provider: Who has answered, as the answer names it.

    Returns:
        Tokens, seconds and the request itself, each at its price: ``(input - cached) * input + cached * cached +
        output * output`` per million, plus ``seconds * second``, plus ``request``. Without a price of its own, a
        cached token costs as much as any other. Tokens of reasoning are among the generated ones.

    >>> prices = PriceList(any_provider=Price(input=Decimal("0.5"), output=Decimal(2)))
    >>> cost_of(prices, ReportedUsage(1200, 1000, 200)).usd
    Decimal('0.0009')
    """
    price = prices.of(provider)
    if price is None:
        return Cost(None, _why_no_price(prices, provider))
    return _cost_at(price, usage)


@exact
def _cost_at(price: Price, usage: ReportedUsage | None) -> Cost:
    usd = price.request or Decimal(0)
    if price.second is not None:
        if usage is None or usage.compute_seconds is None:
            return Cost(None, _NO_SECONDS) if price.second else Cost(usd)
        usd += price.second * Decimal(str(usage.compute_seconds))
    if not price.is_by_token:
        return Cost(usd)
    by_token = _of_tokens(price, usage)
    return by_token if by_token.usd is None else Cost(usd + by_token.usd)


def _of_tokens(price: Price, usage: ReportedUsage | None) -> Cost:
    if not price.input and not price.output and not price.cached:
        return Cost(Decimal(0))
    if usage is None:
        return Cost(None, _NO_TOKENS)
    read, written = usage.input_tokens, usage.output_tokens
    if usage.sum_alone is not None and price.output is None:
        read, written = usage.sum_alone, 0
    if read is None or written is None:
        return Cost(None, _NO_TOKENS)
    if price.input is None and read:
        return Cost(None, _NO_INPUT_PRICE)
    if price.output is None and written:
        return Cost(None, _NO_OUTPUT_PRICE)
    cached = min(usage.cached_tokens or 0, read) if price.cached is not None else 0
    usd = (price.input or 0) * (read - cached) + (price.cached or 0) * cached + (price.output or 0) * written
    return Cost(Decimal(usd) / TOKENS_OF_A_PRICE)


def _why_no_price(prices: PriceList, provider: str | None) -> str:
    if not prices:
        return _NO_PRICE
    if provider is None:
        return "the answer does not name the provider, and their prices differ"
    return f"no price of the provider {provider} is known"
