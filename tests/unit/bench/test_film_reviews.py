"""What ``bench.semantic`` compares with is right: the table with a seed, the fewest inputs, and how quality is measured."""

from __future__ import annotations

from collections import Counter

import pytest

from bench.film_reviews import EMPTY_TEXTS, FEW_POSITIVE_FILM, PAIRED_FILM, make_reviews, published, stars
from bench.semantic import QUESTIONS, distinct_inputs, fewest_until, over_truth, truth
from bench.semantic_quality import correlation, f1, relative_error


def test_the_table_with_a_seed_is_like_sembenchs() -> None:
    reviews = make_reviews()
    sizes = reviews["movie"].value_counts()
    assert (len(reviews), len(sizes)) == (2000, 105)
    assert (sizes[PAIRED_FILM], len(distinct_inputs(reviews, PAIRED_FILM))) == (256, 128)
    assert (sizes[FEW_POSITIVE_FILM], len(distinct_inputs(reviews, FEW_POSITIVE_FILM))) == (120, 119)
    few = reviews[reviews["movie"] == FEW_POSITIVE_FILM]
    assert (few["sentiment"] == "POSITIVE").sum() == 14
    assert 0.7 < (reviews["sentiment"] == "POSITIVE").mean() < 0.78
    assert sum(not isinstance(text, str) or not text.strip() for text in reviews["text"]) == EMPTY_TEXTS
    assert reviews.equals(make_reviews()) and not reviews.equals(make_reviews(1))


def test_every_published_query_has_a_question() -> None:
    assert list(published()) == list(QUESTIONS)
    assert {len(systems) for systems in published().values()} == {3, 4}


def test_every_text_that_is_not_empty_has_labels() -> None:
    reviews = make_reviews()
    labels = truth(reviews)
    texts = set(distinct_inputs(reviews, None))
    assert set(labels["sentiment"]) == texts == set(labels["stars"])
    assert set(labels["stars"].values()) <= {"1", "2", "3", "4", "5"}


def test_the_fewest_inputs_are_those_up_to_the_last_row_that_is_wanted() -> None:
    labels = {"a": "NEGATIVE", "b": "POSITIVE", "c": "POSITIVE", "d": "NEGATIVE"}
    rows = Counter("abbcd")
    assert [fewest_until(list("abcd"), labels, rows, limit) for limit in (1, 2, 3, 4)] == [2, 2, 3, 4]


def test_no_model_is_left_in_the_queries_over_labels() -> None:
    for question in QUESTIONS.values():
        assert "JOIN sentiment" not in over_truth(question.sql) and "JOIN stars" not in over_truth(question.sql)


@pytest.mark.parametrize(
    "written, expected",
    [("3/5", 3.4), ("75/100", 4), ("2 of 2", 5), ("B-", 3.67), ("A+", 5), ("3.5", None), ("Great", None), (None, None)],
)
def test_scores_of_reviewers_are_read_on_one_scale(written: str | None, expected: float | None) -> None:
    assert stars(written) == (expected if expected is None else pytest.approx(expected))


def test_quality_is_one_where_all_is_right_and_less_where_it_is_not() -> None:
    right = [("POSITIVE", 10), ("NEGATIVE", 20)]
    assert f1(right, right, 2) == 1 and f1(right[:1], right, 2) == pytest.approx(2 / 3)
    assert relative_error(right, right) == 0 and relative_error([("POSITIVE", 5)], right) == pytest.approx(0.75)
    scores = {number: float(number) for number in range(5)}
    assert correlation(list(scores.items()), scores) == pytest.approx(1)
    assert correlation([(key, -score) for key, score in scores.items()], scores) == pytest.approx(-1)
