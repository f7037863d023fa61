"""Reads the structure of a statement from its tokens.

No expression is parsed, so a statement that only DuckDB can read has a structure too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlglot.tokens import Token, TokenType

from ..errors import InputError
from .blocks import COMMA, SAMPLE, Block, Cte, Query, Relation, Span

_OPENING = {TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE}
_CLOSING = {TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE}
_SET_OPERATIONS = {TokenType.UNION, TokenType.EXCEPT, TokenType.INTERSECT}
_CLAUSES = {
    TokenType.WHERE,
    TokenType.GROUP_BY,
    TokenType.HAVING,
    TokenType.QUALIFY,
    TokenType.WINDOW,
    TokenType.ORDER_BY,
    TokenType.LIMIT,
    TokenType.OFFSET,
    TokenType.FETCH,
    TokenType.RETURNING,
}
_JOIN_WORDS = {
    "LEFT",
    "RIGHT",
    "FULL",
    "INNER",
    "OUTER",
    "CROSS",
    "NATURAL",
    "SEMI",
    "ANTI",
    "ASOF",
    "POSITIONAL",
}
MAX_BRACKETS = 100
"""Brackets in each other: each takes some of Python's stack. DuckDB takes more, where no model is."""

_NO_NAMES = {TokenType.STRING, TokenType.NUMBER, *_OPENING, *_CLOSING}


def read_structure(tokens: Sequence[Token]) -> Query:
    """Read the structure of one statement.

    Args:
        tokens: All of its tokens, without a semicolon.

    Returns:
        Its outermost query. What stands before it (INSERT INTO, CREATE TABLE AS) is skipped.

    Raises:
        InputError: A bracket has no partner.
    """
    return _Reader(tokens).query(Query(Span(0, len(tokens))), is_statement=True)


