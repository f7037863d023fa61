"""The learned proxy: the regression is scikit-learn's, doubt is corrected by cross-validation, labels come in order."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from huggingface_api_handler.inference.cascade.proxy import chances, fit, train

pytestmark = pytest.mark.same_on_every_python


def unit_vectors(inputs: int, size: int, labels: np.ndarray, noise: float = 0.5) -> np.ndarray:
    random = np.random.default_rng(7)
    vectors = random.normal(size=(inputs, size)) * noise
    vectors[np.arange(inputs), labels] += 1
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


@pytest.mark.parametrize(("inputs", "size"), [(40, 60), (60, 8)])
def test_the_regression_is_scikit_learns(inputs: int, size: int) -> None:
    labels = np.arange(inputs) % 2
    vectors = unit_vectors(inputs, size, labels)
    _, (weights, _) = fit(vectors, labels.astype(float), [1.0, 3.0])
    theirs = LogisticRegression(C=3.0, tol=1e-10, max_iter=10_000).fit(vectors, labels)
    np.testing.assert_allclose(weights[:-1], theirs.coef_[0], atol=1e-5)
    np.testing.assert_allclose(weights[-1], theirs.intercept_[0], atol=1e-5)


@pytest.mark.parametrize(("inputs", "size"), [(40, 60), (60, 8)])
def test_what_the_others_say_of_an_input_is_what_a_regression_without_it_says(inputs: int, size: int) -> None:
    labels = np.arange(inputs) % 2
    vectors = unit_vectors(inputs, size, labels)
    [(_, by_others)] = fit(vectors, labels.astype(float), [3.0])
    others = [np.arange(inputs) != left_out for left_out in range(inputs)]
    without = [fit(vectors[each], labels[each].astype(float), [3.0])[0].weights for each in others]
    exact = (vectors * np.array(without)[:, :-1]).sum(axis=1) + np.array(without)[:, -1]
    np.testing.assert_allclose(by_others, exact, atol=0.02)
    assert np.abs(exact - (vectors @ fit(vectors, labels.astype(float), [3.0])[0].weights[:-1])).max() > 0.2


@pytest.mark.parametrize("count", [2, 3])
def test_it_learns_each_label_and_says_how_sure_it_is(count: int) -> None:
    labels = np.arange(120) % count
    proxy = train(unit_vectors(120, 10, labels, noise=0.2), labels, count)
    likely = chances(proxy.weights, unit_vectors(120, 10, labels, noise=0.2))
    np.testing.assert_allclose(likely.sum(axis=1), 1)
    assert (likely.argmax(axis=1) == labels).mean() > 0.95 and proxy.is_wrong.sum() < 6


def test_labels_without_a_pattern_leave_as_many_errors_as_there_are() -> None:
    random = np.random.default_rng(1)
    labels = random.integers(0, 2, 300)
    vectors = unit_vectors(300, 5, np.zeros(300, dtype=int))
    proxy = train(vectors[:200], labels[:200], 2)
    assert 70 < proxy.is_wrong.sum() < 130
    doubt = float((1 - chances(proxy.weights, vectors[200:]).max(axis=1)).sum())
    assert 30 < proxy.errors(doubt) < 70
    assert proxy.errors(3 * doubt) == pytest.approx(3 * proxy.errors(doubt))
