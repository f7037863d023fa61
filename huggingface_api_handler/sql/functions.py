"""What DuckDB's functions do: which may answer otherwise when they are called again, and which make one row of many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlglot.tokens import Token, TokenType

from .blocks import Span
from .reads import is_call
from .tokens import Dialect

_MOMENTS = frozenset(
    {
        "now",
        "today",
        "age",
        "current_date",
        "current_time",
        "current_timestamp",
        "localtime",
        "localtimestamp",
        "current_localtime",
        "current_localtimestamp",
        "get_current_time",
        "get_current_timestamp",
        "transaction_timestamp",
        "txid_current",
        "currval",
    }
)
"""Functions that are the same in one statement, and not in the next."""

_SYNTAX = frozenset(
    {
        "all",
        "any",
        "array",
        "cast",
        "coalesce",
        "columns",
        "extract",
        "grouping",
        "grouping_id",
        "if",
        "ifnull",
        "map",
        "nullif",
        "overlay",
        "position",
        "row",
        "some",
        "struct",
        "substring",
        "trim",
        "try_cast",
        "unpack",
    }
)
"""What is called like a function, and is not in the list of them."""


@dataclass(frozen=True)
class Functions:
    """The functions of a DuckDB.

    Attributes:
        volatile: Those that may answer otherwise when they are called again, in lower case.
        aggregates: Those that make one row of many.
        names: All that come with it. Any other is a person's own, of which nothing is functions.
    """

    volatile: frozenset[str]
    aggregates: frozenset[str]
    names: frozenset[str]

    def volatile_calls(self, tokens: Sequence[Token], span: Span) -> set[str]:
        """The functions in a span that may answer otherwise when they are called again.

        Args:
            tokens: The statement's.
            span: Any part of it.

        Returns:
            Their names, a person's own macros among them.
        """
        found = set()
        for position in range(*span):
            token = tokens[position]
            name = token.text.lower()
            is_name = (
                token.token_type is TokenType.VAR and is_call(tokens, position) and not _is_alias(tokens, position)
            )
            is_unknown = is_name and name not in self.names and name not in _SYNTAX
            if is_unknown or (name in self.volatile and (name in _MOMENTS or is_call(tokens, position))):
                found.add(name)
        return found

    def is_aggregated(self, tokens: Sequence[Token], span: Span) -> bool:
        """Whether an aggregate stands in an expression, and is no window function.

        Args:
            tokens: The statement's.
            span: The expressions.

        Returns:
            True where there may be one.
        """
        return any(
            tokens[position].text.lower() in self.aggregates
            and is_call(tokens, position)
            and not _is_window(tokens, position + 1, span.end)
            for position in range(*span)
        )

    def aggregates_in(self, tokens: Sequence[Token], span: Span) -> bool:
        """Whether an aggregate stands anywhere in a span.

        Args:
            tokens: The statement's.
            span: Any part of it.

        Returns:
            True also for window functions.
        """
        return any(
            tokens[position].text.lower() in self.aggregates and is_call(tokens, position) for position in range(*span)
        )


_by_version: dict[str, Functions] = {}


def functions_of(rows: Callable[[str], list[tuple[Any, ...]]], tokens: Sequence[Token]) -> Functions:
    """The functions of a connection: those that come with its DuckDB, asked for once for each version, and macros.

    Args:
        rows: Runs a query.
        tokens: A statement's, of which a person's own macros are looked at where it calls any.

    Returns:
        The functions.
    """
    version = str(rows("SELECT version()")[0][0])
    if version not in _by_version:
        found = rows(
            "SELECT lower(function_name), bool_or(stability = 'VOLATILE'), bool_or(function_type = 'aggregate') "
            "FROM duckdb_functions() WHERE internal GROUP BY 1"
        )
        _by_version[version] = Functions(
            _MOMENTS | {name for name, is_volatile, _ in found if is_volatile},
            frozenset(name for name, _, is_aggregate in found if is_aggregate),
            frozenset(name for name, _, _ in found),
        )
    functions = _by_version[version]
    is_all = not functions.volatile_calls(tokens, Span(0, len(tokens))) - functions.names
    return functions if is_all else _with_macros(functions, rows)


def _with_macros(functions: Functions, rows: Callable[[str], list[tuple[Any, ...]]]) -> Functions:
    """The functions with a person's macros that call nothing volatile, directly or by another macro."""
    waiting: dict[str, list[list[Token]]] = {}
    for name, definition in rows(
        "SELECT lower(function_name), macro_definition FROM duckdb_functions() "
        "WHERE NOT internal AND function_type = 'macro'"
    ):
        waiting.setdefault(name, []).append(list(Dialect().tokenize(definition or "")))
    while True:
        found = {
            name
            for name, definitions in waiting.items()
            if not any(functions.volatile_calls(tokens, Span(0, len(tokens))) for tokens in definitions)
            and not any(token.token_type is TokenType.SELECT for tokens in definitions for token in tokens)
        }
        if not found:
            return functions
        functions = replace(functions, names=functions.names | found)
        waiting = {name: definitions for name, definitions in waiting.items() if name not in found}


def _is_alias(tokens: Sequence[Token], position: int) -> bool:
    """Whether a word with brackets is an alias with names of columns, such as ``v(a, b)`` behind a table."""
    before = tokens[position - 1].token_type if position else None
    return before in (TokenType.ALIAS, TokenType.VAR, TokenType.IDENTIFIER, TokenType.STRING, TokenType.R_PAREN)


def _is_window(tokens: Sequence[Token], position: int, end: int) -> bool:
    """Whether OVER comes after the brackets of a call, and after those of FILTER."""
    position = _after_brackets(tokens, position, end)
    if position < end and tokens[position].text.upper() == "FILTER":
        position = _after_brackets(tokens, position + 1, end)
    return position < end and tokens[position].token_type is TokenType.OVER


def _after_brackets(tokens: Sequence[Token], position: int, end: int) -> int:
    depth = 0
    while position < end:
        kind = tokens[position].token_type
        depth += (kind is TokenType.L_PAREN) - (kind is TokenType.R_PAREN)
        position += 1
        if depth == 0:
            break
    return position
