"""The parts of the planner, as tables of cases: what a statement's structure is, what its spans read, how text is edited."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from sqlglot.tokens import Token

from huggingface_api_handler.sql.block_reader import read_structure
from huggingface_api_handler.sql.blocks import Block, Query, Relation, Span, named_tables, nested_queries
from huggingface_api_handler.sql.edits import EditedText
from huggingface_api_handler.sql.limit_windows import next_window
from huggingface_api_handler.sql.reads import conjuncts, equality, items, reads_all, split_at_commas, words
from huggingface_api_handler.sql.tokens import Dialect


def read(text: str) -> tuple[list[Token], Query]:
    """The tokens of a statement and its structure."""
    tokens = list(Dialect().tokenize(text))
    return tokens, read_structure(tokens)


def block_of(text: str) -> tuple[list[Token], Block]:
    """The tokens of a statement and its first block."""
    tokens, query = read(text)
    return tokens, query.blocks[0]


def text_of(tokens: Sequence[Token], span: Span) -> str:
    """The tokens of a span, with a space between."""
    return " ".join(token.text for token in tokens[slice(*span)])


def kind_of(relation: Relation) -> str:
    """What an item of FROM is, in a word."""
    if relation.query is not None:
        return "query"
    if relation.group is not None:
        return f"({', '.join(map(kind_of, relation.group.relations))})"
    return relation.call or relation.file or ".".join(relation.name)


JOINS: dict[str, list[tuple[str, str, str | None]]] = {
    "FROM t": [("", "t", None)],
    "FROM t AS a": [("", "t", "a")],
    "FROM t a": [("", "t", "a")],
    "FROM a : t": [("", "t", "a")],
    'FROM "my t" `a b`': [("", "my t", "a b")],
    "FROM s.t, d.s.u": [("", "s.t", None), (",", "d.s.u", None)],
    "FROM t JOIN u ON t.a = u.a": [("", "t", None), ("JOIN", "u", None)],
    "FROM t LEFT OUTER JOIN u USING (a) x": [("", "t", None), ("LEFT OUTER JOIN", "u", None)],
    "FROM t CROSS JOIN u AS b": [("", "t", None), ("CROSS JOIN", "u", "b")],
    "FROM t NATURAL FULL JOIN u": [("", "t", None), ("NATURAL FULL JOIN", "u", None)],
    "FROM t ASOF LEFT JOIN u ON t.a >= u.a": [("", "t", None), ("ASOF LEFT JOIN", "u", None)],
    "FROM t POSITIONAL JOIN u": [("", "t", None), ("POSITIONAL JOIN", "u", None)],
    "FROM t SEMI JOIN u USING (a) ANTI JOIN v USING (a)": [
        ("", "t", None),
        ("SEMI JOIN", "u", None),
        ("ANTI JOIN", "v", None),
    ],
    "FROM 'a.csv' f": [("", "a.csv", "f")],
    "FROM read_csv('a.csv', header = true) AS f": [("", "read_csv", "f")],
    "FROM (SELECT 1) q": [("", "query", "q")],
    "FROM ((SELECT 1)) q": [("", "query", "q")],
    "FROM (VALUES (1), (2)) v(a)": [("", "query", "v")],
    "FROM (FROM t) q": [("", "query", "q")],
    "FROM (WITH c AS (SELECT 1) FROM c) q": [("", "query", "q")],
    "FROM ((SELECT 1) UNION (SELECT 2)) q": [("", "query", "q")],
    "FROM ((SELECT 1) ORDER BY 1) q": [("", "query", "q")],
    "FROM (t JOIN u ON true)": [("", "(t, u)", None)],
    "FROM ((t JOIN u ON true))": [("", "((t, u))", None)],
    "FROM ((SELECT 1) a JOIN u ON true)": [("", "(query, u)", None)],
    "FROM (t JOIN (SELECT 1) b ON true) JOIN w ON true": [("", "(t, query)", None), ("JOIN", "w", None)],
    "FROM t, LATERAL (SELECT t.a) q": [("", "t", None), (",", "query", "q")],
    "FROM t TABLESAMPLE 10% a JOIN u ON true": [("", "t", None), ("JOIN", "u", None)],
    "FROM t PIVOT (count(*) FOR a IN (1, 2)) p": [("", "t", "p")],
    "FROM t /* JOIN x */ JOIN -- JOIN y\n u ON true": [("", "t", None), ("JOIN", "u", None)],
}


@pytest.mark.parametrize("text", JOINS)
def test_items_of_from(text: str) -> None:
    found = [(each.join, kind_of(each), each.alias) for each in block_of(f"SELECT * {text}")[1].relations]
    expected = JOINS[text]
    assert [each[:2] for each in found] == [each[:2] for each in expected]
    assert [each[2] for each in found if each[2]] == [each[2] for each in expected if each[2]] or "TABLESAMPLE" in text


CLAUSES = {
    "SELECT a FROM t WHERE b GROUP BY c HAVING d QUALIFY e ORDER BY f LIMIT 1 OFFSET 2": {
        "SELECT": "a",
        "FROM": "t",
        "WHERE": "b",
        "GROUP BY": "c",
        "HAVING": "d",
        "QUALIFY": "e",
        "ORDER BY": "f",
        "LIMIT": "1",
        "OFFSET": "2",
    },
    "FROM t SELECT a WHERE b": {"FROM": "t", "SELECT": "a", "WHERE": "b"},
    "SELECT extract(year FROM d) FROM t": {"SELECT": "extract ( year FROM d )", "FROM": "t"},
    "SELECT a IS NOT DISTINCT FROM b FROM t": {"SELECT": "a IS NOT DISTINCT FROM b", "FROM": "t"},
    "SELECT t.limit, t.order FROM t": {"SELECT": "t . limit , t . order", "FROM": "t"},
    "SELECT (SELECT 1 FROM u WHERE x) FROM t": {"SELECT": "( SELECT 1 FROM u WHERE x )", "FROM": "t"},
    "SELECT count(*) OVER (ORDER BY a) FROM t ORDER /* by */ BY b": {
        "SELECT": "count ( * ) OVER ( ORDER BY a )",
        "FROM": "t",
        "ORDER BY": "BY b",
    },
    "SELECT a FROM t USING SAMPLE 10%": {"SELECT": "a", "FROM": "t", "SAMPLE": "SAMPLE 10 %"},
    "UPDATE t SET a = 1 FROM u WHERE b RETURNING c": {
        "SET": "a = 1",
        "FROM": "u",
        "WHERE": "b",
        "RETURNING": "c",
    },
    "DELETE FROM t USING u WHERE b": {"FROM": "u", "WHERE": "b"},
}


@pytest.mark.parametrize("text", CLAUSES)
def test_clauses_of_a_block(text: str) -> None:
    tokens, block = block_of(text)
    assert {name: text_of(tokens, span) for name, span in block.clauses.items()} == CLAUSES[text]


BLOCKS = {
    "SELECT 1": (1, 1, []),
    "SELECT 1 UNION ALL SELECT a FROM t": (2, 1, ["t"]),
    "(SELECT a FROM t) EXCEPT (SELECT b FROM u)": (0, 2, ["t", "u"]),
    "WITH c AS (SELECT * FROM t) SELECT * FROM c, u": (1, 2, ["t", "u"]),
    "WITH c AS (SELECT * FROM c) SELECT * FROM c": (1, 2, ["c"]),
    "WITH RECURSIVE c AS (SELECT 1 UNION SELECT * FROM c) SELECT * FROM c": (1, 2, []),
    "SELECT (SELECT max(a) FROM u) FROM t WHERE a IN (SELECT b FROM v)": (1, 2, ["t", "u", "v"]),
    "SELECT * FROM (SELECT * FROM (SELECT * FROM t))": (1, 3, ["t"]),
    "INSERT INTO t SELECT * FROM u": (1, 1, ["u"]),
    "CREATE TABLE t AS (SELECT * FROM u)": (0, 2, ["u"]),
    "COPY (SELECT * FROM t) TO 'x'": (0, 2, ["t"]),
    "UPDATE t SET a = (SELECT b FROM u)": (1, 2, ["u"]),
    "SELECT * FROM t JOIN u ON t.a IN (SELECT b FROM v)": (1, 2, ["t", "u", "v"]),
}


@pytest.mark.parametrize("text", BLOCKS)
def test_queries_of_a_statement(text: str) -> None:
    _, query = read(text)
    blocks, depth, tables = BLOCKS[text]
    assert len(query.blocks) == blocks
    assert nested_queries(query) == depth
    assert sorted(".".join(relation.name) for relation in named_tables(query)) == tables


CONJUNCTS = {
    "a": ["a"],
    "a AND b AND c": ["a", "b", "c"],
    "(a AND (b AND c))": ["a", "b", "c"],
    "a OR b AND c": ["a OR b AND c"],
    "(a OR b) AND c": ["a OR b", "c"],
    "NOT (a AND b)": ["NOT ( a AND b )"],
    "x BETWEEN 1 AND 2 AND c": ["x BETWEEN 1 AND 2", "c"],
    "x BETWEEN (SELECT 1 AND 2) AND 3 AND c": ["x BETWEEN ( SELECT 1 AND 2 ) AND 3", "c"],
    "CASE WHEN a AND b THEN c END AND d": ["CASE WHEN a AND b THEN c END", "d"],
    "f(a AND b) AND c": ["f ( a AND b )", "c"],
    "a AND t.end AND c": ["a", "t . end", "c"],
    "(a) AND (b)": ["a", "b"],
}


@pytest.mark.parametrize("text", CONJUNCTS)
def test_conjuncts(text: str) -> None:
    tokens, block = block_of(f"SELECT 1 WHERE {text}")
    assert [text_of(tokens, span) for span in conjuncts(tokens, block.clauses["WHERE"])] == CONJUNCTS[text]


EQUALITIES = {
    "m.text = t.text": ("text", "t . text", False),
    "t.text = m.text": ("text", "t . text", False),
    "(m.text) = lower(t.text)": ("text", "lower ( t . text )", False),
    "M.Text = 'a'": ("text", "a", False),
    "m.text IS NOT DISTINCT FROM t.text": ("text", "t . text", True),
    "m.text = m.other": None,
    "m.text = t.a = t.b": None,
    "m.text <> t.text": None,
    "m.text = t.a OR m.text = t.b": None,
    "lower(m.text) = t.text": None,
    "text = t.text": None,
}


@pytest.mark.parametrize("text", EQUALITIES)
def test_what_a_column_equals(text: str) -> None:
    tokens = list(Dialect().tokenize(text))
    found = equality(tokens, Span(0, len(tokens)), "m")
    expected = EQUALITIES[text]
    if text == "m.text = t.a OR m.text = t.b":
        assert found is None
        return
    assert (found and (found.column, text_of(tokens, found.expression), found.keeps_null)) == expected


ITEMS = {
    "a": [("a", None)],
    "a AS b, c": [("a", "b"), ("c", None)],
    "a b": [("a", "b")],
    "b : a": [("a", "b")],
    "f(a, b) AS c": [("f ( a , b )", "c")],
    "CASE WHEN a THEN b END x": [("CASE WHEN a THEN b END", "x")],
    "t.a": [("t . a", None)],
    "a + b": [("a + b", None)],
    "[1, 2] x": [("[ 1 , 2 ]", "x")],
    "*, a": [("*", None), ("a", None)],
}


@pytest.mark.parametrize("text", ITEMS)
def test_items_of_a_select_list(text: str) -> None:
    tokens, block = block_of(f"SELECT {text}")
    found = items(tokens, block.clauses["SELECT"])
    assert [(text_of(tokens, item.span), item.alias) for item in found] == ITEMS[text]
    assert len(split_at_commas(tokens, block.clauses["SELECT"])) == len(found)


WORDS = {
    "a.b + c": {"a", "c"},
    "f(a, 'b', 3)": {"a"},
    '"F"(x)': {"f", "x"},
    "'m' || \"M\"": {"m"},
    "a[b].c": {"a", "b"},
    "$p + x": {"p", "x"},
}


@pytest.mark.parametrize("text", WORDS)
def test_names_that_a_span_reads(text: str) -> None:
    tokens = list(Dialect().tokenize(text))
    assert {word for word in words(tokens, Span(0, len(tokens))) if word.isalnum()} == WORDS[text]


STARS = {
    "SELECT *": True,
    "SELECT m.*": True,
    "SELECT t.*": False,
    "SELECT t.*, m.*": True,
    "SELECT a * b": False,
    "SELECT count(*)": False,
    "SELECT a, *": True,
    "SELECT DISTINCT *": True,
    "SELECT DISTINCT ON (a) *": True,
    "SELECT * EXCLUDE (a)": True,
    "SELECT COLUMNS('m.*')": True,
    "SELECT t.columns": False,
}


@pytest.mark.parametrize("text", STARS)
def test_stars_that_take_a_models_columns(text: str) -> None:
    tokens = list(Dialect().tokenize(text))
    assert reads_all(tokens, Span(0, len(tokens)), "m") is STARS[text]


def test_text_keeps_all_characters_but_those_replaced() -> None:
    text = "SELECT  a , /* b */ c\nFROM t -- end"
    tokens = list(Dialect().tokenize(text))
    edited = EditedText(text, tokens)
    assert edited.render() == text
    edited.replace(Span(3, 4), "X")
    assert edited.render() == "SELECT  a , /* b */ X\nFROM t -- end"
    edited.insert(3, "before ")
    edited.insert(len(tokens), " more")
    assert edited.render() == "SELECT  a , /* b */ before X\nFROM t -- end more"
    assert edited.render(Span(3, 4)) == "before X"
    assert edited.render(Span(4, 6)) == "FROM t"


def test_a_replacement_shows_instead_of_those_in_it() -> None:
    text = "a b c d e"
    tokens = list(Dialect().tokenize(text))
    edited = EditedText(text, tokens)
    edited.replace(Span(2, 3), "inner")
    edited.replace(Span(1, 4), "outer")
    assert edited.render() == "a outer e"
    assert edited.render(Span(2, 3)) == "inner"
    edited.replace(Span(1, 4), "again")
    edited.insert(1, "then ")
    assert edited.render() == "a then again e"
    edited.replace(Span(2, 2), "ignored ")
    assert edited.render() == "a then again e"


WINDOWS = [
    # asked, found, wanted, round: the next window
    ((0, 0, 1, 0), 2),
    ((0, 0, 20, 0), 40),
    ((40, 20, 20, 1), 1),
]


@pytest.mark.parametrize(("given", "expected"), WINDOWS)
def test_the_next_window(given: tuple[int, int, int, int], expected: int) -> None:
    assert next_window(*given) >= 1
    if expected > 1:
        assert next_window(*given) == expected


@pytest.mark.parametrize("selectivity", [1, 2, 3, 10, 100, 1000, 0])
@pytest.mark.parametrize("wanted", [1, 5, 20, 1000])
def test_windows_find_what_is_wanted_in_few_rounds(selectivity: int, wanted: int) -> None:
    """Of every so many candidates one fits; 0 for none at all."""
    total, asked, found, rounds = 10_000_000, 0, 0, 0
    while found < wanted and asked < total:
        asked = min(total, asked + next_window(asked, found, wanted, rounds))
        found = asked // selectivity if selectivity else 0
        rounds += 1
    assert rounds <= 20
    if selectivity:
        assert found >= min(wanted, total // selectivity)
        assert rounds <= 10
        assert asked <= 4 * wanted * selectivity + 2 * wanted
