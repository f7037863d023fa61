"""Rounds: what is asked, what the proxy answers in the end, and that the promise holds for the whole of it."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest

from huggingface_api_handler.inference.cascade import rounds
from huggingface_api_handler.inference.cascade.certify import allowance
from huggingface_api_handler.inference.cascade.rounds import Cascade, Certificate, uniforms

pytestmark = pytest.mark.same_on_every_python

SEED = b"a query"


def run(
    wrong: npt.ArrayLike,
    *,
    scores: npt.ArrayLike | None = None,
    counts: npt.ArrayLike | None = None,
    accuracy: float = 0.9,
    delta: float = 0.05,
    seed: bytes = SEED,
    asked_rows: int = 0,
) -> tuple[Certificate, list[np.ndarray]]:
    errors = np.asarray(wrong, dtype=bool)
    ranks = -np.arange(len(errors)) if scores is None else scores
    rows = np.ones(len(errors)) if counts is None else counts
    number = np.asarray(rows, dtype=np.int64)
    cascade = Cascade(np.asarray(ranks, dtype=float), number, accuracy, delta, seed, asked_rows=asked_rows)
    asked = []
    while len(round_ := cascade.next_round()):
        asked.append(round_)
        cascade.record(~errors[round_])
    return cascade.certificate(), asked


def rows_wrong(certificate: Certificate, wrong: np.ndarray, counts: np.ndarray) -> int:
    shown = wrong.copy()
    shown[certificate.asked] = shown[certificate.remaining] = False
    return int(counts[shown].sum())


@pytest.mark.parametrize(
    ("accuracy", "delta", "asked_rows"), [(0.75, 0.25, 0), (0.5, 0.5, 0), (0.75, 0.5, 4), (0.9, 0.25, 6)]
)
def test_over_all_orders_of_draws_the_promise_is_broken_with_delta_at_most(
    accuracy: float, delta: float, asked_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = 4
    orders = np.array(list(itertools.permutations(range(inputs)))) / inputs + 0.1
    counts = np.ones(inputs, dtype=np.int64)
    draws = iter(())
    monkeypatch.setattr(rounds, "uniforms", lambda seed, count: next(draws))
    worst = 0
    for bits in itertools.product((False, True), repeat=inputs):
        wrong = np.array(bits)
        draws = iter(orders)
        results = [run(wrong, accuracy=accuracy, delta=delta, asked_rows=asked_rows)[0] for _ in orders]
        spare = allowance(inputs + asked_rows, accuracy)
        worst = max(worst, sum(rows_wrong(each, wrong, counts) > spare for each in results))
    assert 0 < worst <= delta * math.factorial(inputs)


def test_each_input_is_asked_once_or_the_proxys() -> None:
    wrong = np.random.default_rng(5).random(3000) < np.linspace(0, 0.5, 3000)
    certificate, asked = run(wrong)
    told_apart = np.concatenate([certificate.asked, certificate.remaining])
    assert sorted(np.concatenate(asked)) == sorted(certificate.asked)
    assert len(np.unique(told_apart)) == len(told_apart)
    assert certificate.inputs == certificate.rows == pytest.approx(1 - len(told_apart) / 3000)
    assert 0.3 < certificate.inputs < 0.9
    assert set(range(certificate.prefix, 3000)) <= set(told_apart)


def test_a_proxy_that_agrees_is_believed_after_one_round_and_one_that_never_does_is_within_the_allowance() -> None:
    certificate, asked = run(np.zeros(2000))
    assert (certificate.prefix, len(asked)) == (2000, 1) and len(asked[0]) < 100
    always_wrong = np.ones(2000, dtype=bool)
    useless, _ = run(always_wrong)
    assert rows_wrong(useless, always_wrong, np.ones(2000)) <= 200


def test_the_surest_inputs_come_first_and_ties_stay_in_order() -> None:
    wrong = np.array([True] * 500 + [False] * 500)
    certificate, _ = run(wrong, scores=[0.1] * 500 + [0.9] * 500)
    assert set(certificate.remaining) <= set(range(500)) and certificate.inputs > 0.4
    tied, _ = run(wrong[::-1], scores=[0.5] * 1000)
    assert set(tied.remaining) <= set(range(500, 1000)) and tied.inputs > 0.4


def test_the_same_query_draws_the_same_and_another_does_not() -> None:
    wrong = np.random.default_rng(1).random(500) < 0.05
    first, again, other = (run(wrong, seed=seed)[0] for seed in (SEED, SEED, b"another"))
    np.testing.assert_array_equal(first.asked, again.asked)
    assert set(first.asked) != set(other.asked)
    np.testing.assert_allclose(uniforms(SEED, 3), [0.66280447, 0.44320235, 0.32579695], atol=1e-8)


def test_rows_count_and_not_inputs() -> None:
    counts = np.array([1000] + [1] * 999)
    certificate, asked = run([True] + [False] * 999, counts=counts, scores=np.zeros(1000))
    assert 0 in asked[0]  # half of the rows: drawn but for a chance of 1e-4
    assert rows_wrong(certificate, np.array([True] + [False] * 999), counts) == 0
    assert certificate.rows < certificate.inputs


def test_rows_that_were_asked_to_train_are_right_and_the_promise_is_of_them_too() -> None:
    wrong = np.random.default_rng(6).random(1000) < 0.06
    alone, with_trained = run(wrong)[0], run(wrong, asked_rows=1000)[0]
    assert with_trained.inputs > alone.inputs + 0.1
    useless = np.ones(1000, dtype=bool)
    assert 100 < rows_wrong(run(useless, asked_rows=500)[0], useless, np.ones(1000)) <= 150


@pytest.mark.parametrize("counts", [np.ones(100), np.arange(100) % 3 + 1])
def test_where_no_more_rows_are_left_than_may_be_wrong_nothing_is_asked(counts: np.ndarray) -> None:
    certificate, asked = run(np.ones(100), counts=counts, asked_rows=int(9 * counts.sum()))
    assert (certificate.prefix, certificate.rows, asked) == (100, 1.0, [])
    one_less, _ = run(np.ones(100), counts=counts, asked_rows=int(9 * counts.sum()) - 1)
    assert one_less.inputs < 1


def test_equal_counts_are_as_one_row_each() -> None:
    wrong = np.random.default_rng(2).random(400) < 0.04
    single, several = run(wrong), run(wrong, counts=np.full(400, 3))
    assert single[0].prefix == several[0].prefix
    np.testing.assert_array_equal(single[0].asked, several[0].asked)


def test_an_input_refused_for_good_counts_as_a_disagreement() -> None:
    cascade = Cascade(np.zeros(200), np.ones(200, dtype=np.int64), 0.9, 0.05, SEED)
    first = cascade.next_round()
    cascade.record(np.zeros(len(first), dtype=bool))
    assert cascade.certificate().prefix == first.min()


def test_what_is_certified_stands_when_one_stops_early_and_before_that_there_is_nothing() -> None:
    cascade = Cascade(np.zeros(2000), np.ones(2000, dtype=np.int64), 0.9, 0.05, SEED)
    assert cascade.certificate().prefix == 0 and len(cascade.certificate().remaining) == 2000
    wrong = np.random.default_rng(3).random(2000) < 0.05
    cascade.record(~wrong[cascade.next_round()])
    certified = cascade.certificate()
    assert 0 < certified.prefix < 2000
    assert len(cascade.next_round())
    assert cascade.certificate().prefix == certified.prefix


@pytest.mark.parametrize("inputs", [0, 1, 2, 7])
def test_a_table_of_a_few_rows_is_asked_whole_or_almost(inputs: int) -> None:
    certificate, _ = run(np.ones(inputs))
    assert len(certificate.asked) + len(certificate.remaining) == inputs
