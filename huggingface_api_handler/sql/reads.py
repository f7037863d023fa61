"""What a span of tokens reads, told from its tokens alone: names, stars and functions. In doubt it reads more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sqlglot.tokens import Token, TokenType

from .blocks import Span

_OPENING = {TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE}
_CLOSING = {TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE}
_NO_WORDS = {TokenType.STRING, TokenType.NUMBER, TokenType.HEREDOC_STRING, TokenType.DOT, TokenType.PARAMETER}


class Item(NamedTuple):
    """One item of a SELECT list.

    Attributes:
        span: Its expression, without the alias.
        alias: The alias in lower case; None without.
    """

    span: Span
    alias: str | None


class Equality(NamedTuple):
    """A condition ``label.column = expression``, whichever side is first.

    Attributes:
        column: In lower case.
        expression: The other side.
        keeps_null: Whether NULL equals NULL, as IS NOT DISTINCT FROM says.
    """

    column: str
    expression: Span
    keeps_null: bool


def conjuncts(tokens: Sequence[Token], span: Span) -> list[Span]:
    """Split a condition at its ANDs.

    Args:
        tokens: The statement's.
        span: The condition.

    Returns:
        Conditions of which all must hold. Brackets around all of one are taken off.
    """
    span = without_brackets(tokens, span)
    parts, start, betweens = [], span.start, 0
    for position in _at_depth(tokens, span):
        kind = tokens[position].token_type
        if kind is TokenType.OR:
            return [span]
        if kind is TokenType.BETWEEN:
            betweens += 1
        elif kind is TokenType.AND:
            if betweens:
                betweens -= 1
                continue
            parts.append(Span(start, position))
            start = position + 1
    parts.append(Span(start, span.end))
    return [parts[0]] if len(parts) == 1 else [part for each in parts for part in conjuncts(tokens, each)]


def without_brackets(tokens: Sequence[Token], span: Span) -> Span:
    """Take off brackets that are around all of a span.

    Args:
        tokens: The statement's.
        span: Any expression.

    Returns:
        What is inside.
    """
    while span.end - span.start > 2 and tokens[span.start].token_type is TokenType.L_PAREN:
        if list(_at_depth(tokens, span)) != [span.start, span.end - 1]:
            break
        span = Span(span.start + 1, span.end - 1)
    return span


def items(tokens: Sequence[Token], span: Span) -> list[Item]:
    """The items of a SELECT list.

    Args:
        tokens: The statement's.
        span: What follows SELECT.

    Returns:
        Each with its alias.
    """
    return [_item(tokens, each) for each in split_at_commas(tokens, span)]


def split_at_commas(tokens: Sequence[Token], span: Span) -> list[Span]:
    """Split a list.

    Args:
        tokens: The statement's.
        span: The list.

    Returns:
        Its items that are not empty.
    """
    parts, start = [], span.start
    for position in _at_depth(tokens, span):
        if tokens[position].token_type is TokenType.COMMA:
            parts.append(Span(start, position))
            start = position + 1
    parts.append(Span(start, span.end))
    return [part for part in parts if part.start < part.end]


def equality(tokens: Sequence[Token], span: Span, label: str | None) -> Equality | None:
    """Read a condition as one that says what a column of a relation equals.

    Args:
        tokens: The statement's.
        span: The condition.
        label: What the column is qualified with, in lower case; None for a column that is not qualified.

    Returns:
        The equality; None where the condition is another, or its other side reads the relation too.
    """
    found = _comparison(tokens, span)
    if found is None:
        return None
    left, right, keeps_null = found
    for side, other in ((left, right), (right, left)):
        column = _column(tokens, side, label)
        if column is not None and (label is None or label not in _qualifiers(tokens, other)):
            return Equality(column, other, keeps_null)
    return None


def words(tokens: Sequence[Token], span: Span) -> set[str]:
    """The names that a span begins a reference with: what stands after a dot is not among them, nor are functions.

    Args:
        tokens: The statement's.
        span: Any part of it.

    Returns:
        The names in lower case. Keywords are among them.
    """
    return {
        tokens[position].text.lower()
        for position in range(span.start, span.end)
        if tokens[position].token_type not in _NO_WORDS
        and not _is_after_dot(tokens, position)
        and not is_call(tokens, position)
    }


def keywords(tokens: Sequence[Token], span: Span) -> set[str]:
    """All words of a span, keywords and functions among them.

    Args:
        tokens: The statement's.
        span: Any part of it.

    Returns:
        The words in lower case.
    """
    return {
        tokens[position].text.lower()
        for position in range(span.start, span.end)
        if tokens[position].token_type not in _NO_WORDS and tokens[position].token_type is not TokenType.IDENTIFIER
    }


def reads_all(tokens: Sequence[Token], span: Span, label: str) -> bool:
    """Whether a star, or COLUMNS(...), takes the columns of a relation.

    Args:
        tokens: The statement's.
        span: Any part of it.
        label: What the relation is called, in lower case.

    Returns:
        True where it may.
    """
    for position in range(span.start, span.end):
        token, before = tokens[position], tokens[position - 1] if position > 0 else None
        if token.text.upper() == "COLUMNS" and is_call(tokens, position):
            return True
        if token.token_type is not TokenType.STAR or before is None:
            continue
        if before.token_type is TokenType.DOT:
            if tokens[position - 2].text.lower() == label:
                return True
        elif (
            before.token_type in (TokenType.SELECT, TokenType.COMMA, TokenType.DISTINCT, TokenType.RETURNING)
            or before.token_type is TokenType.R_PAREN
        ):
            return True
    return False


def _item(tokens: Sequence[Token], span: Span) -> Item:
    last = span.end - 1
    length = span.end - span.start
    if length > 2 and tokens[span.start + 1].token_type is TokenType.COLON:
        return Item(Span(span.start + 2, span.end), tokens[span.start].text.lower())
    if length > 2 and tokens[last - 1].token_type is TokenType.ALIAS:
        return Item(Span(span.start, last - 1), tokens[last].text.lower())
    is_name = tokens[last].token_type in (TokenType.VAR, TokenType.IDENTIFIER)
    if length > 1 and is_name and _ends_operand(tokens[last - 1]):
        return Item(Span(span.start, last), tokens[last].text.lower())
    return Item(span, None)


def _ends_operand(token: Token) -> bool:
    return token.token_type in (
        TokenType.VAR,
        TokenType.IDENTIFIER,
        TokenType.STRING,
        TokenType.NUMBER,
        TokenType.END,
        TokenType.STAR,
        TokenType.NULL,
        TokenType.TRUE,
        TokenType.FALSE,
        *_CLOSING,
    )


def _comparison(tokens: Sequence[Token], span: Span) -> tuple[Span, Span, bool] | None:
    """Both sides of a condition that is one equality, and whether NULL equals NULL in it."""
    at = [position for position in _at_depth(tokens, span) if tokens[position].token_type is TokenType.EQ]
    if len(at) == 1:
        return Span(span.start, at[0]), Span(at[0] + 1, span.end), False
    for position in _at_depth(tokens, span):
        kinds = [token.token_type for token in tokens[position : position + 4]]
        if kinds == [TokenType.IS, TokenType.NOT, TokenType.DISTINCT, TokenType.FROM] and not at:
            return Span(span.start, position), Span(position + 4, span.end), True
    return None


def _column(tokens: Sequence[Token], span: Span, label: str | None) -> str | None:
    span = without_brackets(tokens, span)
    texts = [token.text.lower() for token in tokens[span.start : span.end]]
    if any(tokens[position].token_type in (TokenType.STRING, TokenType.NUMBER) for position in range(*span)):
        return None
    if label is None:
        return texts[0] if len(texts) == 1 else None
    return texts[2] if len(texts) == 3 and texts[:2] == [label, "."] else None


def _qualifiers(tokens: Sequence[Token], span: Span) -> set[str]:
    """What columns of a span are qualified with."""
    return {
        tokens[position - 1].text.lower()
        for position in range(span.start + 1, span.end)
        if tokens[position].token_type is TokenType.DOT
    }


def _at_depth(tokens: Sequence[Token], span: Span) -> Iterator[int]:
    """The tokens of a span that are in no brackets of it, and not between CASE and END; these themselves are."""
    depth = 0
    for position in range(span.start, span.end):
        kind = tokens[position].token_type if not _is_after_dot(tokens, position) else None
        if kind in _CLOSING or (kind is TokenType.END and depth):
            depth -= 1
        if depth == 0:
            yield position
        if kind in _OPENING or kind is TokenType.CASE:
            depth += 1


def _is_after_dot(tokens: Sequence[Token], position: int) -> bool:
    return position > 0 and tokens[position - 1].token_type is TokenType.DOT


def is_call(tokens: Sequence[Token], position: int) -> bool:
    """Whether a token is a function's name.

    Args:
        tokens: The statement's.
        position: The token.

    Returns:
        True where brackets come after a word, which may be a keyword.
    """
    return (
        position + 1 < len(tokens)
        and tokens[position + 1].token_type is TokenType.L_PAREN
        and tokens[position].token_type is not TokenType.IDENTIFIER
    )
