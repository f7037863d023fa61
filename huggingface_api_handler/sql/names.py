"""Names as MindsDB writes them, and views over models, put into words that DuckDB and the planner know."""

from __future__ import annotations

from collections.abc import Callable, Collection
from difflib import get_close_matches

from sqlglot.tokens import Token, TokenType

from ..errors import InputError
from .block_reader import read_structure
from .blocks import named_tables
from .result import quoted
from .tokens import Statement, statements_of

MIN_LIKENESS = 0.6
"""Of two names, one of which may be meant where the other is written."""

_MAX_VIEWS = 100
"""Views within views: more are views that name each other."""

PROJECT = "mindsdb"
"""What MindsDB puts before the names of models."""

PROJECTS = frozenset({PROJECT, "files"})
"""And before those of uploaded files."""


def without_projects(statement: Statement, has_schema: Callable[[str], bool]) -> Statement:
    """Take ``mindsdb.`` off the names of a statement, and ``files.`` where no schema has that name.

    Args:
        statement: As the person wrote it.
        has_schema: Whether the database has a schema of a name.

    Returns:
        The statement, where it has no such names the same.
    """
    aliases = {
        token.text.lower()
        for token, after in zip(statement.tokens, (*statement.tokens[1:], None), strict=True)
        if after is None or after.token_type is not TokenType.DOT
    }
    ctes = {
        name.text.lower()
        for name, word, bracket in zip(statement.tokens, statement.tokens[1:], statement.tokens[2:], strict=False)
        if word.token_type is TokenType.ALIAS and bracket.token_type is TokenType.L_PAREN
    }
    removed = [
        (token.start, following.start)
        for before, token, dot, following in _quadruples(list(statement.tokens))
        if dot.token_type is TokenType.DOT
        and (before is None or before.token_type is not TokenType.DOT)
        and token.text.lower() in PROJECTS - aliases
        and following.text.lower() not in ctes  # which would hide the model
        and token.token_type is not TokenType.STRING
        and not has_schema(token.text)
    ]
    return _replaced(statement, [(start, end, "") for start, end in removed])


def with_as(statement: Statement) -> Statement:
    """Put AS between a new table's name and its query, which MindsDB's CREATE TABLE has without.

    Args:
        statement: As the person wrote it.

    Returns:
        The statement; any other as it is.
    """
    if statement.words[:1] != ("CREATE",) or "TABLE" not in statement.words or not statement.is_readable:
        return statement
    tokens = statement.tokens
    for before, bracket, first in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if bracket.token_type is TokenType.L_PAREN:
            is_name = before.token_type in (TokenType.VAR, TokenType.IDENTIFIER)
            is_query = first.token_type in (TokenType.SELECT, TokenType.WITH, TokenType.FROM)
            return _replaced(statement, [(bracket.start, bracket.start, "AS ")] if is_name and is_query else [])
        if bracket.token_type is TokenType.ALIAS:
            break
    return statement


def misspelt(statement: Statement, names: Collection[str]) -> tuple[str, str] | None:
    """A table of a statement that may be meant to be a model.

    Args:
        statement: One that DuckDB cannot read: a JOIN without ON is one with a model.
        names: Of models and views, in lower case.

    Returns:
        What the statement names, and the nearest model; None where none is near.
    """
    try:
        relations = named_tables(read_structure(statement.tokens))
    except InputError:  # such as a text that is not closed, of which DuckDB says enough
        return None
    for relation in relations:
        near = get_close_matches(relation.name[-1].lower(), names, n=1, cutoff=MIN_LIKENESS)
        if (
            near
            and near[0] != relation.name[-1].lower()
            and relation.join
            and relation.on is None
            and relation.using is None
        ):
            return relation.name[-1], near[0]
    return None


def with_views(statement: Statement, query_of: Callable[[str], str | None]) -> Statement:
    """Put the SELECT of each view over a model in the place of its name.

    Args:
        statement: The statement.
        query_of: Gives the SELECT of a view by its name; None for any other name.

    Returns:
        The statement without such views.

    Raises:
        InputError: Views name each other.
    """
    for _ in range(_MAX_VIEWS):
        tokens = statement.tokens
        edits = []
        for relation in named_tables(read_structure(tokens)):
            query = query_of(relation.name[-1]) if len(relation.name) == 1 else None
            if query is not None:
                start, end = tokens[relation.reference_start].start, tokens[relation.reference_end - 1].end + 1
                alias = "" if relation.alias is not None else f" AS {quoted(relation.name[-1])}"
                select = f"SELECT * FROM {query}" if query.startswith("(") else query
                edits.append((start, end, f"({select}\n){alias}"))
        if not edits:
            return statement
        statement = _replaced(statement, edits)
    raise InputError("views over models name each other, or stand in each other more than 100 deep")


def _quadruples(tokens: list[Token]) -> list[tuple[Token | None, Token, Token, Token]]:
    return [
        (tokens[position - 1] if position else None, tokens[position], tokens[position + 1], tokens[position + 2])
        for position in range(len(tokens) - 2)
    ]


def _replaced(statement: Statement, edits: list[tuple[int, int, str]]) -> Statement:
    if not edits:
        return statement
    text = statement.source
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    (replaced,) = statements_of(text)
    return replaced
