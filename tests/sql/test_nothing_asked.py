"""Statements that ask about models' columns and not about rows send nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from huggingface_api_handler.errors import InputError
from tests.sql.home import Home, running_home


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with running_home() as home:
        yield home


@pytest.mark.parametrize("word", ["DESCRIBE", "DESC", "describe"])
def test_describe_of_a_query_asks_no_model(home: Home, word: str) -> None:
    home.forget()
    rows = home.rows(f"{word} SELECT t.id, m.sentiment, m.sentiment_confidence FROM t JOIN sentiment AS m LIMIT 2")
    assert [row[:2] for row in rows] == [
        ("id", "INTEGER"),
        ("sentiment", "VARCHAR"),
        ("sentiment_confidence", "DOUBLE"),
    ]
    assert home.requests == 0
    assert home.leftovers() == []


def test_explain_analyze_is_refused_before_anything_is_asked(home: Home) -> None:
    home.forget()
    with pytest.raises(InputError, match="EXPLAIN ANALYZE is not there for models yet"):
        home.rows("EXPLAIN ANALYZE SELECT t.id, m.sentiment FROM t JOIN sentiment AS m")
    assert home.requests == 0
    assert home.leftovers() == []


@pytest.mark.parametrize("before", ["", "-- what would it cost?\n", "/* what /* would */ it cost? */ "])
def test_explain_may_have_a_comment_before_it(home: Home, before: str) -> None:
    home.forget()
    ((model, rows, *_),) = home.rows(f"{before}EXPLAIN SELECT t.id, m.sentiment FROM t JOIN sentiment AS m")
    assert (model, rows) == ("sentiment", 6)
    assert home.requests == 0
