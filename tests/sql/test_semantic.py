"""SemBench's ten film queries ask for no more inputs than they need, and give what plain DuckDB gives over the labels.

The service was told every label, and counts. The table is made with a seed, like SemBench's.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pytest

from bench.film_reviews import make_reviews
from bench.labelled_service import LabelledService, running_labelled_service
from bench.measure import Results
from bench.semantic import QUESTIONS, SELECTIVITIES, check_question, check_selectivity, truth


@pytest.fixture(scope="module")
def reviews() -> pd.DataFrame:
    return make_reviews()


@pytest.fixture(scope="module")
def service(reviews: pd.DataFrame) -> Iterator[LabelledService]:
    with running_labelled_service(truth(reviews)) as running:
        yield running


def failed(results: Results) -> list[object]:
    """The checks that do not hold. A quick run of the benchmark has the same."""
    assert any(check["passed"] for check in results.checks)
    return [check for check in results.checks if check["passed"] is False]


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_query_asks_for_no_more_than_it_needs(service: LabelledService, reviews: pd.DataFrame, name: str) -> None:
    results = Results("semantic", quick=True, body={"cases": {}})
    check_question(results, service, reviews, name, QUESTIONS[name])
    assert not failed(results)


@pytest.mark.parametrize("name", SELECTIVITIES)
def test_a_limit_is_found_in_few_rounds_however_few_rows_fit(name: str) -> None:
    results = Results("semantic", quick=True, body={"cases": {}})
    check_selectivity(results, name, rows=30_000)
    assert not failed(results)
