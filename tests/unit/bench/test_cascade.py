"""What ``bench.cascade`` compares with is right: the limit, the best threshold, and the fewest calls of any method."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.cascade import best_threshold, fewest, hindsight, lower_limit, run
from bench.cascade_tables import FAMILIES, Table
from huggingface_api_handler.inference.cascade.certify import allowance

pytestmark = pytest.mark.same_on_every_python


@pytest.mark.parametrize(("broken", "seeds"), [(1, 10), (7, 100), (80, 1000)])
def test_the_limit_is_the_share_at_which_so_many_come_once_in_a_hundred(broken: int, seeds: int) -> None:
    share = lower_limit(broken, seeds)
    fewer = sum(math.comb(seeds, number) * share**number * (1 - share) ** (seeds - number) for number in range(broken))
    assert 1 - fewer == pytest.approx(0.01, rel=1e-6)
    assert lower_limit(0, seeds) == 0


def test_the_best_threshold_and_the_fewest_calls_count_rows() -> None:
    table = Table(np.arange(10.0)[::-1], np.array([1] * 9 + [11]), np.array([False, True] * 4 + [True, True]))
    # 20 rows, of which 4 may be wrong: the fifth wrong row is the ninth input, and correcting the largest leaves five
    assert (best_threshold(table, 0.8), fewest(table, 0.8)) == (2, 2)
    assert (best_threshold(table, 0.2), fewest(table, 0.2)) == (0, 0)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_keeps_the_order_of_what_can_be_known(family: str) -> None:
    table = FAMILIES[family](np.random.default_rng(3), 300, 0.9)
    ours = run(table, 0.9, 0.1, b"a seed")
    assert fewest(table, 0.9) <= best_threshold(table, 0.9)
    assert hindsight(table, 0.9, 0.1, b"a seed") <= ours.calls <= 300
    assert len(table.scores) == len(table.counts) == len(table.wrong) == 300


def test_the_adversary_places_the_fewest_errors_that_break_the_promise() -> None:
    table = FAMILIES["adversarial"](np.random.default_rng(0), 300, 0.9)
    assert table.wrong.sum() == allowance(300, 0.9) + 1
