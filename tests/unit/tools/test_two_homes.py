"""The statements that both homes run, and the page that is made of them."""

from __future__ import annotations

import json

import pytest

from tests.support.sql_statements import EXPECTED, Statement, expected_of, files, statements_of
from tools import generated, two_homes

STATEMENTS = [statement for file in files() for statement in statements_of(file)]
TESTED = [statement for statement in STATEMENTS if statement.expect != "prepares"]


def test_the_page_is_what_the_tool_would_write() -> None:
    assert generated.outdated({two_homes.PAGE: two_homes.page()}) == [], "run `python -m tools.two_homes`"


def test_there_are_enough_statements_and_each_has_a_name_of_its_own() -> None:
    assert len(TESTED) >= 120
    names = [(statement.file, statement.id) for statement in STATEMENTS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("statement", TESTED, ids=lambda each: f"{each.file} {each.id}")
def test_what_is_stored_is_what_is_expected(statement: Statement) -> None:
    stored = expected_of(statement.file).get(statement.id, {})
    assert ("rows" in stored) == (statement.expect in ("rows", "rows in order"))
    assert ("mindsdb" in stored) == (statement.mindsdb == "other rows")


def test_nothing_is_stored_of_statements_that_are_gone() -> None:
    known = {(statement.file, statement.id) for statement in TESTED}
    stored = {(path.stem, key) for path in EXPECTED.glob("*.json") for key in json.loads(path.read_text("utf-8"))}
    assert stored <= known
