"""The range of what requests will cost: it holds what is billed in 19 of 20 queries, and is NULL where nobody knows."""

from __future__ import annotations

import math
import random
from decimal import Decimal
from typing import Any

import pytest

from huggingface_api_handler.inference.pricing.bounds import Bound, TokenBounds
from huggingface_api_handler.inference.pricing.cost import cost_of
from huggingface_api_handler.inference.pricing.estimate import (
    NO_HISTORY_NO_LIMIT,
    NO_HISTORY_OF_MEDIA,
    NO_HISTORY_OF_SECONDS,
    NOTHING,
    PlannedRequests,
    estimate,
)
from huggingface_api_handler.inference.pricing.history import History, Sums
from huggingface_api_handler.inference.pricing.prices import FREE_OF_CHARGE, NO_PRICES, Price, PriceList
from huggingface_api_handler.inference.pricing.reported_usage import ReportedUsage
from huggingface_api_handler.inference.pricing.spending import Range, Spending
from huggingface_api_handler.inference.protocols.reported_usage import reported_usage

BYTES_PER_TOKEN = {"en": 4.6, "de": 4.2, "ru": 6.0, "zh": 3.1, "th": 2.6, "hi": 7.0}
JSON_BYTES, TEMPLATE_TOKENS, MAX_TOKENS = 90, 24, 2000
UNKNOWN = Bound(None, "nobody says it")

Request = tuple[int, ReportedUsage]
"""The bytes of its body, and what its service reports."""


def prices(**usd: str) -> PriceList:
    return PriceList(any_provider=Price(**{name: Decimal(amount) for name, amount in usd.items()}))


def planned(count: int, size: int, written: int | None = None, read: int | None = 5000) -> PlannedRequests:
    found = PlannedRequests()
    for _ in range(count):
        found.plan(size, TokenBounds(Bound(read), Bound(written)))
    return found


def history(*requests: Request) -> History:
    found = History()
    for size, reported in requests:
        found.record(size, reported)
    return found


def tokens(read: int, written: int, cached: int = 0) -> ReportedUsage:
    return ReportedUsage(read + written, read, written, cached)


CHAT = prices(input="0.5", output="2")
ASKED = history(*[(400, tokens(100, 50))] * 20)


def usd(*given: Any, **more: Any) -> Range:
    found = estimate(*given, **more).usd
    assert found is not None
    return found


def test_the_low_is_from_before_and_the_high_from_max_tokens() -> None:
    once = (100 * 0.5 + 50 * 2) / 1e6
    free = usd(CHAT, planned(10, 400), [ASKED])
    assert free.low < 10 * once < free.high < 2.5 * 10 * once
    limited = usd(CHAT, planned(10, 400, written=500), [ASKED])
    assert limited.low == free.low
    assert 10 * (100 * 0.5 + 500 * 2) / 1e6 < limited.high < 10 * (200 * 0.5 + 500 * 2) / 1e6
    low_limit = usd(CHAT, planned(10, 400, written=10), [ASKED])
    assert low_limit.high < free.high
    assert low_limit.low < free.low


def test_without_history_max_tokens_says_the_most() -> None:
    found = usd(CHAT, planned(10, 400, written=500), [])
    assert found.high == pytest.approx(10 * (5000 * 0.5 + 500 * 2) / 1e6)
    assert 0 < found.low < 10 * 100 * 0.5 / 1e6


@pytest.mark.parametrize(
    ("priced", "plan", "why"),
    [
        (CHAT, planned(3, 400), NO_HISTORY_NO_LIMIT),
        (CHAT, planned(3, 0, 50, read=None), NO_HISTORY_OF_MEDIA),
        (prices(second="0.1"), planned(3, 400, 50), NO_HISTORY_OF_SECONDS),
        (NO_PRICES, planned(3, 400, 50), NO_PRICES.note),
        (prices(input="0.5"), planned(3, 400, 50), "prices names no 'output', and the model writes tokens. Give"),
        (prices(output="0.5"), planned(3, 400, 50), "prices names no 'input', and the model reads tokens. Give"),
    ],
)
def test_what_nobody_can_know_is_null_and_says_why(priced: PriceList, plan: PlannedRequests, why: str) -> None:
    found = estimate(priced, plan, [])
    assert found.usd is None
    assert str(found.unknown).startswith(why)


