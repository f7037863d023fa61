"""The length of a route is found with few refusals, and parts come close to it, whatever the server says of it."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import pytest

from huggingface_api_handler.inference.flow_control.token_limit import ALWAYS_TAKEN_TOKENS, Fit, TokenLimit

TOKENS = 512
LONG = 5000.0


def told() -> TokenLimit:
    limit = TokenLimit()
    limit.state(TOKENS)
    return limit


def test_nothing_is_too_long_where_nothing_is_known() -> None:
    limit = TokenLimit()
    assert limit.fit(1e6) is Fit.TOGETHER
    assert (limit.longest, limit.window, limit.is_settled) == (None, None, False)


def test_what_is_told_counts_from_the_first_request_on() -> None:
    limit = told()
    assert limit.is_settled
    assert limit.window is not None
    assert 0.85 * TOKENS <= limit.window < TOKENS
    assert [limit.fit(estimate) for estimate in (limit.window, TOKENS, 2 * TOKENS)] == [
        Fit.TOGETHER,
        Fit.ALONE,
        Fit.TOO_LONG,
    ]


def test_what_requests_have_shown_counts_more_than_what_is_told() -> None:
    limit = TokenLimit()
    limit.on_rejected(LONG, None, None, is_part=False)
    limit.state(TOKENS)
    assert limit.tokens is None


def test_what_a_refusal_says_counts_more_than_what_was_told() -> None:
    limit = told()
    limit.on_rejected(400.0, 256, 410, is_part=True)
    assert limit.tokens == 256
    assert limit.window is not None
    assert limit.window < 256


def test_a_number_that_the_refused_input_does_not_exceed_is_none() -> None:
    limit = told()
    limit.on_rejected(LONG, 8192, 5000, is_part=False)
    assert limit.tokens == TOKENS


def test_windows_follow_what_the_server_counts() -> None:
    few, many = told(), told()
    for _ in range(100):
        few.on_counted(1000.0, 700)
        many.on_counted(1000.0, 1500)
    assert few.window == pytest.approx(told().window / 0.7)  # type: ignore[operator]
    assert many.window == pytest.approx(told().window / 1.5)  # type: ignore[operator]


def test_one_text_of_another_kind_is_outweighed_by_those_that_follow() -> None:
    limit = told()
    limit.on_counted(100.0, 70)
    for _ in range(100):
        limit.on_counted(1000.0, 1500)
    assert limit.window == pytest.approx((told().window or 0.0) / 1.5, rel=0.01)


@pytest.mark.parametrize(("estimate", "tokens"), [(10.0, 40), (1000.0, 1), (1000.0, 10**9), (0.0, 5)])
def test_a_count_that_cannot_be_right_changes_nothing(estimate: float, tokens: int) -> None:
    limit = told()
    limit.on_counted(estimate, tokens)
    assert limit == told()


def test_no_part_is_longer_than_told_where_the_server_never_refuses() -> None:
    """It may cut a longer text without a word."""
    limit = told()
    for _ in range(10_000):
        limit.on_answered(limit.window or 0.0)
    assert limit.window == told().window


def test_while_the_length_is_looked_for_what_may_be_too_long_waits() -> None:
    limit = TokenLimit(answered=2000.0)
    limit.on_rejected(LONG, None, None, is_part=False)
    assert not limit.is_settled
    assert [limit.fit(estimate) for estimate in (2000.0, 2001.0, LONG)] == [Fit.TOGETHER, Fit.TOO_LONG, Fit.TOO_LONG]


@pytest.mark.parametrize("longest_answered", [0.0, 20.0, 450.0])
@pytest.mark.parametrize("length", [64.0, 500.0, 4000.0])
def test_a_length_that_nobody_says_is_found_in_a_few_requests(length: float, longest_answered: float) -> None:
    limit = TokenLimit(answered=min(longest_answered, length))
    limit.on_rejected(10 * length, None, None, is_part=False)
    requests = 0
    while not limit.is_settled:
        asked = limit.window
        assert asked is not None
        requests += 1
        if asked > length:
            limit.on_rejected(asked, None, None, is_part=True)
        else:
            limit.on_answered(asked)
    assert requests <= 10
    assert limit.window is not None
    assert 0.8 * length <= limit.window <= length


def test_a_text_much_shorter_than_the_known_length_shows_another_length() -> None:
    limit = told()
    limit.on_rejected(200.0, None, None, is_part=False)
    assert not limit.is_settled
    assert limit.window is not None
    assert limit.window < 200


def test_windows_grow_no_faster_than_answers_can_show() -> None:
    """Thousands of parts may be on their way by the time that one of them is refused."""
    limit = told()
    limit.refuses = True
    for _ in range(20):
        limit.on_answered(limit.window or 0.0)
    assert 1.0 < (limit.window or 0.0) / (told().window or 1.0) < 1.05


def test_windows_grow_more_slowly_once_a_part_was_refused() -> None:
    limit = told()
    limit.on_rejected(limit.window or 0.0, None, None, is_part=True)
    window = limit.window or 0.0
    for _ in range(20):
        limit.on_answered(limit.window or 0.0)
    assert 1.0 < (limit.window or 0.0) / window < 1.005


def test_a_long_calm_outweighs_one_refusal() -> None:
    limit = told()
    limit.refuses = True
    for _ in range(1000):
        limit.on_answered(limit.window or 0.0)
    window = limit.window
    limit.on_rejected(limit.window or 0.0, None, None, is_part=True)
    assert limit.window == window
    limit.on_rejected(limit.window or 0.0, None, None, is_part=True)
    assert (limit.window or 0.0) < (window or 0.0)


def test_parts_of_a_dense_text_that_were_cut_again_say_nothing_of_other_texts() -> None:
    limit = told()
    window = limit.window
    limit.on_rejected(TOKENS * 0.7, None, None, is_part=False)  # is a part of one of which another was refused
    assert limit.window is not None
    assert window is not None
    assert limit.window >= TOKENS * 0.65


def test_all_is_forgotten_at_once() -> None:
    limit = told()
    limit.forget()
    assert limit.fit(1e6) is Fit.TOGETHER
    assert limit.window is None


def known() -> list[TokenLimit]:
    searched = TokenLimit(answered=100.0)
    searched.on_rejected(LONG, None, None, is_part=False)
    counted = told()
    counted.on_counted(1000.0, 900)
    bounded = told()
    bounded.on_rejected(bounded.window or 0.0, None, None, is_part=True)
    return [TokenLimit(), told(), searched, counted, bounded]


@pytest.mark.parametrize("limit", known(), ids=["nothing", "told", "searched", "counted", "bounded"])
def test_what_is_stored_is_what_was_known(limit: TokenLimit) -> None:
    restored = TokenLimit.from_record(limit.to_record())
    assert restored == replace(limit, calm=0, misses=0, counted_tokens=restored.counted_tokens)
    assert restored.to_record() == limit.to_record()
    assert TokenLimit.from_record(None) == TokenLimit()


@pytest.mark.parametrize("known_before", [told(), TokenLimit(answered=100.0, rejected=LONG)], ids=["told", "searched"])
@pytest.mark.parametrize("name", list(TokenLimit().to_record()))
@pytest.mark.parametrize("value", [-1, 0, 1e300, math.nan, math.inf, "many", [], {}])
def test_a_record_that_cannot_be_right_is_refused_or_harmless(known_before: TokenLimit, name: str, value: Any) -> None:
    record = {**known_before.to_record(), name: value}
    try:
        limit = TokenLimit.from_record(record)
    except (ValueError, TypeError, OverflowError):
        return
    window = limit.window
    assert window is None or 0 < window < 1e9
    assert limit.ratio is None or 0.1 < limit.ratio < 10
    assert limit.fit(8.0) is Fit.TOGETHER or (window or 9.0) < 9


def test_a_record_without_a_number_is_refused() -> None:
    for name in TokenLimit().to_record():
        record = told().to_record()
        del record[name]
        with pytest.raises(KeyError):
            TokenLimit.from_record(record)


class Server:
    """A server whose counts deviate from the estimates: all by a factor, and each text by its own."""

    def __init__(self, seed: int, factor: float, deviation: float) -> None:
        self._chance = random.Random(seed)
        self._factor, self._deviation = factor, deviation
        self.refusals = 0

    def count(self, estimate: float) -> int:
        """The tokens of a text of such an estimate."""
        return round(estimate * self._factor * (1 + self._chance.gauss(0.0, self._deviation)))


def converged(limit: TokenLimit, server: Server, parts: int, *, says: str) -> None:
    """Ask for parts one after another, as short as the limit says."""
    for _ in range(parts):
        window = limit.window
        assert window is not None
        estimate = window * random.Random(parts).uniform(0.96, 1.0)
        tokens = server.count(estimate)
        if tokens > TOKENS:
            server.refusals += 1
            stated = (TOKENS, tokens) if says == "numbers" else (None, None)
            limit.on_rejected(estimate, *stated, is_part=limit.is_settled)
        else:
            limit.on_answered(estimate)
            if says == "usage":
                limit.on_counted(estimate, tokens)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("deviation", [0.0, 0.02, 0.05])
@pytest.mark.parametrize("factor", [0.8, 1.0, 1.3])
@pytest.mark.parametrize("says", ["nothing", "numbers", "usage"])
def test_windows_come_close_to_the_length_with_few_refusals(
    says: str, factor: float, deviation: float, seed: int
) -> None:
    server, limit = Server(seed, factor, deviation), TokenLimit(answered=60.0)
    if says == "usage":
        limit.state(TOKENS)
    else:
        tokens = server.count(LONG)
        stated = (TOKENS, tokens) if says == "numbers" else (None, None)
        limit.on_rejected(LONG, *stated, is_part=False)
    converged(limit, server, 1500, says=says)
    assert server.refusals <= 25
    assert limit.window is not None
    assert limit.window * factor >= TOKENS * (0.85 if deviation < 0.05 else 0.8)
    assert limit.window >= ALWAYS_TAKEN_TOKENS


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        (TokenLimit(), "not known until the server refuses a text"),
        (TokenLimit(rejected=230.4), "fewer than about 230 "),
        (TokenLimit(room=118.9), "about 119 "),
        (TokenLimit(tokens=512, room=470.0), "512 "),
    ],
)
def test_each_state_of_the_search_is_told(limit: TokenLimit, says: str) -> None:
    assert limit.description.startswith(says)
