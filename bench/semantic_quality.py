"""How good the answers to SemBench's film queries are, measured as SemBench does."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pandas as pd

from .film_reviews import stars

if TYPE_CHECKING:
    from huggingface_api_handler.sql import Connection

Rows = list[tuple[Any, ...]]

_LIMIT = re.compile(r" LIMIT (\d+)$")


def with_local_models(sql: str) -> str:
    """The query where the local server has no model that gives stars: they are made of how likely 'POSITIVE' is."""
    likely = r"(1 + 4 * coalesce(CAST(m.sentiment_explain ->> 'POSITIVE' AS DOUBLE), 0))"
    return sql.replace("m.stars::DOUBLE", likely).replace("JOIN stars AS m", "JOIN sentiment AS m")


def quality(connection: Connection, reviews: pd.DataFrame, name: str, truth_sql: str, sql: str) -> float:
    """Run a query and compare its rows with the right ones.

    Args:
        connection: It has the table, the models and the labels.
        reviews: The table.
        name: The query's name.
        truth_sql: The query over the labels.
        sql: The query.

    Returns:
        F1, 1 minus the relative error, or Spearman's correlation; at most 1.
    """
    rows = connection.sql(sql).fetchall()
    if name in ("Q9", "Q10"):
        return correlation(rows, scores_by_key(reviews, "review_id" if name == "Q9" else "movie"))
    limit = _LIMIT.search(truth_sql)
    right = connection.duckdb.execute(_LIMIT.sub("", truth_sql)).fetchall()
    if name in ("Q3", "Q4", "Q8"):
        return 1 - relative_error(rows, right)
    return f1(rows, right, int(limit[1]) if limit else len(right))


def f1(rows: Rows, right: Rows, wanted: int) -> float:
    """The harmonic mean of precision and recall.

    Args:
        rows: Those that were given.
        right: Those that may be given.
        wanted: How many of them are asked for.
    """
    found = (Counter(rows) & Counter(right)).total()
    return 2 * found / (len(rows) + wanted) if rows or wanted else 1.0


def relative_error(rows: Rows, right: Rows) -> float:
    """The mean error of the numbers in the last column, relative to the right ones, by the other columns."""
    given = {row[:-1]: float(row[-1]) for row in rows}
    return sum(abs(given.get(row[:-1], 0.0) / float(row[-1]) - 1) for row in right) / len(right)


def scores_by_key(reviews: pd.DataFrame, key: str) -> dict[Any, float]:
    """The mean of what reviewers gave, of each review or film; without those that gave nothing on a scale."""
    given = pd.Series([stars(score) for score in reviews["original_score"]], dtype=float)
    means: dict[Any, float] = given.groupby(reviews[key].to_numpy()).mean().dropna().to_dict()
    return means


def correlation(rows: Rows, right: dict[Any, float]) -> float:
    """Spearman's correlation of scores with the right ones, where there are right ones.

    Args:
        rows: Key and score.
        right: The right score by key.
    """
    pairs = [(score, right[key]) for key, score in rows if score is not None and key in right]
    table = pd.DataFrame(pairs, columns=["given", "right"]).rank()
    return float(table["given"].corr(table["right"]))