def test_media_cost_by_the_request_of_before() -> None:
    found = usd(CHAT, planned(10, 0, read=None), [history(*[(90_000, tokens(800, 50))] * 20)])
    assert found.low < 10 * (800 * 0.5 + 50 * 2) / 1e6 < found.high < 4 * found.low


def test_a_request_costs_exactly_what_it_costs_and_a_free_one_nothing() -> None:
    assert usd(prices(request="0.04"), planned(7, 400), []) == Range(7 * 0.04, 7 * 0.04)
    assert usd(FREE_OF_CHARGE, planned(7, 400), []) == usd(prices(input="0"), planned(7, 400), []) == NOTHING
    assert usd(NO_PRICES, PlannedRequests(), []) == NOTHING


def test_seconds_are_those_of_before() -> None:
    asked = history(*[(400, ReportedUsage(compute_seconds=2.0))] * 20)
    found = usd(prices(second="0.01", request="0.001"), planned(10, 400), [asked])
    assert found.low < 10 * (0.02 + 0.001) < found.high < 4 * found.low


def test_what_was_cached_before_makes_the_low_lower_and_not_the_high() -> None:
    priced = prices(input="0.5", output="2", cached="0.1")
    cached = history(*[(400, tokens(100, 50, cached=80))] * 20)
    before, now = usd(priced, planned(10, 400), [ASKED]), usd(priced, planned(10, 400), [cached])
    assert now.low < before.low
    assert now.high == before.high
    dearer = prices(input="0.5", output="2", cached="0.9")
    assert usd(dearer, planned(10, 400), [cached]).high > usd(dearer, planned(10, 400), [ASKED]).high


def test_several_providers_are_the_cheapest_to_the_dearest() -> None:
    cheap, dear = Price(Decimal("0.1"), Decimal("0.2")), Price(Decimal(1), Decimal(2))
    both = usd(PriceList({"a": cheap, "b": dear}), planned(10, 400), [ASKED])
    one, other = (usd(PriceList({"a": each}), planned(10, 400), [ASKED]) for each in (cheap, dear))
    assert both == Range(one.low, other.high)


def test_repairs_are_in_the_high() -> None:
    once, repaired = (usd(CHAT, planned(10, 400), [ASKED], each) for each in (0.0, 0.25))
    assert repaired == pytest.approx(Range(once.low, once.high * 1.25))


def test_a_model_that_writes_nothing_needs_no_max_tokens() -> None:
    asked = history(*[(400, ReportedUsage(100))] * 20)
    assert usd(prices(input="0.5"), planned(10, 400, written=0), [asked]).high < 1000 * 0.5 / 1e6 * 2
    assert usd(CHAT, planned(10, 400, written=0), []).high == pytest.approx(10 * 5000 * 0.5 / 1e6)


def test_more_queries_that_are_alike_make_the_range_narrower() -> None:
    ranges = [usd(CHAT, planned(10, 400), [ASKED] * count) for count in (1, 5, 20)]
    widths = [each.high / each.low for each in ranges]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 1.6


def test_one_answer_is_less_sure_than_a_hundred_where_answers_differ() -> None:
    chance = random.Random(1)
    before = [history(*[(400, tokens(100, int(chance.lognormvariate(4, 1)))) for _ in range(200)])]
    one, many = (usd(CHAT, planned(count, 400), before) for count in (1, 100))
    assert one.high / one.low > 2 * many.high / many.low
    assert one.high > many.high / 100


def test_estimates_add_up_only_where_each_query_has_one() -> None:
    total = Spending(estimated=Range(1.0, 2.0))
    total.add(Spending(estimated=Range(0.5, 4.0)))
    assert total.estimated == Range(1.5, 6.0)
    assert Spending.from_record(total.to_record()) == total
    total.add(Spending())
    assert total.estimated is None
    assert Spending.from_record(total.to_record()) == total


