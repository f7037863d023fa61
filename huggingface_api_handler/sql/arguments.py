"""Lists of arguments behind a SELECT: ``USING name [. name] = value, ...`` up to the end of its own subselect.

Not every USING is one. ``USING (column)`` of a join, ``USING SAMPLE``, ``PIVOT ... USING sum(x)``, ``DELETE ... USING
b`` and ``USING KEY`` have no ``name =`` behind them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlglot.tokens import Token, TokenType

from ..errors import InputError
from ..redaction import preview

_OPENING = (TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE)
_CLOSING = (TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE)
_CONSTANTS = {TokenType.TRUE: True, TokenType.FALSE: False, TokenType.NULL: None}
_PLACEHOLDERS = (TokenType.PLACEHOLDER, TokenType.PARAMETER)
TEXTS = (TokenType.STRING, TokenType.HEREDOC_STRING, TokenType.RAW_STRING, TokenType.BYTE_STRING)
"""Tokens that are texts, and no names."""

_MAX_DEPTH = 32
"""As deep as answers may be nested, and an argument more than enough."""


class ArgumentList(NamedTuple):
    """One list of arguments, and where it holds.

    Attributes:
        start: first position of the statement's text that it holds for: behind the bracket that opens its subselect.
        end: the position after the last: that of the bracket which closes it, or the length of the text.
        values: str, int, float, bool, None, list or dict by the names as they were written; ``m.top_k`` is one name.
    """

    start: int
    end: int
    values: dict[str, object]


class Found(NamedTuple):
    """What ``ArgumentReader`` gives: the lists, what of the text they were, and the tokens that are left."""

    lists: tuple[ArgumentList, ...]
    removed: tuple[slice, ...]
    tokens: list[Token]


class ArgumentReader:
    """Finds and reads the lists of arguments of one statement."""

    def __init__(self, source: str, tokens: Sequence[Token]) -> None:
        """Look at a statement.

        Args:
            source: its text.
            tokens: sqlglot's tokens of it.
        """
        self._source = source
        self._tokens = tokens
        self._at = 0

    def read(self) -> Found:
        """Find all lists.

        Returns:
            The lists, outer ones first, and the rest of the statement.

        Raises:
            InputError: a list begins and cannot be read, or something follows it.
        """
        lists: list[ArgumentList] = []
        removed: list[slice] = []
        left: list[Token] = []
        groups = [0]
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            if token.token_type is TokenType.USING and self._begins_list():
                self._at += 1
                values = self._pairs()
                end = self._end_of_group()
                removed.append(slice(token.start, end))
                lists.append(ArgumentList(groups[-1], end, values))
                continue
            if token.token_type in _OPENING:
                groups.append(token.end + 1)
            elif token.token_type in _CLOSING and len(groups) > 1:
                groups.pop()
            left.append(token)
            self._at += 1
        return Found(tuple(sorted(lists, key=lambda found: found.start)), tuple(removed), left)

    def _begins_list(self) -> bool:
        """Whether ``name =`` or ``name . name =`` follows."""
        at = self._at + 1
        while _is_name(self._token(at)) and self._type(at + 1) is TokenType.DOT:
            at += 2
        return _is_name(self._token(at)) and self._type(at + 1) is TokenType.EQ

    def _pairs(self) -> dict[str, object]:
        values: dict[str, object] = {}
        given: set[str] = set()
        while True:
            parts = [self._name()]
            while self._type() is TokenType.DOT:
                self._at += 1
                parts.append(self._name())
            name = ".".join(parts)
            self._expect(TokenType.EQ, f"= behind {preview(name)}")
            if name.lower() in given:
                raise InputError(f"USING has {preview(name)} twice. Give one of them")
            given.add(name.lower())
            values[name] = self._value(name, 0)
            if self._type() is not TokenType.COMMA:
                return values
            self._at += 1

    def _end_of_group(self) -> int:
        token = self._token()
        if token is None:
            return len(self._source)
        if token.token_type is TokenType.R_PAREN:
            return int(token.start)
        raise InputError(
            f"USING with arguments is the last clause of its SELECT, and {preview(token.text)} follows it. Move USING "
            "to the end, or write a comma between arguments"
        )

    def _name(self) -> str:
        token = self._token()
        if token is None or not _is_name(token):
            raise InputError(f"USING: the name of an argument is missing{self._near()}")
        self._at += 1
        return token.text

    def _value(self, name: str, depth: int) -> object:
        token = self._token()
        if token is None or depth > _MAX_DEPTH:
            problem = "its value is missing" if token is None else "its value is nested too deeply"
            raise InputError(f"USING {name}: {problem}")
        self._at += 1
        kind = token.token_type
        if kind in TEXTS or kind is TokenType.IDENTIFIER:
            return token.text
        if kind in _CONSTANTS:
            return _CONSTANTS[kind]
        if kind in (TokenType.NUMBER, TokenType.DASH, TokenType.PLUS, TokenType.DOT):
            self._at -= 1
            return self._number(name)
        if kind is TokenType.L_BRACKET:
            return self._list(name, depth)
        if kind is TokenType.L_BRACE:
            return self._map(name, depth)
        if kind in _PLACEHOLDERS:
            raise InputError(f"USING {name}: write its value out. Parameters such as ? are not for arguments")
        if not _is_name(token):
            raise InputError(f"USING {name}: {preview(token.text)} is no value. Give a text, a number, a list or a map")
        parts = [token.text]
        while self._type() is TokenType.DOT:
            self._at += 1
            parts.append(self._name())
        return ".".join(parts)

    def _number(self, name: str) -> int | float:
        text = ""
        while self._type() in (TokenType.DASH, TokenType.PLUS, TokenType.DOT, TokenType.NUMBER):
            text += self._tokens[self._at].text
            self._at += 1
            if text[-1].isdigit() and self._type() is not TokenType.DOT:
                break
        for read in (int, float):
            try:
                return read(text)
            except ValueError:
                continue
        raise InputError(f"USING {name}: {preview(text)} is no number")

    def _list(self, name: str, depth: int) -> list[object]:
        values: list[object] = []
        while self._type() is not TokenType.R_BRACKET:
            values.append(self._value(name, depth + 1))
            if self._type() is not TokenType.COMMA:
                break
            self._at += 1
        self._expect(TokenType.R_BRACKET, f"] at the end of the list of {name}")
        return values

    def _map(self, name: str, depth: int) -> dict[str, object]:
        values: dict[str, object] = {}
        while self._type() is not TokenType.R_BRACE:
            key = self._token()
            if key is None or not (_is_name(key) or key.token_type in TEXTS):
                raise InputError(f"USING {name}: a name is missing in its map{self._near()}")
            self._at += 1
            self._expect(TokenType.COLON, f": behind {preview(key.text)}")
            values[key.text] = self._value(name, depth + 1)
            if self._type() is not TokenType.COMMA:
                break
            self._at += 1
        self._expect(TokenType.R_BRACE, f"}} at the end of the map of {name}")
        return values

    def _expect(self, kind: TokenType, what: str) -> None:
        if self._type() is not kind:
            raise InputError(f"USING: {what} is missing{self._near()}")
        self._at += 1

    def _near(self) -> str:
        token = self._token()
        return "" if token is None else f", near {preview(token.text)}"

    def _token(self, at: int | None = None) -> Token | None:
        at = self._at if at is None else at
        return self._tokens[at] if at < len(self._tokens) else None

    def _type(self, at: int | None = None) -> TokenType | None:
        token = self._token(at)
        return None if token is None else token.token_type


def _is_name(token: Token | None) -> bool:
    """Whether a token may be the name of an argument: a quoted name, a word, or a word that SQL uses too."""
    if token is None or token.token_type in (*TEXTS, TokenType.NUMBER):
        return False
    return token.token_type is TokenType.IDENTIFIER or token.text.replace("_", "a").isalnum()
