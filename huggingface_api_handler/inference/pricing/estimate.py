"""What requests will cost, as a range: from what earlier ones took, and from what these may take at most.

The range is to hold what is billed in 19 of 20 queries. It is the prediction interval of a mean. Its logarithm varies
from query to query, as languages and questions do, and the requests of one query vary too: the mean of the history over
and times ``exp(1.8 * sqrt(between * (1 + 1 / queries) + within * (1 / planned + 1 / requests)))``. ``between`` is the
variance of the logarithm over the queries of the history, beside a value to begin with, which counts as much as some
queries do. ``within`` is the variance of one request over its squared mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .bounds import Bound, TokenBounds, usd_bound
from .history import History, Sums
from .prices import TOKENS_OF_A_PRICE, Price, PriceList
from .spending import Range

_DEVIATIONS = 1.8
_BETWEEN_AT_FIRST = 0.25
"""Of the logarithm of tokens a byte, between languages, and of seconds and answers, between questions."""

_MAX_MARGIN = 14.0
"""The logarithm of a million. A range that is wider says no more, and numbers have an end."""

_QUERIES_AT_FIRST = 3
"""As many queries of the history count as much as that value."""

_ENOUGH_QUERIES = 3
"""From so many on, they say whether more is taken of longer inputs."""

_MAX_BYTES_PER_TOKEN = 16
"""Of a body with the JSON around its texts: no service is known to count fewer tokens."""

NO_HISTORY_NO_LIMIT = "no earlier query of this model and no max_tokens says how much it writes"
"""Why there is no figure for a model that nobody has asked yet."""

NO_HISTORY_OF_MEDIA = "no earlier query of this model says how many tokens its media have"
"""Why there is none for a model that reads media."""

NO_HISTORY_OF_SECONDS = "no earlier query of this model says how long it computes, and seconds are what costs"
"""Why there is none for a model that is paid by the second."""


NOTHING = Range(0.0, 0.0)
"""Of what costs nothing."""


class Estimate(NamedTuple):
    """What requests will cost.

    Attributes:
        usd: Dollars; None where nobody can know.
        unknown: Why not; None where there are dollars.
    """

    usd: Range | None
    unknown: str | None = None

    def __str__(self) -> str:
        """The range in words, said to be an estimate."""
        return self.usd.in_usd if self.usd is not None else f"unknown cost: {self.unknown}"


@dataclass
class PlannedRequests:
    """Requests to be sent.

    Attributes:
        requests: How many.
        size: Bytes of their bodies, without media.
        has_media: Whether media are among what they send, which are loaded only then.
        read: The most tokens that the model can read; None where there is no bound.
        written: The most that it can write; None where there is no bound.
    """

    requests: int = 0
    size: int = 0
    has_media: bool = False
    read: int | None = 0
    written: int | None = 0

    def plan(self, size: int, bounds: TokenBounds) -> None:
        """Count a request.

        Args:
            size: Bytes of its body; 0 where it cannot be written before media are loaded.
            bounds: The most tokens that it can take.
        """
        self.add(PlannedRequests(1, size, not size, bounds.read.most, bounds.written.most))

    def add(self, other: PlannedRequests) -> None:
        """Count others too.

        Args:
            other: What to add.
        """
        self.requests += other.requests
        self.size += other.size
        self.has_media |= other.has_media
        self.read = None if self.read is None or other.read is None else self.read + other.read
        self.written = None if self.written is None or other.written is None else self.written + other.written

    def scaled(self, factor: float) -> PlannedRequests:
        """As many times the requests.

        Args:
            factor: Of all requests to these.

        Returns:
            All requests, about, where these are a sample.
        """
        read, written = (None if each is None else round(each * factor) for each in (self.read, self.written))
        return PlannedRequests(round(self.requests * factor), round(self.size * factor), self.has_media, read, written)


def estimate(prices: PriceList, planned: PlannedRequests, history: Sequence[History], repairs: float = 0.0) -> Estimate:
    """What requests will cost.

    Args:
        prices: Of the model.
        planned: What is to be sent.
        history: What the requests of earlier queries took, a query each.
        repairs: Requests that asked for an answer in another form, as a part of the others.

    Returns:
        From the least at the cheapest price that may have to be paid to the most at the dearest.
    """
    if not planned.requests or prices.is_free:
        return Estimate(NOTHING)
    priced = usd_bound(prices, TokenBounds(Bound(1), Bound(0 if planned.written == 0 else 1)), 0.0)
    if priced.most is None:
        return Estimate(None, prices.note or priced.unknown)
    amounts = _amounts(planned, history, 1 + repairs)
    found = [_usd(price, planned.requests, 1 + repairs, amounts) for price in prices]
    unknown = next((each for each in found if isinstance(each, str)), None)
    ranges = [each for each in found if isinstance(each, Range)]
    usd = None if unknown else Range(min(each.low for each in ranges), max(each.high for each in ranges))
    return Estimate(usd, unknown)


class _Amounts(NamedTuple):
    """What requests will take. None where nothing says it."""

    read: Range | None
    cached: Range | None
    written: Range | None
    seconds: Range | None


def _amounts(planned: PlannedRequests, history: Sequence[History], asked_again: float) -> _Amounts:
    read = _expected(planned, [query.read for query in history], is_by_size=True)
    if read is None and planned.read is not None:
        read = Range(planned.size / _MAX_BYTES_PER_TOKEN, planned.read)
    written = _expected(planned, [query.written for query in history])
    if planned.written is not None:
        written = Range(min(written.low, planned.written) if written is not None else 0.0, planned.written)
    cached = _expected(planned, [query.cached for query in history])
    seconds = _expected(planned, [query.seconds for query in history])
    once = (read, cached, written, seconds)
    return _Amounts(*(each and Range(each.low, each.high * asked_again) for each in once))


def _expected(planned: PlannedRequests, history: Sequence[Sums], *, is_by_size: bool = False) -> Range | None:
    """What requests will take of a measure, by what earlier ones took of it; None where these say nothing."""
    queries = [query for query in history if query.requests]
    if not any(query.amount for query in queries):
        return NOTHING if queries else None
    views = []
    if planned.has_media or not is_by_size:
        views.append(_view(queries, [query.requests for query in queries], planned.requests, planned.requests))
    if not planned.has_media:
        views.append(_view(queries, [max(1, query.size) for query in queries], planned.size, planned.requests))
    if len(queries) >= _ENOUGH_QUERIES:
        return min(views, key=lambda view: view.variance).expected
    # Longer inputs may take more of it, and need not: too few queries say which.
    return Range(min(view.expected.low for view in views), max(view.expected.high for view in views))


class _View(NamedTuple):
    """What requests will take, by their number or by their size, and how much that varied between queries."""

    variance: float
    expected: Range


def _view(queries: Sequence[Sums], units: Sequence[int], planned_units: int, planned_requests: int) -> _View:
    amount, requests = sum(query.amount for query in queries), sum(query.requests for query in queries)
    mean = amount / sum(units)
    logarithms = [
        math.log(query.amount / unit / mean) for query, unit in zip(queries, units, strict=True) if query.amount
    ]
    squares = sum((each - sum(logarithms) / len(logarithms)) ** 2 for each in logarithms)
    between = (_QUERIES_AT_FIRST * _BETWEEN_AT_FIRST**2 + squares) / (_QUERIES_AT_FIRST + len(logarithms) - 1)
    within = max(0.0, sum(query.squares for query in queries) * requests / amount**2 - 1)
    deviation = math.sqrt(between * (1 + 1 / len(logarithms)) + within * (1 / planned_requests + 1 / requests))
    margin = math.exp(min(_DEVIATIONS * deviation, _MAX_MARGIN))
    expected = planned_units * mean
    return _View(squares / len(logarithms), Range(expected / margin, expected * margin))


def _usd(price: Price, requests: int, asked_again: float, amounts: _Amounts) -> Range | str:
    """Dollars at one price, or why nobody can know them."""
    per_token = {name: float(usd or 0) / TOKENS_OF_A_PRICE for name, usd in price._asdict().items()}
    low = float(price.request or 0) * requests
    high = low * asked_again
    for usd, amount, unknown in (
        (float(price.second or 0), amounts.seconds, NO_HISTORY_OF_SECONDS),
        (per_token["input"], amounts.read, NO_HISTORY_OF_MEDIA),
        (per_token["output"], amounts.written, NO_HISTORY_NO_LIMIT),
    ):
        if usd and amount is None:
            return unknown
        if usd and amount is not None:
            low, high = low + usd * amount.low, high + usd * amount.high
    if price.cached is not None and amounts.read is not None:
        # As many as before may be cached again, and none.
        read, cached = amounts.read, amounts.cached or amounts.read
        more = per_token["cached"] - per_token["input"]
        low += min(0.0, more) * min(cached.high, read.low)
        high += max(0.0, more) * min(cached.high, read.high)
    return Range(low, high)