def test_a_history_outlives_the_store_and_a_receipt_without_one_has_none() -> None:
    assert History.from_record(ASKED.to_record()) == ASKED
    assert History.from_record({}) == History()


class _Model:
    """A model and its service, as they differ: languages, lengths, answers, caches and prices."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.languages = list(BYTES_PER_TOKEN) if chance.random() < 0.5 else [chance.choice(list(BYTES_PER_TOKEN))]
        self.limit = MAX_TOKENS if chance.random() < 0.5 else None
        self._length, self._skew, self._change = (chance.uniform(*ends) for ends in ((2.5, 6), (0.2, 1.1), (0, 0.4)))
        self._is_translation = chance.random() < 0.3
        self._has_cache = chance.random() < 0.5
        cheap = Price(Decimal("0.35"), Decimal("0.75"), Decimal("0.1") if chance.random() < 0.5 else None)
        dear = Price(Decimal("0.7"), Decimal("1.5"), cheap.cached)
        self.prices = PriceList({"cheap": cheap, "dear": dear} if chance.random() < 0.3 else {"cheap": cheap})

    def query(self) -> list[Request]:
        """What the requests of one query send and take."""
        chance = self._chance
        bytes_per_token = BYTES_PER_TOKEN[chance.choice(self.languages)]
        text, answer = chance.gauss(5.5, 0.5), chance.gauss(self._length, self._change)
        cached = chance.random() if self._has_cache else 0.0
        requests = []
        for _ in range(int(math.exp(chance.uniform(0, 5)))):
            size = int(chance.lognormvariate(text, 0.7))
            read = int(size / bytes_per_token / chance.uniform(0.8, 1.25)) + TEMPLATE_TOKENS
            translated = int(size / bytes_per_token * chance.uniform(0.5, 1.5))
            written = translated if self._is_translation else int(chance.lognormvariate(answer, self._skew))
            written = min(written + 1, self.limit or written + 1)
            of_cache = int(read * cached * chance.uniform(0.5, 1))
            requests.append((size + JSON_BYTES, tokens(read, written, of_cache)))
        return requests


def test_the_range_holds_what_is_billed_in_19_of_20_varied_queries() -> None:
    chance, held, ratios = random.Random(20), 0, []
    for _ in range(200):
        model = _Model(chance)
        before = [history(*model.query()) for _ in range(chance.randint(0 if model.limit else 1, 8))]
        requests, plan = model.query(), PlannedRequests()
        for size, _ in requests:
            plan.plan(size, TokenBounds(Bound(size + 1024), Bound(model.limit)))
        found = usd(model.prices, plan, before)
        provider = chance.choice(list(model.prices.providers))
        billed = sum(cost_of(model.prices, reported, provider).usd or Decimal(0) for _, reported in requests)
        held += found.low <= billed <= found.high
        if model.limit is None:
            ratios.append(found.high / found.low)
    assert held >= 190
    assert sorted(ratios)[len(ratios) // 2] < 10, "so wide that it says nothing"


@pytest.mark.parametrize("earlier", [0, 1, 1_000_000])
@pytest.mark.parametrize("time", ["1e-200", "1e-320", "999999999999.0"])
def test_times_that_a_service_makes_up_break_no_estimate(time: str, earlier: int) -> None:
    past = History(seconds=Sums(earlier, 500 * earlier, 0.1 * earlier, 0.01 * earlier))
    past.record(500, reported_usage({"x-compute-time": time}))
    usd = estimate(prices(second="1"), planned(1, 500, 0), [past]).usd
    assert usd is not None and 0 <= usd.low <= usd.high < math.inf


def test_a_history_of_empty_bodies_breaks_none() -> None:
    past = history(*[(0, tokens(10, 3))] * 2)
    assert estimate(prices(input="1", output="1"), planned(2, 500, 10), [past]).usd is not None
