"""The learner: which labels and vectors it asks for, when it stops, and what it hands to the rounds that certify."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from huggingface_api_handler.inference.cascade import learner, vectors
from huggingface_api_handler.inference.cascade.certify import allowance
from huggingface_api_handler.inference.cascade.learner import (
    DOUBTFUL_LABELS,
    RANDOM_LABELS,
    REFUSED,
    TRIED_LABELS,
    LearnedProxy,
    Learner,
)
from huggingface_api_handler.inference.cascade.rounds import Cascade

pytestmark = pytest.mark.same_on_every_python

SEED = b"a query"
INPUTS = 1500


class Learning(NamedTuple):
    """What was asked for, and what came out."""

    rounds: list[np.ndarray]
    bought: list[np.ndarray]
    proxy: LearnedProxy


def embed(labels: npt.ArrayLike, noise: float, size: int = 12) -> vectors.Vectors:
    """Vectors that tell the labels, with noise."""
    codes = np.asarray(labels)
    rows = np.random.default_rng(3).normal(size=(len(codes), size)) * noise
    rows[np.arange(len(codes)), codes] += 1
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def labels_of(count: int, inputs: int = INPUTS) -> np.ndarray:
    return np.random.default_rng(1).integers(0, count, inputs)


def learn(
    labels: npt.ArrayLike,
    rows: vectors.Vectors,
    *,
    accuracy: float = 0.95,
    seed: bytes = SEED,
    stored: npt.ArrayLike = (),
    counts: npt.ArrayLike | None = None,
    at_a_time: int = 10**9,
) -> Learning:
    said = np.asarray(labels)
    indexes = np.asarray(stored, dtype=np.int64)
    number = np.ones(len(said), dtype=np.int64) if counts is None else np.asarray(counts)
    learning = Learner(number, accuracy, seed, indexes, said[indexes])
    rounds, bought = [], []
    while not learning.is_frozen:
        asked, wanted = learning.next_labels(), learning.next_vectors()
        assert len(asked) or len(wanted)
        if len(asked):
            rounds.append(asked)
            learning.record(said[asked])
        if len(wanted):
            bought.append(wanted[:at_a_time])
            learning.hand_over(rows[wanted[:at_a_time]])
    assert not len(learning.next_labels()) and not len(learning.next_vectors())
    return Learning(rounds, bought, learning.result())


def test_labels_are_asked_in_order_stored_ones_then_some_at_random_then_the_most_doubtful() -> None:
    labels = labels_of(2)
    rows = embed(labels, 0.6)
    stored = np.arange(30)
    rounds, bought, proxy = learn(labels, rows, stored=stored, accuracy=0.97)
    assert len(rounds) > 2
    assert len(rounds[0]) == RANDOM_LABELS - 30 and not np.isin(rounds[0], stored).any()
    assert 400 < rounds[0].mean() < 1100
    assert {len(each) for each in rounds[1:-1]} == {DOUBTFUL_LABELS}
    margin = np.abs(rows[:, 0] - rows[:, 1])
    assert all(margin[each].mean() < 0.5 * margin.mean() for each in rounds[1:])
    asked = np.concatenate([stored, *rounds])
    assert len(np.unique(asked)) == len(asked)
    assert set(bought[0]) == {*stored, *rounds[0]}
    assert sorted(np.concatenate(bought)) == list(range(INPUTS))
    assert sorted(proxy.open) == sorted(set(range(INPUTS)) - set(asked))


def test_stored_labels_that_are_many_leave_nothing_to_ask_at_random() -> None:
    labels = labels_of(2)
    rounds, bought, proxy = learn(labels, embed(labels, 0.2), stored=np.arange(400))
    assert not rounds and len(bought) == 2 and len(bought[0]) == 400
    assert proxy.asked_rows == 0 and len(proxy.open) == INPUTS - 400


def test_what_is_frozen_is_right_as_often_as_it_says_and_training_never_certifies() -> None:
    labels = labels_of(2)
    proxy = learn(labels, embed(labels, 0.5)).proxy
    wrong = proxy.labels != labels
    assert not wrong[np.setdiff1d(np.arange(INPUTS), proxy.open)].any()
    assert proxy.asked_rows == INPUTS - len(proxy.open)
    assert proxy.errors_left <= allowance(INPUTS, 0.95)
    assert abs(wrong.sum() - proxy.errors_left) < 40
    counts = np.ones(len(proxy.open), dtype=np.int64)
    cascade = Cascade(proxy.scores[proxy.open], counts, 0.95, 0.05, SEED, asked_rows=proxy.asked_rows)
    while len(round_ := cascade.next_round()):
        cascade.record(~wrong[proxy.open][round_])
    assert proxy.asked_rows + INPUTS * (1 - cascade.certificate().inputs) < 0.6 * INPUTS


def test_the_surest_are_right_more_often() -> None:
    labels = labels_of(2)
    proxy = learn(labels, embed(labels, 0.6)).proxy
    order = proxy.open[np.argsort(proxy.scores[proxy.open])]
    is_wrong = (proxy.labels != labels)[order]
    assert is_wrong[: len(order) // 2].sum() > 3 * is_wrong[len(order) // 2 :].sum()


@pytest.mark.parametrize("count", [3, 5])
def test_more_than_two_labels_whatever_their_codes(count: int) -> None:
    codes = labels_of(count)
    proxy = learn(codes * 7 + 2, embed(codes, 0.25)).proxy
    assert set(proxy.labels) == set(range(2, 7 * count, 7))
    assert (proxy.labels == codes * 7 + 2).mean() > 0.93


def test_vectors_that_tell_nothing_are_not_bought_and_the_proxy_is_the_commonest_label() -> None:
    labels = (np.random.default_rng(4).random(INPUTS) < 0.3).astype(int) + 5
    rounds, bought, proxy = learn(labels, embed(np.zeros(INPUTS, dtype=int), 0.5))
    assert [len(each) for each in rounds] == [RANDOM_LABELS, TRIED_LABELS - RANDOM_LABELS]
    assert sum(map(len, bought)) == TRIED_LABELS
    assert (proxy.labels[proxy.open] == 5).all() and len(set(proxy.scores)) == 1
    assert proxy.errors_left == pytest.approx(0.3 * len(proxy.open), rel=0.25)


def test_vectors_that_tell_the_order_are_bought_even_where_one_label_is_almost_always_the_likeliest() -> None:
    random = np.random.default_rng(2)
    is_doubtful = random.random(INPUTS) < 0.5
    labels = (random.random(INPUTS) < np.where(is_doubtful, 0.4, 0.02)).astype(int)
    rounds, _, proxy = learn(labels, embed(is_doubtful.astype(int), 0.05), accuracy=0.85)
    assert len(rounds[0]) == RANDOM_LABELS and len(set(proxy.scores)) > 1
    order = proxy.open[np.argsort(-proxy.scores[proxy.open])]
    assert is_doubtful[order[:500]].mean() < 0.05


def test_one_label_only_needs_no_more_vectors_and_no_more_labels() -> None:
    rounds, bought, proxy = learn(np.full(INPUTS, 3), embed(np.zeros(INPUTS, dtype=int), 0.5))
    assert len(rounds) == len(bought) == 1
    assert (proxy.labels == 3).all() and proxy.errors_left == 0


def test_labels_refused_for_good_do_not_train_and_are_not_asked_again() -> None:
    labels = labels_of(2)
    refused = np.random.default_rng(9).random(INPUTS) < 0.2
    rounds, _, proxy = learn(np.where(refused, REFUSED, labels), embed(labels, 0.5), stored=np.arange(10))
    asked = np.concatenate(rounds)
    assert refused[asked].any() and len(np.unique(asked)) == len(asked)
    assert (proxy.labels[asked] == np.where(refused, REFUSED, labels)[asked]).all()
    assert (proxy.labels[proxy.open] >= 0).all()
    assert proxy.asked_rows == len(asked)


def test_a_large_model_that_refuses_everything_is_given_up_after_as_many_labels() -> None:
    rounds, _, proxy = learn(np.full(INPUTS, REFUSED), embed(np.zeros(INPUTS, dtype=int), 0.5))
    assert sum(map(len, rounds)) == TRIED_LABELS
    assert (proxy.labels == REFUSED).all()


def test_the_same_seed_asks_the_same_and_another_does_not() -> None:
    labels = labels_of(2)
    rows = embed(labels, 0.5)
    first, again, other = (learn(labels, rows, seed=seed) for seed in (SEED, SEED, b"another"))
    for one, two in zip(first.rounds, again.rounds, strict=True):
        np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(first.proxy.scores, again.proxy.scores)
    assert set(first.rounds[0]) != set(other.rounds[0])


def test_vectors_may_come_in_parts_and_are_looked_at_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = labels_of(2)
    rows = embed(labels, 0.5)
    whole = learn(labels, rows)
    monkeypatch.setattr(vectors, "BLOCK_ROWS", 77)
    parts = learn(labels, rows, at_a_time=101)
    assert max(map(len, parts.bought)) == 101
    np.testing.assert_array_equal(np.concatenate(parts.rounds), np.concatenate(whole.rounds))
    np.testing.assert_allclose(parts.proxy.scores, whole.proxy.scores, rtol=1e-6)


def test_vectors_are_not_copied() -> None:
    rows = embed(labels_of(2), 0.5)
    handed = vectors.HandedVectors(INPUTS)
    handed.add(np.arange(1000), rows[:1000])
    handed.add(np.arange(INPUTS - 1, 999, -1), rows[:999:-1])
    assert all(np.shares_memory(block, rows) for _, block in handed.blocks())
    some = np.array([1400, 3, 1001, 999])
    np.testing.assert_array_equal(handed.of(some), rows[some])
    assert handed.has(some).all() and not vectors.HandedVectors(5).has(np.arange(5)).any()


def test_an_input_without_a_vector_comes_last_and_does_not_train() -> None:
    labels = labels_of(2)
    rows = embed(labels, 0.5)
    rows[1000:1300] = 0
    rounds, _, proxy = learn(labels, rows)
    assert len(rounds) > 1 and not (np.concatenate(rounds[1:]) // 100 == 10).any()
    has_none = (proxy.open >= 1000) & (proxy.open < 1300)
    assert proxy.scores[proxy.open][has_none].max() < proxy.scores[proxy.open][~has_none].min()
    assert proxy.errors_left <= allowance(INPUTS, 0.95)


def test_training_stops_at_a_share_of_the_inputs_where_errors_do_not_go_away() -> None:
    labels = labels_of(2)
    noisy = np.where(np.random.default_rng(8).random(INPUTS) < 0.25, 1 - labels, labels)
    rounds, _, proxy = learn(noisy, embed(labels, 0.3), accuracy=0.99)
    asked = sum(map(len, rounds))
    assert asked == int(learner.LARGEST_TRAINED_SHARE * INPUTS) == proxy.asked_rows


def test_rows_count_for_the_errors_that_are_left() -> None:
    labels = labels_of(2)
    rows = embed(labels, 0.5)
    single, several = learn(labels, rows), learn(labels, rows, counts=np.full(INPUTS, 3))
    assert several.proxy.errors_left == pytest.approx(3 * single.proxy.errors_left)
    assert several.proxy.asked_rows == 3 * single.proxy.asked_rows


@pytest.mark.parametrize("inputs", [1, 40, 150])
def test_fewer_inputs_than_labels_are_all_asked_or_learned(inputs: int) -> None:
    labels = labels_of(2, inputs)
    _, _, proxy = learn(labels, embed(labels, 0.5))
    asked = np.setdiff1d(np.arange(inputs), proxy.open)
    assert (proxy.labels[asked] == labels[asked]).all()
    assert len(asked) >= min(inputs, RANDOM_LABELS)
