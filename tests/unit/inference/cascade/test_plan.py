"""The plan: rates, chances, and that one goes on where it pays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huggingface_api_handler.inference.cascade.plan import at_most, error_rates, spared_later

pytestmark = pytest.mark.same_on_every_python


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=20))
def test_rates_are_shares_and_lean_on_neighbours(blocks: list[tuple[int, int]]) -> None:
    found = np.array([min(pair) for pair in blocks])
    drawn = np.array([max(pair) for pair in blocks])
    rates = error_rates(found, drawn)
    assert ((rates > 0) & (rates <= 1)).all()
    more = found + (np.arange(len(found)) == 0) * (found < drawn)
    assert (error_rates(more, drawn) >= rates).all()


def test_chances_are_those_of_a_rate_that_is_uncertain() -> None:
    random = np.random.default_rng(0)
    room, shape, mean = np.array([-1, 0, 3, 40]), np.array([2.0, 0.5, 6.5, 30.0]), np.array([1.0, 0.2, 5.0, 50.0])
    drawn = random.poisson(random.gamma(shape, mean / shape, (200_000, 4)))
    np.testing.assert_allclose(at_most(room, shape, mean), (drawn <= room).mean(axis=0), atol=0.005)
    np.testing.assert_allclose(at_most(np.array([3]), np.array([0.5]), np.zeros(1)), 1)


def expected(found: list[int], spared: int) -> list[float]:
    drawn = np.array([[10] * 4, [20] * 4, [40] * 4])
    return list(spared_later(np.array(found), drawn, np.full(4, 100), np.array([0, 2, 6]), 0, spared))


def test_a_later_look_promises_more_only_where_errors_are_few() -> None:
    few = expected([0, 0, 1, 0], spared=180)
    many = expected([0, 6, 6, 6], spared=90)
    assert len(few) == len(many) == 2
    assert few[0] > 180 and max(many) < 90


def test_what_was_certified_is_not_lost_by_going_on() -> None:
    assert expected([9, 9, 9, 9], spared=360) == pytest.approx([360 * 320 / 360, 360 * 240 / 360], rel=0.01)
