"""The guarantee, by exact probabilities: every label vector, every order of draws, and draw by draw for larger tables."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huggingface_api_handler.inference.cascade.certify import (
    MANY_SPARE,
    Law,
    allowance,
    broken,
    certified,
    schedule,
)
from huggingface_api_handler.inference.cascade.draws import Look, RowDraws, UniformDraws, hypergeometric, log_factorial

pytestmark = pytest.mark.same_on_every_python

UNEVEN = (Look(1, 0), Look(2, 0), Look(4, 1), Look(5, 3))


def label_vectors(inputs: int) -> Iterator[np.ndarray]:
    for bits in itertools.product((False, True), repeat=inputs):
        yield np.array(bits)


def breaks(drawn: np.ndarray, wrong: np.ndarray, rows: np.ndarray, budget: int, spare: int) -> np.ndarray:
    """For each order of draws: whether a prefix that the look certifies has more rows wrong than may be.

    Written apart from the package: every prefix by itself.
    """
    found = (drawn & wrong).cumsum(axis=1)
    left = (~drawn & wrong) @ np.triu(np.outer(rows, np.ones_like(rows)))
    return np.asarray(((found <= budget) & (left > spare)).any(axis=1))


@pytest.mark.parametrize("inputs", range(1, 8))
def test_of_all_orders_no_more_than_delta_break_the_promise_whatever_is_wrong(inputs: int) -> None:
    clocks = np.array(list(itertools.permutations(range(1, inputs + 1))))
    rows = np.ones(inputs, dtype=int)
    for spare, delta in itertools.product(range(inputs), (0.05, 0.2, 0.5, None)):
        law = UniformDraws(inputs, spare + 1)
        tried = UNEVEN if delta is None else schedule(law, delta)
        looks = [look for look in tried if look.clock <= inputs and look.budget <= law.largest_budget]
        shares = []
        passed = np.searchsorted([look.clock for look in looks], clocks)  # the look by which each input is drawn
        drawn_at, orders = np.unique(passed, axis=0, return_counts=True)
        for wrong in label_vectors(inputs):
            at_looks = [breaks(drawn_at <= at, wrong, rows, look.budget, spare) for at, look in enumerate(looks)]
            shares.append(orders[np.any(at_looks, axis=0)].sum() / math.factorial(inputs))
        assert max(shares) == pytest.approx(broken(law, looks), abs=1e-12)
        assert delta is None or max(shares) <= delta


@pytest.mark.parametrize("rows", [(1, 1, 2), (3, 1, 1, 2), (1, 2, 1, 5), (4, 4, 1, 1, 1), (1, 1, 1, 2, 1, 9)])
def test_of_draws_weighted_by_rows_no_more_than_delta_break_the_promise(rows: tuple[int, ...]) -> None:
    counts = np.array(rows)
    for spare, delta in ((0, 0.3), (1, 0.05), (counts.sum() // 3, 0.3), (counts.sum() // 2, 0.1)):
        law = RowDraws(2.3 * (spare + 1))
        looks = schedule(law, delta)[:3]
        last = np.array(list(itertools.product(range(len(looks) + 1), repeat=len(rows))))
        left = np.exp(-np.outer([0.0, *(look.clock / (spare + 1) for look in looks), math.inf], counts))
        chances = np.prod([(left[:-1] - left[1:])[last[:, at], at] for at in range(len(rows))], axis=0)
        assert chances.sum() == pytest.approx(1)
        for wrong in label_vectors(len(rows)):
            at_looks = [breaks(last <= number, wrong, counts, look.budget, spare) for number, look in enumerate(looks)]
            assert chances @ np.any(at_looks, axis=0) <= delta


def break_one_prefix(inputs: int, errors: int, looks: tuple[Look, ...], spare: int) -> float:
    """The probability that a look certifies all inputs with too many errors left, draw by draw."""
    found = {0: 1.0}
    lost = 0.0
    budgets = {look.clock: look.budget for look in looks}
    for draw in range(inputs):
        after: dict[int, float] = {}
        for count, chance in found.items():
            error = (errors - count) / (inputs - draw)
            after[count + 1] = after.get(count + 1, 0.0) + chance * error
            after[count] = after.get(count, 0.0) + chance * (1 - error)
        for count in [each for each in after if each <= budgets.get(draw + 1, -1) and errors - each > spare]:
            lost += after.pop(count)
        found = {count: chance for count, chance in after.items() if chance > 0}
    return lost


@pytest.mark.parametrize(("inputs", "accuracy", "delta"), [(60, 0.9, 0.1), (150, 0.95, 0.05), (300, 0.99, 0.05)])
def test_a_prefix_of_hundreds_breaks_the_promise_with_delta_at_most(inputs: int, accuracy: float, delta: float) -> None:
    spare = allowance(inputs, accuracy)
    looks = schedule(UniformDraws(inputs, spare + 1), delta)
    chances = [break_one_prefix(inputs, errors, looks, spare) for errors in range(spare + 1, min(inputs, spare + 40))]
    assert 0.2 * delta < max(chances) <= delta


laws = st.one_of(
    st.integers(1, 400).flatmap(lambda inputs: st.builds(UniformDraws, st.just(inputs), st.integers(1, inputs))),
    st.builds(RowDraws, st.sampled_from([2.0, 16.0, 512.0, 2.0**20])),
)


@settings(deadline=None, max_examples=40)
@given(laws, st.sampled_from([0.01, 0.05, 0.1, 0.4]))
def test_all_looks_together_spend_delta_at_most(law: Law, delta: float) -> None:
    looks = schedule(law, delta)
    assert broken(law, looks) <= delta
    assert all(one.clock < two.clock and one.budget < two.budget for one, two in itertools.pairwise(looks))


@settings(deadline=None, max_examples=40)
@given(laws, st.lists(st.tuples(st.integers(1, 40), st.integers(1, 3)), min_size=1, max_size=4), st.integers(0, 3))
def test_looking_later_or_at_fewer_errors_breaks_no_more(law: Law, steps: list[tuple[int, int]], at: int) -> None:
    looks = [
        Look(clock, budget) for clock, budget in itertools.accumulate(steps, lambda a, b: (a[0] + b[0], a[1] + b[1]))
    ]
    looks = [look for look in looks if look.budget < law.largest_budget and look.clock < law.end]
    if not looks:
        return
    chance = broken(law, looks)
    number = at % len(looks)
    fewer = [*looks[:number], *looks[number + 1 :]]
    later = [*looks[:-1], looks[-1]._replace(clock=looks[-1].clock + law.tick)]
    assert 0 <= chance <= 1 + 1e-9
    assert not fewer or broken(law, fewer) <= chance + 1e-12
    assert broken(law, later) <= chance + 1e-12


def test_where_many_rows_may_be_wrong_there_are_more_looks_and_later_ones_have_more_of_delta() -> None:
    few, many = (UniformDraws(10 * (spare + 1), spare + 1) for spare in (MANY_SPARE - 1, MANY_SPARE))
    looks_of_few, looks_of_many = schedule(few, 0.05), schedule(many, 0.05)
    assert len(looks_of_many) > 1.3 * len(looks_of_few)
    assert 0.01 < broken(few, looks_of_few[:1]) < 0.02
    assert 0.003 < broken(many, looks_of_many[:1]) < 0.006


@given(st.sets(st.integers(0, 50)), st.integers(0, 50), st.integers(0, 5))
def test_an_error_more_never_certifies_a_longer_prefix(ranks: set[int], more: int, budget: int) -> None:
    found = np.array(sorted(ranks), dtype=np.int64)
    assert certified(np.array(sorted({*ranks, more})), budget, 51) <= certified(found, budget, 51)
    assert certified(found, budget, 51) <= certified(found, budget + 1, 51)


def test_factorials_and_draws_are_exact_at_any_size() -> None:
    numbers = np.array([0, 1, 2, 255, 256, 257, 1000, 10**6])
    np.testing.assert_allclose(log_factorial(numbers), [math.lgamma(n + 1) for n in numbers], rtol=1e-14)
    expected = [math.comb(30, k) * math.comb(270, 50 - k) / math.comb(300, 50) for k in range(31)]
    np.testing.assert_allclose(hypergeometric(np.arange(31), 300, 30, 50), expected, rtol=1e-10)
    assert hypergeometric(3, 10, 2, 5) == 0.0


@pytest.mark.parametrize(
    ("rows", "accuracy", "spare"),
    [(10, 0.9, 1), (1000, 0.7, 300), (199, 0.99, 1), (99, 0.99, 0), (100, 1.0, 0), (3, 0.95, 0)],
)
def test_the_allowance_is_the_share_as_it_was_written(rows: int, accuracy: float, spare: int) -> None:
    assert allowance(rows, accuracy) == spare