class _Reader:
    """Reads along the tokens of one statement."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._partners = _partners(tokens)

    def query(self, query: Query, *, is_statement: bool = False) -> Query:
        """Read what stands in brackets.

        Args:
            query: With the tokens between the brackets and where they stand. It is filled.
            is_statement: Whether it is a whole statement, in which other words may come before SELECT.

        Returns:
            The query, which has no blocks where the brackets hold an expression.
        """
        span, clause = query.span, ""
        block: Block | None = None
        may_begin = True  # whether FROM here begins a block, and is no part of EXTRACT(year FROM x)
        position = span.start
        while position < span.end:
            kind = self._keyword(position)
            if kind in _OPENING:
                self._child(position, query, block, clause)
                position = self._partners[position] + 1
                may_begin = block is None and (bool(query.ctes) or is_statement)
                continue
            if kind is TokenType.WITH and block is None:
                position = self._ctes(position + 1, query)
                may_begin = True
                continue
            if kind in (TokenType.UPDATE, TokenType.DELETE) and is_statement and block is None:
                block = self._begin(position, query)
                position, clause = self._target(position + (1 if kind is TokenType.UPDATE else 2), span.end, block), ""
                continue
            if kind is TokenType.SELECT and (block is None or "SELECT" in block.clauses):
                block = self._begin(position, query)
            if kind is TokenType.FROM and block is None and may_begin:
                block = self._begin(position, query)
            if block is not None and self._begins_clause(kind, position, block):
                self._end_clause(block, clause, position)
                clause = self._clause(position)
                if kind is TokenType.USING:
                    clause = SAMPLE if block.target is None else "FROM"
                block.clauses[clause] = Span(position + 1, position + 1)
                if kind is TokenType.FROM or (kind is TokenType.USING and block.target is not None):
                    position = self._relations(position + 1, span.end, block)
                    continue
            elif kind in _SET_OPERATIONS and block is not None:
                self._end_clause(block, clause, position)
                block.end, block, clause = position, None, ""
            is_joined = kind in _SET_OPERATIONS or (may_begin and self._joins(position))
            may_begin = block is None and (is_statement or is_joined)
            position += 1
        if block is not None:
            self._end_clause(block, clause, span.end)
            block.end = span.end
        return query

    def _clause(self, position: int) -> str:
        words = self._tokens[position].text.upper().split()
        return " ".join([*words, "BY"] if words in (["GROUP"], ["ORDER"]) else words)

    def _begin(self, position: int, query: Query) -> Block:
        block = Block(position, query)
        query.blocks.append(block)
        return block

    def _target(self, position: int, end: int, block: Block) -> int:
        block.target = Relation("", position, position)
        position = self._reference(block.target, end, block)
        block.target.condition_end = position
        return position

    def _begins_clause(self, kind: TokenType | None, position: int, block: Block) -> bool:
        if kind is TokenType.FROM:
            return "FROM" not in block.clauses and not self._is_distinct_from(position)
        if kind is TokenType.USING:
            return block.target is not None or self._text(position + 1) == SAMPLE
        return kind in _CLAUSES or kind in (TokenType.SELECT, TokenType.SET)

    def _end_clause(self, block: Block, clause: str, position: int) -> None:
        if clause:
            block.clauses[clause] = Span(block.clauses[clause].start, position)

    def _joins(self, position: int) -> bool:
        """Whether a token may stand between the parts of a set operation."""
        return self._text(position) in {"ALL", "DISTINCT", "BY", "NAME"}

    def _child(self, position: int, query: Query, block: Block | None, clause: str) -> None:
        inner = self.query(Query(Span(position + 1, self._partners[position]), block, query))
        if not inner.has_blocks:
            return
        if block is None:
            query.children.append(inner)
        else:
            block.children.append((clause, inner))

    def _ctes(self, position: int, query: Query) -> int:
        if self._tokens[position].token_type is TokenType.RECURSIVE:
            query.is_recursive = True
            position += 1
        while position < query.span.end:
            start, name = position, self._tokens[position].text
            while position < query.span.end and self._keyword(position) is not TokenType.ALIAS:
                position = self._after(position)
            while position < query.span.end and self._tokens[position].token_type is not TokenType.L_PAREN:
                position += 1
            if position >= query.span.end:
                break
            end = self._partners[position]
            body = self.query(Query(Span(position + 1, end), None, query))
            query.ctes.append(Cte(name, Span(start, end + 1), body))
            position = end + 1
            if self._kind(position) is not TokenType.COMMA:
                break
            position += 1
        return position

    def _relations(self, position: int, end: int, block: Block) -> int:
        """Read the items of FROM.

        Args:
            position: The token after FROM.
            end: Where the query ends.
            block: Takes them.

        Returns:
            The token after them.
        """
        while position < end:
            join_start, join = position, ""
            if block.relations:
                if self._kind(position) is TokenType.COMMA:
                    position, join = position + 1, COMMA
                elif (after := self._after_join(position)) is not None:
                    position, join = after, " ".join(self._text(each) for each in range(join_start, after))
                else:
                    break
            relation = Relation(join, join_start, position)
            block.relations.append(relation)
            position = self._reference(relation, end, block)
            position = self._condition(relation, position, end, block)
            relation.condition_end = position
        if "FROM" in block.clauses:
            block.clauses["FROM"] = Span(block.clauses["FROM"].start, position)
        return position

    def _after_join(self, position: int) -> int | None:
        while self._text(position) in _JOIN_WORDS and self._kind(position + 1) is not TokenType.L_PAREN:
            position += 1
        return position + 1 if self._kind(position) is TokenType.JOIN else None

    def _reference(self, relation: Relation, end: int, block: Block) -> int:
        position = relation.start
        if self._text(position) == "LATERAL":
            relation.is_lateral = True
            position += 1
        if self._kind(position + 1) is TokenType.COLON:  # alias : table
            relation.alias = self._tokens[position].text
            position += 2
        relation.reference_start = position
        kind = self._kind(position)
        if kind is TokenType.L_PAREN:
            self._brackets(relation, position, block)
            position = self._partners[position] + 1
        elif kind is TokenType.STRING:
            relation.file = self._tokens[position].text
            position += 1
        elif position < end:
            position = self._name(relation, position, block)
        relation.reference_end = position
        position = self._sample_or_alias(relation, position, end)
        relation.end = position
        return position

    def _brackets(self, relation: Relation, position: int, block: Block) -> None:
        inside = Span(position + 1, self._partners[position])
        inner = self.query(Query(inside, block, block.query)) if self._may_be_query(inside) else None
        first = self._kind(inside.start)
        is_nested = inner is not None and bool(inner.children) and first is TokenType.L_PAREN
        if inner is not None and (inner.blocks or inner.ctes or is_nested or first is TokenType.VALUES):
            relation.query = inner
        else:
            group = Block(inside.start, Query(inside, block, block.query), end=inside.end)
            self._relations(inside.start, inside.end, group)
            relation.group = group

    def _may_be_query(self, inside: Span) -> bool:
        """Whether brackets in FROM hold a query, and no join; told by what their first brackets are followed by."""
        while self._kind(inside.start) is TokenType.L_PAREN:
            after = self._partners[inside.start] + 1
            if after < inside.end and self._kind(after) not in _SET_OPERATIONS | _CLAUSES:
                return False
            inside = Span(inside.start + 1, after - 1)
        return True

    def _name(self, relation: Relation, position: int, block: Block) -> int:
        parts = [self._tokens[position].text]
        position += 1
        while self._kind(position) is TokenType.DOT:
            parts.append(self._tokens[position + 1].text)
            position += 2
        if self._kind(position) is TokenType.L_PAREN:
            relation.call = parts[-1].lower()
            self._child(position, block.query, block, "FROM")
            return self._partners[position] + 1
        relation.name = tuple(parts)
        return position

    def _sample_or_alias(self, relation: Relation, position: int, end: int) -> int:
        while position < end:
            kind, text = self._keyword(position), self._text(position)
            if kind is TokenType.TABLE_SAMPLE or (kind is TokenType.USING and self._text(position + 1) == SAMPLE):
                if kind is TokenType.USING and relation.alias is None and self._is_last(position, end):
                    break  # of the whole block
                relation.is_sampled = True
                position = self._until(position + 1, end, lambda _: False)
            elif text in {"PIVOT", "UNPIVOT"} and self._kind(position + 1) is TokenType.L_PAREN:
                position = self._partners[position + 1] + 1
            elif kind is TokenType.ALIAS or (kind in (TokenType.VAR, TokenType.IDENTIFIER) and text not in _JOIN_WORDS):
                position += kind is TokenType.ALIAS
                relation.alias = self._tokens[position].text
                position += 1
                if self._kind(position) is TokenType.L_PAREN:
                    inside = range(position + 1, self._partners[position])
                    relation.column_aliases = tuple(
                        self._tokens[each].text for each in inside if self._kind(each) is not TokenType.COMMA
                    )
                    position = self._partners[position] + 1
            else:
                break
        return position

    def _is_last(self, position: int, end: int) -> bool:
        """Whether no join comes after a sample, which is the block's then."""
        return self._until(position + 1, end, lambda _: False) >= end

    def _condition(self, relation: Relation, position: int, end: int, block: Block) -> int:
        while position < end:
            kind = self._kind(position)
            if kind is TokenType.ON:
                stop = self._until(position + 1, end, lambda at: self._child(at, block.query, block, "ON"))
                relation.on = Span(position + 1, stop)
                position = stop
            elif kind is TokenType.USING and self._kind(position + 1) is TokenType.L_PAREN and block.target is None:
                inside = range(position + 2, self._partners[position + 1])
                relation.using = tuple(
                    self._tokens[each].text for each in inside if self._kind(each) is not TokenType.COMMA
                )
                position = self._partners[position + 1] + 1
            else:
                break
        return position

    def _until(self, position: int, end: int, on_brackets: Callable[[int], object]) -> int:
        """The next token at this depth that ends an item of FROM."""
        while position < end:
            kind = self._keyword(position)
            if kind in _OPENING:
                on_brackets(position)
                position = self._partners[position] + 1
                continue
            if kind in (TokenType.COMMA, TokenType.ON, TokenType.SELECT, TokenType.SET) or kind in _SET_OPERATIONS:
                break
            if kind in _CLAUSES or (kind is TokenType.USING) or self._after_join(position) is not None:
                break
            position += 1
        return position

    def _after(self, position: int) -> int:
        return self._partners.get(position, position) + 1

    def _is_distinct_from(self, position: int) -> bool:
        return self._kind(position - 1) is TokenType.DISTINCT and (
            self._kind(position - 2) in (TokenType.IS, TokenType.NOT)
        )

    def _keyword(self, position: int) -> TokenType | None:
        """The kind of a token; None for one that only looks like a keyword, since a dot stands before it."""
        if position > 0 and self._tokens[position - 1].token_type is TokenType.DOT:
            return None
        if self._text(position + 1) == "BY":  # a comment between the words makes two tokens of them
            return {"GROUP": TokenType.GROUP_BY, "ORDER": TokenType.ORDER_BY}.get(
                self._text(position), self._kind(position)
            )
        return self._kind(position)

    def _kind(self, position: int) -> TokenType | None:
        return self._tokens[position].token_type if 0 <= position < len(self._tokens) else None

    def _text(self, position: int) -> str:
        if self._kind(position) in (None, TokenType.IDENTIFIER, *_NO_NAMES):
            return ""
        return self._tokens[position].text.upper()


def _partners(tokens: Sequence[Token]) -> dict[int, int]:
    """The closing bracket of each opening one."""
    partners, open_at = {}, []
    for position, token in enumerate(tokens):
        if token.token_type in _OPENING:
            open_at.append(position)
            if len(open_at) > MAX_BRACKETS:
                raise InputError(
                    f"brackets stand in each other more than {MAX_BRACKETS} deep at character {token.start + 1}: too "
                    "deep for a statement that uses a model. Put a part of it into a table or a view"
                )
        elif token.token_type in _CLOSING:
            if not open_at:
                raise InputError(f"the bracket {token.text!r} at character {token.start + 1} closes nothing")
            partners[open_at.pop()] = position
    if open_at:
        token = tokens[open_at[-1]]
        raise InputError(f"the bracket {token.text!r} at character {token.start + 1} is not closed")
    return partners
