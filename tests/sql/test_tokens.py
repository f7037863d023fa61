"""A script is cut where DuckDB cuts it, in seconds whatever it holds; arguments behind USING are taken off and no others."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huggingface_api_handler.errors import InputError
from huggingface_api_handler.sql.tokens import MAX_MODEL_STATEMENT_CHARS, Statement, statements_of


def sources(script: str) -> list[str]:
    return [statement.source for statement in statements_of(script)]


def only(script: str) -> Statement:
    (statement,) = statements_of(script)
    return statement


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
        ("", []),
        (" ;\n; -- nothing\n; /* ; */ ;", []),
        ("SELECT ';' AS a; SELECT 2", ["SELECT ';' AS a", "SELECT 2"]),
        ("SELECT 'it''s;' ; SELECT 2", ["SELECT 'it''s;'", "SELECT 2"]),
        ("SELECT E'a\\';b' ; SELECT 2", ["SELECT E'a\\';b'", "SELECT 2"]),
        ("SELECT 'a\\'; SELECT 2", ["SELECT 'a\\'", "SELECT 2"]),
        ('SELECT 1 AS "a;""b"; SELECT 2', ['SELECT 1 AS "a;""b"', "SELECT 2"]),
        ("SELECT 1 AS `a;b`; SELECT 2", ["SELECT 1 AS `a;b`", "SELECT 2"]),
        ("SELECT $$a;b$$; SELECT $t$ ; $$ ; $t$", ["SELECT $$a;b$$", "SELECT $t$ ; $$ ; $t$"]),
        ("SELECT 1 AS a$b$c; SELECT 2 AS d$b$e", ["SELECT 1 AS a$b$c", "SELECT 2 AS d$b$e"]),
        ("SELECT 1 -- a;b\n, 2; SELECT 3", ["SELECT 1 -- a;b\n, 2", "SELECT 3"]),
        ("SELECT 1 /* a; /* b; */ c; */, 2; SELECT 3", ["SELECT 1 /* a; /* b; */ c; */, 2", "SELECT 3"]),
        ("-- first\nSELECT 1", ["-- first\nSELECT 1"]),
        ("SELECT 1; SELECT 'open; SELECT 2", ["SELECT 1", "SELECT 'open; SELECT 2"]),
        ("SELECT 1; SELECT 2 /* open; SELECT 3", ["SELECT 1", "SELECT 2 /* open; SELECT 3"]),
        ("SELECT 1; SELECT $$open; SELECT 3", ["SELECT 1", "SELECT $$open; SELECT 3"]),
        ("SELECT name$1, $1; SELECT 2", ["SELECT name$1, $1", "SELECT 2"]),
    ],
)
def test_a_script_is_cut_at_semicolons_that_end_a_statement(script: str, expected: list[str]) -> None:
    assert sources(script) == expected


def test_mindsdbs_statements_have_strings_with_backslashes() -> None:
    script = "CREATE MODEL m PREDICT a USING prompt_template = 'it\\'s; so', x = \"a\\\";b\"; SELECT 'a\\'; SELECT 2"
    assert len(sources(script)) == 3


@given(st.text(alphabet="'\"`;$-/*\\\nEe ab1", max_size=40))
@settings(max_examples=400, deadline=None)
def test_duckdb_cuts_at_the_same_places(text: str) -> None:
    """Of what DuckDB can read at all, and of what has no command of ours in it."""
    script = f"SELECT 1 AS a;{text};SELECT 2 AS b"
    try:
        theirs = [statement.query.strip().rstrip(";").strip() for statement in duckdb.extract_statements(script)]
    except (duckdb.Error, AttributeError):
        return
    ours = [statement.source for statement in statements_of(script)]
    assert len(ours) == len(theirs)


@pytest.mark.parametrize(
    "script",
    [
        "INSERT INTO t VALUES " + ",".join(f"({number}, 'row {number}')" for number in range(450_000)),
        "''" * 500_000,
        "'" * 1_000_001,
        "/*" * 500_000,
        "/**/" * 250_000,
        "$a$" * 300_000,
        "".join(f"$a{number}$" for number in range(100_000)),
        "e'\\'" * 250_000,
        "-" * 1_000_000,
        "--\n" * 330_000,
        "CREATE MODEL '" * 70_000,
        "e'" + "\\" * 1_000_000,
        "CREATE" + " /**/" * 200_000,
        "a" * 1_000_000,
    ],
    ids=lambda script: script[:12],
)
def test_megabytes_are_cut_in_one_pass(script: str) -> None:
    """Each takes a second at most; what is not linear would never end."""
    assert len(statements_of(script)) <= 1
    assert len(statements_of(";" * 1_000_000 + script)) <= 1


def test_too_many_statements_are_refused_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_api_handler.sql.tokens.MAX_STATEMENTS", 3)
    assert len(statements_of("a;b;c;")) == 3
    with pytest.raises(InputError, match="at most 3 statements"):
        statements_of("a;b;c;d")


def test_a_long_statement_is_read_by_duckdb_alone() -> None:
    statement = only("SELECT '" + "m " * (MAX_MODEL_STATEMENT_CHARS // 2) + "' AS a")
    assert not statement.may_name({"m"})
    with pytest.raises(InputError, match="at most 1,000,000 characters"):
        _ = statement.tokens


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("select 1", ("SELECT",)),
        ("  /* a */ create -- b\n or replace model `m`", ("CREATE", "OR", "REPLACE", "MODEL")),
        ("SHOW ML_ENGINES", ("SHOW", "ML_ENGINES")),
        (
            "CREATE OR REPLACE MODEL IF NOT EXISTS a PREDICT b",
            ("CREATE", "OR", "REPLACE", "MODEL", "IF", "NOT", "EXISTS", "A"),
        ),
        ("(SELECT 1)", ()),
    ],
)
def test_the_first_words_tell_what_a_statement_is(text: str, words: tuple[str, ...]) -> None:
    assert only(text).words == words


@pytest.mark.parametrize(
    ("text", "left", "using"),
    [
        ("SELECT * FROM t JOIN m USING top_k = 3", "SELECT * FROM t JOIN m", {"top_k": 3}),
        (
            "SELECT * FROM m USING m.a = 'it''s', b = -1.5, c = {'x': [1, null, true]}, d = hf, e = .5, f = \"t\"",
            "SELECT * FROM m",
            {"m.a": "it's", "b": -1.5, "c": {"x": [1, None, True]}, "d": "hf", "e": 0.5, "f": "t"},
        ),
        ("CREATE TABLE x AS SELECT * FROM m USING a = 1 -- so", "CREATE TABLE x AS SELECT * FROM m", {"a": 1}),
        ("SELECT 1 USING `my arg` = 1e3, limit = 2", "SELECT 1", {"my arg": 1000.0, "limit": 2}),
        ("SELECT 1 USING a = [], b = {}", "SELECT 1", {"a": [], "b": {}}),
    ],
)
def test_arguments_at_the_end_are_taken_off(text: str, left: str, using: dict[str, object]) -> None:
    statement = only(text)
    assert (statement.text, statement.using) == (left, using)
    assert statement.tokens[-1].end < len(left)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM a JOIN b USING (id) JOIN m",
        "SELECT * FROM t USING SAMPLE 10%",
        "SELECT * FROM t USING SAMPLE reservoir(5 ROWS)",
        "PIVOT c ON y USING sum(p)",
        "DELETE FROM a USING b WHERE a.x = b.x",
        "WITH RECURSIVE t(a) USING KEY (a) AS (SELECT 1) SELECT * FROM t",
        "ALTER TABLE t ALTER c TYPE BOOLEAN USING c = 5",
        "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE",
        "SELECT 'USING a = 1'",
        "SELECT 1 -- USING a = 1",
        "SELECT 1 /* USING a = 1 */",
        "SELECT $$ USING a = 1 $$",
        'SELECT 1 AS "USING a = 1"',
    ],
)
def test_another_using_stays(text: str) -> None:
    statement = only(text)
    assert (statement.text, statement.arguments) == (text, ())


def test_arguments_hold_for_their_own_subselect() -> None:
    text = "SELECT * FROM (SELECT * FROM t JOIN m USING top_k = 1, n.x = 4) JOIN n USING top_k = 2, y = 3"
    statement = only(text)
    inner, outer = statement.text.index("m "), statement.text.rindex("n")
    assert statement.text == f"SELECT * FROM (SELECT * FROM t JOIN m{' ' * 25}) JOIN n"
    assert statement.arguments_at(inner, "m") == {"top_k": 1, "y": 3}
    assert statement.arguments_at(outer, "n") == {"top_k": 2, "y": 3}


def test_arguments_of_one_model_are_not_anothers() -> None:
    statement = only("SELECT * FROM t JOIN a JOIN b AS c USING A.x = 1, c.x = 2, z = 3")
    assert statement.arguments_at(20, "a") == {"x": 1, "z": 3}
    assert statement.arguments_at(27, "c", "b") == {"x": 2, "z": 3}
    statement.refuse_other_models({"a", "b", "c"})
    with pytest.raises(InputError, match=r"uses no model 'c'"):
        statement.refuse_other_models({"a", "b"})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("SELECT 1 USING a = 1 ORDER BY 2", "last clause"),
        ("SELECT 1 USING a = 1 UNION SELECT 2", "last clause"),
        ("SELECT 1 USING a = 1 b = 2", "comma"),
        ("SELECT 1 USING a = ?", "Parameters"),
        ("SELECT 1 USING a = $1", "Parameters"),
        ("SELECT 1 USING a = 1, A = 2", "twice"),
        ("SELECT 1 USING a =", "missing"),
        ("SELECT 1 USING a = [1, 2", r"\] at the end"),
        ("SELECT 1 USING a = {'b' 1}", ": behind"),
        ("SELECT 1 USING a = *", "no value"),
        ("SELECT 1 USING a = " + "[" * 100, "too deeply"),
        ("SELECT 1 USING a = 1,", "name of an argument"),
    ],
)
def test_arguments_that_cannot_be_read_get_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        _ = only(text).tokens


def test_many_arguments_are_read_in_one_pass() -> None:
    listed = ", ".join(f"a{number} = {number}" for number in range(10_000))
    assert len(only(f"SELECT 1 USING {listed}").using or {}) == 10_000


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("SELECT * FROM t JOIN Sentiment", True),
        ('SELECT * FROM "SENTIMENT"', True),
        ("SELECT * FROM `sentiment`", True),
        ("SELECT 'sentiment'", False),
        ("SELECT $$sentiment$$ -- sentiment", False),
        ("SELECT 1 /* sentiment */", False),
        ("SELECT a FROM t", False),
        ("SELECT sentiment_score, my_sentiment FROM sentiments", False),
    ],
)
def test_a_name_is_looked_for_outside_of_texts(text: str, found: bool) -> None:
    assert only(text).may_name({"sentiment"}) is found


def test_a_quoted_name_with_quotes_is_found() -> None:
    assert only('SELECT * FROM "my ""m"""').may_name({'my "m"'})


def test_names_are_words_and_quoted_names() -> None:
    assert only("SELECT 'x' AS y, \"Z\" FROM `q r`").names >= {"y", "z", "q r"}
    assert "x" not in only("SELECT 'x' AS y").names
