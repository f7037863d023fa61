"""The text of a statement while models are put into it: what stands in FROM now, for input queries and at the end."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot.tokens import Token

from .blocks import Block, Query, Relation, Span
from .edits import EditedText
from .model_joins import ModelJoin
from .predictions import PredictionTable, quoted


class FromText(EditedText):
    """A statement of which the models in FROM are replaced one after another.

    Attributes:
        pieces: What stands in the place of each model and its join.
        stored: The temporary table that stands in the place of what is read once.
    """

    def __init__(self, text: str, tokens: Sequence[Token]) -> None:
        """Begin with the text as it is.

        Args:
            text: The statement.
            tokens: Its tokens.
        """
        super().__init__(text, tokens)
        self.pieces: dict[Relation, str] = {}
        self.stored: dict[Relation, str] = {}
        self._frozen: dict[Relation, tuple[str, str]] = {}
        self._wheres: dict[Block, str] = {}

    def items(self, relations: Sequence[Relation]) -> str:
        """Some items of FROM.

        Args:
            relations: The items, of which the first loses its join.

        Returns:
            Their text as it is now.
        """
        return " ".join(self._item(relation, is_first=not number) for number, relation in enumerate(relations))

    def piece(self, join: ModelJoin, table: PredictionTable, expressions: Sequence[str], *, is_first: bool) -> str:
        """What stands in the place of a model and its join.

        Args:
            join: The model in FROM.
            table: Its predictions.
            expressions: Its inputs.
            is_first: Whether nothing stands left of it.

        Returns:
            SQL.
        """
        columns = [*join.model.outputs, *(join.model.inputs if is_first else ())]
        columns[: len(join.relation.column_aliases)] = join.relation.column_aliases
        names = f" AS {quoted(join.label)}({', '.join(map(quoted, columns))})"
        if is_first:
            return f"({table.single(expressions)}){names}"
        lateral = f"LATERAL ({table.lookup(expressions)}){names}"
        word = "LEFT JOIN" if join.is_optional or not (join.residual or join.using) else "JOIN"
        if join.using:
            return f" {word} {lateral} USING ({', '.join(map(quoted, join.using))})"
        residual = " AND ".join(f"({self.render(span)})" for span in join.residual)
        return f" {word} {lateral} ON {residual or 'true'}"

    def input_of(self, join: ModelJoin, name: str) -> str:
        """What a model is asked for one of its inputs.

        Args:
            join: The model in FROM.
            name: Of the input.

        Returns:
            An expression.
        """
        span = join.bindings.get(name.lower())
        return quoted(name) if span is None else self.render(span)

    def add_condition(self, block: Block, condition: str) -> None:
        """Add a condition to WHERE, in the place of the one that was added before.

        Args:
            block: Whose WHERE it is.
            condition: What its rows must fulfil too.
        """
        if "WHERE" in block.clauses:
            span = block.clauses["WHERE"]
            self._wheres.setdefault(block, self.render(span))
            self.replace(span, f"({self._wheres[block]}) AND {condition}")
        else:
            end = max(block.clauses[name].end for name in ("FROM", "SELECT") if name in block.clauses)
            self.replace(Span(end, end), f"\nWHERE {condition} ")

    def ctes(self, query: Query, count: int) -> str:
        """The first items of a query's WITH.

        Args:
            query: The query.
            count: How many.

        Returns:
            Their text as it is now, with the word.
        """
        first, last = query.ctes[0], query.ctes[count - 1]
        word = "WITH RECURSIVE" if query.is_recursive else "WITH"
        return f"{word} {self.render(Span(first.span.start, last.span.end))}"

    def outer_items(self, outer: Block, inner: Block) -> str:
        """What stands in the FROM of a block as a query inside of it sees it.

        Args:
            outer: The block.
            inner: A block inside.

        Returns:
            Its items, for one in FROM those left of it.
        """
        seen = []
        for relation in outer.relations:
            if relation.group is inner or (relation.query is not None and _is_within(inner.query, relation.query)):
                break
            seen.append(relation)
        text = self.items(seen)
        if outer.target is not None:
            target = self.render(Span(outer.target.start, outer.target.end))
            return f"{target}, {text}" if text else target
        return text

    def reorder(self, span: Span, relations: Sequence[Relation]) -> None:
        """Put the items of FROM in another order.

        Args:
            span: All of them.
            relations: The items in their new order. Their text is as it is now from then on.
        """
        self._frozen.update(
            {each: (self._item(each, is_first=False), self._item(each, is_first=True)) for each in relations}
        )
        self.replace(span, self.items(relations))

    def _item(self, relation: Relation, *, is_first: bool) -> str:
        if relation in self.pieces:
            return self.pieces[relation]
        if relation in self._frozen:
            return self._frozen[relation][is_first]
        return self.render(Span(relation.start if is_first else relation.join_start, relation.condition_end))


def _is_within(query: Query, other: Query) -> bool:
    """Whether a query is another, or stands in it without a block between."""
    while query is not other:
        if query.parent is not None or query.enclosing is None:
            return False
        query = query.enclosing
    return True
