"""Dollars of one request: by token, second and request, at the price of whoever answered, and NULL where unknown."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huggingface_api_handler.inference.pricing.cost import Cost, cost_of
from huggingface_api_handler.inference.pricing.prices import FREE_OF_CHARGE, NO_PRICES, Price, PriceList
from huggingface_api_handler.inference.pricing.reported_usage import ReportedUsage
from huggingface_api_handler.inference.protocols.reported_usage import reported_usage

CHAT = Price(input=Decimal("0.35"), output=Decimal("0.75"))
USAGE = ReportedUsage(1200, 1000, 200)


def prices(**usd: str) -> PriceList:
    return PriceList(any_provider=Price(**{name: Decimal(amount) for name, amount in usd.items()}))


@given(
    amounts=st.lists(st.decimals(0, 1000, places=4), min_size=3, max_size=3),
    read=st.integers(0, 10**9),
    cached=st.integers(0, 10**9),
    written=st.integers(0, 10**9),
)
def test_tokens_cost_what_their_kinds_cost_to_the_last_digit(
    amounts: list[Decimal], read: int, cached: int, written: int
) -> None:
    cached = min(cached, read)
    usage = ReportedUsage(read + written, read, written, cached)
    found = cost_of(PriceList(any_provider=Price(*amounts)), usage).usd
    dear, out, cheap = map(Fraction, amounts)
    assert found is not None
    assert Fraction(found) == ((read - cached) * dear + cached * cheap + written * out) / 1_000_000


def test_a_cached_token_without_a_price_costs_as_much_as_any_other() -> None:
    assert cost_of(prices(input="1", output="1"), USAGE._replace(cached_tokens=999)).usd == Decimal("0.0012")


def test_seconds_and_requests_are_added() -> None:
    usage = ReportedUsage(compute_seconds=0.25)
    assert cost_of(prices(second="0.00012"), usage).usd == Decimal("0.00003")
    assert cost_of(prices(second="0.00012", request="0.001"), usage).usd == Decimal("0.00103")
    assert cost_of(prices(request="0.001"), None).usd == Decimal("0.001")


@pytest.mark.parametrize(
    ("listed", "usage", "why"),
    [
        (NO_PRICES, USAGE, "no price is known"),
        (prices(input="1", output="2"), None, "how many tokens"),
        (prices(input="1", output="2"), ReportedUsage(1200), "how many tokens"),
        (prices(input="1", output="2"), ReportedUsage(1200, 1000), "how many tokens"),
        (prices(input="1"), USAGE, "names no 'output'"),
        (prices(output="1"), USAGE, "names no 'input'"),
        (prices(second="0.1"), USAGE, "x-compute-time"),
        (PriceList({"a": CHAT, "b": Price(Decimal(1), Decimal(1))}), USAGE, "does not name the provider"),
    ],
)
def test_what_is_not_known_is_null_and_never_nothing(listed: PriceList, usage: ReportedUsage | None, why: str) -> None:
    cost = cost_of(listed, usage)
    assert cost.usd is None
    assert why in str(cost.unknown)


def test_the_provider_that_answered_decides() -> None:
    listed = PriceList({"cerebras": CHAT, "together": Price(Decimal(1), Decimal(2))})
    assert cost_of(listed, USAGE, "cerebras").usd == Decimal("0.0005")
    assert cost_of(listed, USAGE, "together").usd == Decimal("0.0014")
    assert cost_of(listed, USAGE, "novita") == Cost(None, "no price of the provider novita is known")
    # Where all ask the same, it does not matter who it was.
    assert cost_of(PriceList({"a": CHAT, "b": CHAT}), USAGE).usd == Decimal("0.0005")


def test_nothing_to_pay_needs_no_counts() -> None:
    assert cost_of(FREE_OF_CHARGE, None).usd == 0
    assert cost_of(PriceList({"ovhcloud": Price(Decimal(0), Decimal(0))}), None).usd == 0
    assert FREE_OF_CHARGE.is_free
    assert not NO_PRICES.is_free


def test_a_model_that_writes_nothing_is_paid_by_its_sum_alone() -> None:
    assert cost_of(prices(input="2"), reported_usage({}, {"usage": {"total_tokens": 500}})).usd == Decimal("0.001")


@pytest.mark.parametrize("wrong", [None, -1, 0.5, "x", True, float("nan"), 1e300, [], {}])
def test_a_count_that_cannot_be_right_is_none(wrong: object) -> None:
    usage = reported_usage({}, {"usage": {"prompt_tokens": wrong, "completion_tokens": 5, "total_tokens": 9}})
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (None, 5)
    assert cost_of(prices(input="1", output="1"), usage).usd is None


def test_reasoning_that_stands_beside_what_was_generated_is_paid_too() -> None:
    # As xAI counts: https://docs.x.ai/docs/guides/reasoning
    counts = {"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135}
    usage = reported_usage({}, {"usage": {**counts, "completion_tokens_details": {"reasoning_tokens": 94}}})
    assert usage == ReportedUsage(135, 32, 103, reasoning_tokens=94)


def test_more_cached_tokens_than_were_read_are_none() -> None:
    details = {"prompt_tokens_details": {"cached_tokens": 11}, "completion_tokens_details": {"reasoning_tokens": 6}}
    usage = reported_usage({}, {"usage": {"prompt_tokens": 10, "completion_tokens": 5, **details}})
    assert usage == ReportedUsage(15, 10, 5)
