"""The query that finds what a model is to be asked: the distinct inputs of what stands left of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from .blocks import Block, Query

Describe = Callable[[str], list[tuple[str, str]]]
"""Gives the names and types of a query's columns, or raises DuckDB's error where it does not bind."""


class Around:
    """The text around a block that its input queries need: what WITH defines, and the rows of outer queries.

    Attributes:
        begun: How many items of a query's WITH are read, of those that are being read.
    """

    def __init__(self, render_ctes: Callable[[Query, int], str], outer_from: Callable[[Block, Block], str]) -> None:
        """Remember how text is made.

        Args:
            render_ctes: Gives the text of the first items of a query's WITH, with the word WITH.
            outer_from: Gives what stands in an outer block's FROM as an inner block of it sees it.
        """
        self._render_ctes, self._outer_from = render_ctes, outer_from
        self.begun: dict[Query, int] = {}

    def forms(self, core: str, block: Block) -> Iterator[str]:
        """A query of a block's inputs, as it may be run by itself.

        Args:
            core: The query as it would run inside of the block.
            block: Where it would.

        Yields:
            First without the rows of outer queries, then for those of one more each: the set of inputs that they all
            need may only grow so.
        """
        for levels in range(self._depth(block) + 1):
            yield self._form(core, block, levels)

    def _form(self, core: str, block: Block, levels: int) -> str:
        text, query, inner = core, block.query, block
        while True:
            text = self._with(query, text)
            if query.parent is not None:
                if levels > 0 and not _is_group(inner):
                    outer = self._outer_from(query.parent, inner)
                    if outer:
                        text = f"SELECT DISTINCT __q.* FROM {outer}, LATERAL ({text}) AS __q"
                    levels -= 1
                inner = query.parent
                query = inner.query
            elif query.enclosing is not None:
                query = query.enclosing
            else:
                return text

    def _with(self, query: Query, text: str) -> str:
        count = self.begun.get(query, len(query.ctes))
        if not count:
            return text
        return f"{self._render_ctes(query, count)} SELECT * FROM ({text})"

    def _depth(self, block: Block) -> int:
        depth, query = 0, block.query
        while query.parent is not None or query.enclosing is not None:
            depth += query.parent is not None
            query = query.parent.query if query.parent is not None else query.enclosing or query
        return depth


def _is_group(block: Block) -> bool:
    """Whether a block is a join in brackets, which sees nothing of what stands before the brackets."""
    parent = block.parent
    return parent is not None and any(relation.group is block for relation in parent.relations)


def binding_form(forms: Iterator[str], describe: Describe) -> tuple[str, list[tuple[str, str]]]:
    """The first form of a query that DuckDB can bind.

    Args:
        forms: What may be run.
        describe: Asks DuckDB.

    Returns:
        The query, and the names and types of its columns.

    Raises:
        duckdb.Error: None binds; what is wrong with the first.
    """
    errors: list[Exception] = []
    for form in forms:
        try:
            return form, describe(form)
        except Exception as error:  # any error of DuckDB
            errors.append(error)
    raise errors[0]


class InputQuery(NamedTuple):
    """What finds the inputs of a model.

    Attributes:
        select: Gives the query: of each input once (``DISTINCT``), or of every row's (``ALL``).
        candidates: How many rows LIMIT may choose from; 0 where all rows count.
    """

    select: Callable[[str], str]
    candidates: int = 0


def select_inputs(expressions: Sequence[str], source: str, conditions: Sequence[str], *, word: str = "DISTINCT") -> str:
    """The query of inputs.

    Args:
        expressions: One for each input.
        source: What stands in FROM; empty for no table.
        conditions: What the rows must fulfil.
        word: What stands behind SELECT: ``DISTINCT`` or ``ALL``.

    Returns:
        The query, with the columns ``__i1`` and so on.
    """
    columns = ", ".join(f"{expression} AS {input_column(number)}" for number, expression in enumerate(expressions))
    where = " AND ".join(f"({condition}\n)" for condition in conditions)
    return f"SELECT {word} {columns}" + (f" FROM {source}" if source else "") + (f" WHERE {where}" if where else "")


def input_column(number: int) -> str:
    """The name of a stored input, which no person writes.

    Args:
        number: From 0.

    Returns:
        The name.
    """
    return f"__hf_i{number + 1}"


def output_column(number: int) -> str:
    """The name of a stored output, which no person writes.

    Args:
        number: From 0.

    Returns:
        The name.
    """
    return f"__hf_o{number + 1}"
