"""What stands in FROM beside models: whether it gives the same rows again, and what tells its rows apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlglot.tokens import Token

from .blocks import Block, Query, Relation, all_relations
from .functions import Functions
from .local_files import is_remote
from .reads import keywords

Rows = Callable[[str], list[tuple[Any, ...]]]
Describe = Callable[[str], list[tuple[str, str]]]

_ROW_CHANGERS = {
    "limit",
    "offset",
    "fetch",
    "sample",
    "tablesample",
    "over",
    "group",
    "group by",
    "distinct",
    "qualify",
}
"""Words of a query that may give other rows, or rows in another order, when it is run again."""

_STABLE_CALLS = {"range", "generate_series", "unnest", "values"}


class Sources:
    """What a database knows of functions and tables, of which it is asked where a statement has models."""

    def __init__(self, tokens: Sequence[Token], functions: Functions, rows: Rows, describe: Describe) -> None:
        """Ask nothing yet.

        Args:
            tokens: The statement's.
            functions: DuckDB's.
            rows: Runs a query.
            describe: Gives the columns of a query, or raises DuckDB's error where it does not bind.
        """
        self._tokens, self._functions, self._rows, self._describe = tokens, functions, rows, describe

    def is_repeatable(self, query: Query) -> bool:
        """Whether a query gives the same rows when it is run again, in any order.

        Args:
            query: A subselect, or what a CTE defines.

        Returns:
            True where it surely does.
        """
        tokens, span, functions = self._tokens, query.span, self._functions
        if keywords(tokens, span) & _ROW_CHANGERS or functions.volatile_calls(tokens, span):
            return False
        if functions.aggregates_in(tokens, span):
            return False
        return all(self._is_stable(relation) for relation in all_relations(query))

    def is_stable(self, relation: Relation) -> bool:
        """Whether an item of FROM gives the same rows when it is read again.

        Args:
            relation: The item, which is no model.

        Returns:
            True where it surely does, or cannot be read before (LATERAL).
        """
        if relation.query is not None:
            return not relation.is_sampled and self.is_repeatable(relation.query)
        return self._is_stable(relation)

    def row_id(self, relation: Relation, reference: str) -> list[str] | None:
        """The hidden columns that tell the rows of a relation apart, in the order of its rows.

        Args:
            relation: The item of FROM.
            reference: Its text without the alias.

        Returns:
            Expressions; None where it has none.
        """
        if relation.query is not None or relation.group is not None or relation.label is None:
            return None
        if relation.is_sampled or relation.column_aliases:
            return None
        label = '"' + relation.label.replace('"', '""') + '"'
        # Files are read in the order of file_index, which need not be that of their names. It sorts in less memory too:
        # with filename, 5,000,000 rows did not fit in a memory_limit of 500 MB.
        for columns in (["rowid"], ["file_index", "file_row_number"]):
            if self._binds(f"SELECT {', '.join(columns)} FROM {reference}"):
                own = {name.lower() for name, _ in self._describe(f"SELECT * FROM {reference}")}
                if not own & set(columns):
                    return [f"{label}.{column}" for column in columns]
        return None

    def _is_stable(self, relation: Relation) -> bool:
        if relation.group is not None:
            return all(self._is_stable(each) for each in relation.group.relations)
        if relation.is_sampled or is_remote(self._tokens, relation):
            return False
        if relation.call is not None:
            return relation.call in _STABLE_CALLS or relation.call.startswith("read_")
        if relation.name:
            return not self._is_other_database(relation) and not self._is_view(relation)
        return True

    def _is_other_database(self, relation: Relation) -> bool:
        if len(relation.name) < 2:
            return False
        kinds = self._rows("SELECT lower(database_name), type FROM duckdb_databases()")
        return any(name == relation.name[0].lower() and kind != "duckdb" for name, kind in kinds)

    def _is_view(self, relation: Relation) -> bool:
        name = relation.name[-1].replace("'", "''")
        return bool(self._rows(f"SELECT 1 FROM duckdb_views() WHERE lower(view_name) = lower('{name}') LIMIT 1"))

    def _binds(self, query: str) -> bool:
        try:
            self._describe(query)
        except Exception:  # any error of DuckDB: it has no such columns
            return False
        return True


def is_ordered(tokens: Sequence[Token], block: Block, functions: Functions) -> bool:
    """Whether the rows of a block may be put in the order of a table: nothing else says what order or rows they have.

    Args:
        tokens: The statement's.
        block: The block.
        functions: DuckDB's.

    Returns:
        True where ORDER BY may be added.
    """
    if {"ORDER BY", "GROUP BY", "HAVING", "SAMPLE", "FETCH"} & set(block.clauses):
        return False
    if "SELECT" not in block.clauses:
        return True
    span = block.clauses["SELECT"]
    return "distinct" not in keywords(tokens, span) and not functions.is_aggregated(tokens, span)
