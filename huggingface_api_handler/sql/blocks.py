"""The structure of a statement: query blocks, their clauses, and what stands in FROM.

Positions are indexes of tokens, and spans are half open.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePath
from typing import NamedTuple

SAMPLE = "SAMPLE"
COMMA = ","


class Span(NamedTuple):
    """Tokens from ``start`` up to and without ``end``."""

    start: int
    end: int


@dataclass(eq=False)
class Relation:
    """One item of FROM, with the join before it and the condition after it.

    Attributes:
        join: The words before it, in capitals (``LEFT JOIN``, ``CROSS JOIN``, ``,``); empty for the first.
        join_start: Its first token, the join's words included.
        start: The first token of what is joined, LATERAL or an alias before it included.
        reference_start: The first token of the name, the subselect or the call.
        reference_end: The end of the name, the subselect or the call.
        end: The end of it with its alias.
        condition_end: The end of ON or USING.
        name: The parts of a table's name as they are written, without quotes; none for a subselect, a call or a file.
        call: The name of a table function, in lower case.
        file: The path of a file that is named as a string.
        alias: What it is called in the statement.
        column_aliases: The list of names after the alias.
        on: The condition after ON.
        using: The columns in USING; None without.
        is_lateral: Whether LATERAL stands before it.
        is_sampled: Whether a sample of it is taken.
        query: The subselect.
        group: The relations of a join in brackets.
    """

    join: str
    join_start: int
    start: int
    reference_start: int = 0
    reference_end: int = 0
    end: int = 0
    condition_end: int = 0
    name: tuple[str, ...] = ()
    call: str | None = None
    file: str | None = None
    alias: str | None = None
    column_aliases: tuple[str, ...] = ()
    on: Span | None = None
    using: tuple[str, ...] | None = None
    is_lateral: bool = False
    is_sampled: bool = False
    query: Query | None = None
    group: Block | None = None

    @property
    def label(self) -> str | None:
        """What its columns are qualified with: a file's is its name without folders and endings."""
        if self.file is not None and self.alias is None:
            return PurePath(self.file).name.partition(".")[0]
        return self.alias or (self.name[-1] if self.name else self.call)


@dataclass(eq=False)
class Block:
    """One SELECT with its clauses; also UPDATE with its FROM, and a join in brackets.

    Attributes:
        start: Its first token.
        end: The end of its last token.
        query: The query that it belongs to.
        clauses: What follows each keyword, without it.
        relations: What stands in FROM.
        children: Queries in its clauses, with the name of the clause. Those in FROM are at their relations.
        target: The table that an UPDATE or DELETE changes.
    """

    start: int
    query: Query
    end: int = 0
    clauses: dict[str, Span] = field(default_factory=dict)
    relations: list[Relation] = field(default_factory=list)
    children: list[tuple[str, Query]] = field(default_factory=list)
    target: Relation | None = None

    @property
    def parent(self) -> Block | None:
        """The block that this one's query stands in."""
        return self.query.parent


class Cte(NamedTuple):
    """One item of WITH.

    Attributes:
        name: Its name.
        span: All of it, from the name to the closing bracket.
        query: What is in the brackets.
    """

    name: str
    span: Span
    query: Query


@dataclass(eq=False)
class Query:
    """What may stand in brackets or alone: blocks with set operations between them, after an optional WITH.

    Attributes:
        span: All of it.
        parent: The block that it stands in; None in WITH and between set operations.
        enclosing: The query that it stands in.
        ctes: The items of its WITH.
        is_recursive: Whether WITH is RECURSIVE.
        blocks: Its blocks. None for a list of expressions.
        children: Queries that stand in no block of it, such as those in a set operation's brackets.
    """

    span: Span
    parent: Block | None = None
    enclosing: Query | None = None
    ctes: list[Cte] = field(default_factory=list)
    is_recursive: bool = False
    blocks: list[Block] = field(default_factory=list)
    children: list[Query] = field(default_factory=list)

    @property
    def has_blocks(self) -> bool:
        """Whether anything is selected in it, at whatever depth."""
        return bool(self.blocks or self.ctes) or any(child.has_blocks for child in self.children)


def nested_queries(query: Query) -> int:
    """How deep queries stand in each other.

    Args:
        query: The outermost.

    Returns:
        1 for a query without another in it.
    """
    inside = [*(cte.query for cte in query.ctes), *query.children]
    blocks = list(query.blocks)
    for block in blocks:
        inside += [child for _, child in block.children]
        inside += [relation.query for relation in block.relations if relation.query is not None]
        blocks += [relation.group for relation in block.relations if relation.group is not None]
    return 1 + max(map(nested_queries, inside), default=0)


def named_tables(query: Query, hidden: frozenset[str] = frozenset()) -> list[Relation]:
    """The items of FROM that name a table, view or model, those in subselects included.

    Args:
        query: Where they stand.
        hidden: Names of CTEs around it, in lower case, which hide others of the same name.

    Returns:
        All but those that name a CTE.
    """
    found: list[Relation] = []
    names = hidden
    if query.is_recursive:
        names = names | {cte.name.lower() for cte in query.ctes}
    for cte in query.ctes:
        found += named_tables(cte.query, names)
        names = names | {cte.name.lower()}
    for child in query.children:
        found += named_tables(child, names)
    for block in query.blocks:
        found += _named_tables_of(block, names)
    return found


def _named_tables_of(block: Block, hidden: frozenset[str]) -> list[Relation]:
    found: list[Relation] = []
    for relation in block.relations:
        if relation.query is not None:
            found += named_tables(relation.query, hidden)
        elif relation.group is not None:
            found += _named_tables_of(relation.group, hidden)
        elif relation.name and not (len(relation.name) == 1 and relation.name[0].lower() in hidden):
            found.append(relation)
    for _, child in block.children:
        found += named_tables(child, hidden)
    return found


def all_relations(query: Query) -> list[Relation]:
    """The items of FROM that are read themselves, those in subselects included.

    Args:
        query: Where they stand.

    Returns:
        Tables, files and calls.
    """
    found: list[Relation] = []
    queries = [*(cte.query for cte in query.ctes), *query.children]
    for block in query.blocks:
        found += _tables(block, queries)
        queries += [child for _, child in block.children]
    return [*found, *(relation for each in queries for relation in all_relations(each))]


def _tables(block: Block, queries: list[Query]) -> list[Relation]:
    found: list[Relation] = []
    for relation in block.relations:
        if relation.query is not None:
            queries.append(relation.query)
        elif relation.group is not None:
            found += _tables(relation.group, queries)
        else:
            found.append(relation)
    return found
