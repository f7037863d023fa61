"""The figures of a sample against values that others have computed."""

from __future__ import annotations

import random

import pytest
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from huggingface_api_handler.comparison.statistics import Measure, macro_f1, majority, rate

pytestmark = pytest.mark.same_on_every_python


@pytest.mark.parametrize(
    ("successes", "total", "low", "high"),
    [  # R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_of_a_rate_is_the_published_one(successes: int, total: int, low: float, high: float) -> None:
    found = rate(successes, total)
    assert found is not None
    assert found == pytest.approx((successes / total, low, high), abs=5e-5)


@pytest.mark.parametrize(("successes", "total"), [(0, 1), (1, 1), (8, 10), (10, 10), (199, 200), (123_456, 1_000_000)])
def test_the_interval_of_a_rate_is_that_of_scipy(successes: int, total: int) -> None:
    expected = binomtest(successes, total).proportion_ci(method="wilson")
    found = rate(successes, total)
    assert found is not None
    assert found == pytest.approx((successes / total, expected.low, expected.high), abs=1e-12)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_nothing_has_no_rate() -> None:
    assert rate(0, 0) is None
    assert macro_f1([], []) is None


def answers(rows: int, right: float, seed: int) -> tuple[list[str], list[str]]:
    chance = random.Random(seed)
    truth = [chance.choice("aaabc") for _ in range(rows)]
    return truth, [label if chance.random() < right else chance.choice("abcx") for label in truth]


@pytest.mark.parametrize("seed", range(5))
def test_f1_is_that_of_scikit_learn_over_the_labels_of_the_truth(seed: int) -> None:
    truth, predicted = answers(60, 0.7, seed)
    found = macro_f1(truth, predicted)
    assert found is not None
    expected = f1_score(truth, predicted, labels=sorted(set(truth)), average="macro", zero_division=0)
    assert found.value == pytest.approx(expected, abs=1e-12)


def test_what_is_not_decided_is_missed_and_no_label_of_its_own() -> None:
    found = macro_f1(["a", "a", "b"], ["a", None, "b"])
    assert found is not None
    assert found.value == pytest.approx((2 / 3 + 1) / 2)


def test_the_interval_of_f1_is_the_same_again_and_narrows_with_the_rows() -> None:
    few, many = (macro_f1(*answers(rows, 0.8, 1)) for rows in (50, 2000))
    assert few is not None and many is not None
    assert macro_f1(*answers(50, 0.8, 1)) == few
    assert 0 < many.high - many.low < (few.high - few.low) / 4


def test_the_interval_of_f1_holds_the_true_one_about_as_often_as_it_says() -> None:
    (true, _, _) = macro_f1(*answers(100_000, 0.8, 99)) or Measure(0, 0, 0)
    intervals = [macro_f1(*answers(200, 0.8, seed)) for seed in range(20)]
    assert sum(each is not None and each.low <= true <= each.high for each in intervals) >= 16


def test_a_model_without_a_mistake_has_an_f1_of_1() -> None:
    assert macro_f1(["a", "b"], ["a", "b"]) == Measure(1.0, 1.0, 1.0)


def test_a_majority_is_one_label() -> None:
    assert majority([]) is None
    assert majority(["a"]) == "a"
    assert majority(["a", "b", "b", "a", "b"]) == "b"
    assert majority(["a", "b", "b", "a"]) is None
