"""LIMIT before a model: candidates are numbered once, and asked in windows until enough rows are found."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from sqlglot.tokens import Token, TokenType

from .blocks import Block, Relation, Span
from .functions import Functions
from .model_joins import ModelJoin
from .pushdown import reading_aliases
from .reads import items, keywords, split_at_commas, words

CANDIDATE = "__hf_n"
"""The number of a candidate."""

MAX_CANDIDATES = 10_000_000
"""Rows that are numbered, of a product perhaps. Where these do not fill LIMIT, all inputs are asked."""

_CAREFUL_ROUNDS = 4
_SPARE_SHARE = 0.3
_MAX_WINDOW_GROWTH = 4
"""How many times as many candidates the next window may make it, where few were found."""

_FEW = 3
"""Rows of which the share of those that fit is not known well."""

_UNFIT = {"GROUP BY", "HAVING", "QUALIFY", "SAMPLE", "FETCH", "WINDOW", "RETURNING"}
_UNFIT_WORDS = {"over", "unnest", "distinct", "columns"}


class Limited(NamedTuple):
    """A block of which only some rows are wanted.

    Attributes:
        rows: LIMIT and OFFSET together, as an expression.
        order: The expressions of ORDER BY with their directions, each readable before the SELECT list; none without.
    """

    rows: str
    order: list[tuple[str, str]]


def limited(
    tokens: Sequence[Token],
    block: Block,
    joins: Mapping[Relation, ModelJoin],
    functions: Functions,
    render: Callable[[Span], str],
) -> Limited | None:
    """Whether a block may be answered from its first candidates.

    Args:
        tokens: The statement's.
        block: The block, with its models.
        joins: All models of the block.
        functions: DuckDB's.
        render: Gives the text of some tokens.

    Returns:
        What is wanted of it; None where all rows count, or the order depends on a model.
    """
    clauses = block.clauses
    if "LIMIT" not in clauses or _UNFIT & set(clauses) or len(block.query.blocks) > 1 or block.query.children:
        return None
    if any(relation.join.startswith(("POSITIONAL", "ASOF")) for relation in block.relations):
        return None
    whole = Span(block.start, block.end)
    if keywords(tokens, whole) & _UNFIT_WORDS or functions.volatile_calls(tokens, whole):
        return None
    if "SELECT" in clauses and functions.is_aggregated(tokens, clauses["SELECT"]):
        return None
    limit = {token.text.upper() for token in tokens[slice(*clauses["LIMIT"])]}
    if not limit or limit & {"%", "PERCENT", "ALL"}:
        return None
    order = _order(tokens, block, list(joins.values()), render)
    if order is None:
        return None
    counts = [render(clauses[name]) for name in ("LIMIT", "OFFSET") if name in clauses]
    return Limited(" + ".join(f"CAST(({count}) AS HUGEINT)" for count in counts), order)


def numbered_candidates(
    ids: Mapping[str, str], source: str, conditions: Sequence[str], order: Sequence[tuple[str, str]], most: int
) -> str:
    """The query of the rows that LIMIT chooses from, numbered from 1.

    Args:
        ids: The names of the columns that tell the rows apart, by their expressions.
        source: What stands in FROM.
        conditions: What the rows must fulfil.
        order: Expressions with their directions; none for any order.
        most: How many rows.

    Returns:
        The query.
    """
    keys = {f"__hf_k{number}": key for number, key in enumerate(order)}
    shown = [
        *(f"{id_} AS {name}" for id_, name in ids.items()),
        *(f"({key}\n) AS {name}" for name, (key, _) in keys.items()),
    ]
    where = " WHERE " + " AND ".join(f"({each}\n)" for each in conditions) if conditions else ""
    by = ", ".join(f"{name} {direction}" for name, (_, direction) in keys.items())
    sorted_by = f" ORDER BY {by}" if by else ""
    rows = f"SELECT {', '.join(shown)} FROM {source}{where}{sorted_by} LIMIT {most}"
    return f"SELECT row_number() OVER ({sorted_by}) AS {CANDIDATE}, {', '.join(ids.values())} FROM ({rows})"


def next_window(candidates: int, found: int, wanted: int, rounds: int) -> int:
    """How many more candidates to ask, by how many of those before fit.

    In the first rounds no more are asked than 1.3 times those that a reader row by row would have asked, and twice what
    is wanted. Then the share of those that fit is known well enough, or is so small that rounds cost more than inputs.
    A count of so many rows spreads by their square root, which is added, or the last rounds would be many.

    Args:
        candidates: Asked so far.
        found: How many of them the statement keeps.
        wanted: How many it wants.
        rounds: How often candidates were asked.

    Returns:
        At least 1.
    """
    missing = max(wanted - found, 1)
    if not candidates:
        return 2 * missing
    expected = math.ceil((missing + math.sqrt(missing)) * candidates / max(found, 1))
    if rounds < _CAREFUL_ROUNDS:
        most = int(_SPARE_SHARE * candidates) + 2 * wanted
    elif found < _FEW:
        expected, most = max(expected, candidates), (_MAX_WINDOW_GROWTH - 1) * candidates
    else:
        most = expected
    return max(missing, min(expected, most))


def _order(
    tokens: Sequence[Token], block: Block, joins: Sequence[ModelJoin], render: Callable[[Span], str]
) -> list[tuple[str, str]] | None:
    if "ORDER BY" not in block.clauses:
        return []
    listed = items(tokens, block.clauses["SELECT"]) if "SELECT" in block.clauses else []
    reading = reading_aliases(tokens, block, joins)
    by_alias = {item.alias: item.span for item in listed if item.alias is not None}
    order = []
    for span in split_at_commas(tokens, block.clauses["ORDER BY"]):
        expression, direction = _direction(tokens, span)
        texts = [token.text.lower() for token in tokens[slice(*expression)]]
        if len(texts) == 1 and tokens[expression.start].token_type is TokenType.NUMBER:
            number = int(texts[0]) - 1 if texts[0].isdigit() else -1
            before = listed[: number + 1]
            if not 0 <= number < len(listed) or any(_is_star(tokens, item.span) for item in before):
                return None
            expression = listed[number].span
        elif len(texts) == 1 and texts[0] in by_alias:
            if texts[0] in reading:
                return None
            expression = by_alias[texts[0]]
        elif any(alias in words(tokens, expression) for alias in by_alias):
            return None
        names = words(tokens, expression)
        if "all" in names or any(join.reads(names) for join in joins):
            return None
        order.append((render(expression), render(direction)))
    return order


def _direction(tokens: Sequence[Token], span: Span) -> tuple[Span, Span]:
    end = span.end
    while end > span.start + 1 and tokens[end - 1].text.upper() in {"ASC", "DESC", "NULLS", "FIRST", "LAST"}:
        end -= 1
    return Span(span.start, end), Span(end, span.end)


def _is_star(tokens: Sequence[Token], span: Span) -> bool:
    first, last = tokens[span.start], tokens[span.end - 1]
    return TokenType.STAR in (first.token_type, last.token_type) or first.text.upper() == "COLUMNS"
