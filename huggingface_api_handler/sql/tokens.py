"""A script cut into statements, and one statement into tokens, its trailing arguments taken off.

Cutting needs only strings and comments told apart from the rest, which a search for their first characters does in a
second for 10 MB. sqlglot's tokenizer takes a second for each, so a statement is given to it only when its tokens are
asked for.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import TokenError
from sqlglot.tokens import Token, TokenType

from ..config.normalize import suggest
from ..errors import InputError
from ..redaction import preview
from .arguments import TEXTS, ArgumentList, ArgumentReader

MAX_MODEL_STATEMENT_CHARS = 1_000_000
"""Longest statement that may use a model: its tokens are read in about a second. DuckDB takes longer ones."""

MAX_STATEMENTS = 1_000_000
"""Most statements of a script, which are cut in some seconds."""

_MAX_WORDS = 8
"""As many as ``CREATE OR REPLACE MODEL IF NOT EXISTS name`` has."""

_WORD = re.compile(r"[^\W\d]\w*")
_NO_TOKENS = re.compile(r"(?:\s+|--[^\r\n]*|/\*[^*/]*\*/)+")  # and comments with others in them by _end_of_comment
_NAME_QUOTES = '"`'
_COMMENT_MARK = re.compile(r"/\*|\*/")

# What ends a statement, or begins something in which a semicolon ends nothing. A string that is closed is one match.
_OPENERS = re.compile(
    r"""(?P<end>;)[\s;]*
    | (?<![\w$])[eE](?P<escaped>')
    | '[^']*' | "[^"]*" | `[^`]*` | --[^\r\n]*
    | (?P<comment>/\*)
    | (?<![\w$])(?P<dollar>\$(?:[^\W\d]\w*)?\$)
    | (?P<open>['"`])""",
    re.VERBOSE,
)
# MindsDB's strings know the backslash, and those of its statements are read by its parser.
_OPENERS_OF_COMMANDS = re.compile(
    r"""(?P<end>;)[\s;]*
    | '[^'\\]*(?:\\.[^'\\]*)*' | "[^"\\]*(?:\\.[^"\\]*)*" | `[^`]*` | --[^\r\n]*
    | (?P<comment>/\*)
    | (?P<open>['"`])""",
    re.VERBOSE | re.DOTALL,
)
_END_OF_ESCAPED = re.compile(r"[^'\\]*(?:(?:\\.|'')[^'\\]*)*'", re.DOTALL)

_COMMANDS = re.compile(
    r"(?:CREATE\s+(?:OR\s+REPLACE\s+)?(?:MODEL|PREDICTOR|ML_ENGINE)|RETRAIN|FINETUNE|EVALUATE)\b", re.IGNORECASE
)


class Dialect(DuckDB):
    """DuckDB's SQL, in which the backtick quotes identifiers too, as DuckDB 2 has it."""

    class Tokenizer(DuckDB.Tokenizer):
        """DuckDB's, with the backtick."""

        IDENTIFIERS = ['"', "`"]  # noqa: RUF012 - as sqlglot declares it


class _Read(NamedTuple):
    text: str
    tokens: tuple[Token, ...]
    arguments: tuple[ArgumentList, ...]


@dataclass(frozen=True)
class Statement:
    """One statement of a script.

    Attributes:
        source: the characters that the person wrote, without the semicolon and the space around.
        words: its first words in upper case, as many as stand side by side; 8 at most.
    """

    source: str
    words: tuple[str, ...]

    @cached_property
    def _read(self) -> _Read:
        if len(self.source) > MAX_MODEL_STATEMENT_CHARS:
            raise InputError(
                f"a statement that uses a model has at most {MAX_MODEL_STATEMENT_CHARS:,} characters, and this one has "
                f"{len(self.source):,}. Load the data into a table first"
            )
        try:
            tokens = Dialect().tokenize(self.source)
        except TokenError as error:
            raise InputError(f"the statement cannot be read: {error}") from None
        if self.words[:1] == ("ALTER",):  # whose USING is an expression: ALTER c TYPE BOOLEAN USING c = 5
            return _Read(self.source, tuple(tokens), ())
        found = ArgumentReader(self.source, tokens).read()
        return _Read(_without(self.source, found.removed).rstrip(), tuple(found.tokens), found.lists)

    @property
    def text(self) -> str:
        """The statement without its lists of arguments. Spaces stand in their place, so that positions stay."""
        return self._read.text

    @cached_property
    def is_readable(self) -> bool:
        """Whether it has tokens. One that has none, or is too long, can only be DuckDB's."""
        try:
            return bool(self._read.tokens)
        except InputError:
            return False

    @property
    def tokens(self) -> tuple[Token, ...]:
        """sqlglot's tokens of ``text``; ``start`` and ``end`` (the last character) are positions in it.

        Raises:
            InputError: the statement is too long to be read, or no tokens can be made of it.
        """
        return self._read.tokens

    @cached_property
    def names(self) -> frozenset[str]:
        """The words and quoted names among its tokens, in lower case. Texts are none."""
        return frozenset(token.text.lower() for token in self.tokens if token.token_type not in TEXTS)

    @property
    def arguments(self) -> tuple[ArgumentList, ...]:
        """Its lists of arguments, each with the part of ``text`` in which it holds, outer ones first."""
        return self._read.arguments

    @property
    def using(self) -> dict[str, object] | None:
        """The arguments that hold for the whole statement; None where it has none."""
        return next((found.values for found in self.arguments if found.start == 0), None)

    def arguments_at(self, position: int, *names: str) -> dict[str, object]:
        """The arguments that hold for a model that is named at a position.

        Args:
            position: of its name in ``text``.
            names: what the model is called there: its alias and its name. ``m.top_k`` holds for ``m`` alone.

        Returns:
            The values by their names in lower case, without the model's. Those of an inner subselect come before those
            of an outer one.
        """
        meant, values = {name.lower() for name in names}, {}
        for found in self.arguments:
            if not found.start <= position < found.end:
                continue
            for name, value in found.values.items():
                model, _, argument = name.rpartition(".")
                if not model or model.lower() in meant:
                    values[argument.lower()] = value
        return values

    def refuse_other_models(self, names: Collection[str]) -> None:
        """Refuse an argument such as ``m.top_k`` where the statement uses no model ``m``.

        Args:
            names: and aliases of the models that it uses.

        Raises:
            InputError: an argument is for another one. The message has the nearest name.
        """
        meant = {name.lower() for name in names}
        for found in self.arguments:
            for name in found.values:
                model = name.rpartition(".")[0]
                if model and model.lower() not in meant:
                    problem = f"the statement uses no model {preview(model)}"
                    raise InputError(f"USING {name}: {problem}{suggest(model, meant)}")

    def may_name(self, names: Collection[str]) -> bool:
        """Whether one of some names may stand in the statement, found without its tokens.

        Args:
            names: in lower case.

        Returns:
            False where none stands as a word outside of texts and comments.
        """
        source = self.source.lower()
        spelled = {each for name in names for each in (name, *(name.replace(quote, quote * 2) for quote in '"`'))}
        if not any(name in source for name in spelled):
            return False
        return any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", self._without_texts) for name in spelled)

    @cached_property
    def _without_texts(self) -> str:
        """The statement in lower case, without its texts and comments."""
        return " ".join(self.source[start:stop] for start, stop in _plain_spans(self.source)).lower()


def statements_of(script: str) -> list[Statement]:
    """Cut a script at its semicolons.

    Args:
        script: SQL of any length. Semicolons in strings, quoted names and comments cut nothing.

    Returns:
        The statements, without those that are empty or only a comment. What is not closed, such as a string, goes on
        to the end.

    Raises:
        InputError: there are more than ``MAX_STATEMENTS``.

    >>> [statement.source for statement in statements_of("SELECT ';'; -- done;\\n SELECT $$a;b$$ ;")]
    ["SELECT ';'", '-- done;\\n SELECT $$a;b$$']
    """
    statements: list[Statement] = []
    for start, first, stop in _cuts(script):
        if first >= stop:
            continue
        if len(statements) == MAX_STATEMENTS:
            raise InputError(f"a script has at most {MAX_STATEMENTS:,} statements. Run this one in parts")
        statements.append(Statement(script[start:stop].strip(), _words(script, first, stop)))
    return statements


def explained_statement(statement: Statement) -> Statement | None:
    """The statement behind EXPLAIN.

    Args:
        statement: Any statement.

    Returns:
        What is to be explained; None where the statement is no EXPLAIN.
    """
    if statement.words[:1] != ("EXPLAIN",):
        return None
    source = statement.source  # which may begin with a comment
    found = statements_of(source[_first_token(source, 0, len(source)) + len("EXPLAIN") :])
    return found[0] if found else None


def is_complete(text: str) -> bool:
    """Whether nothing stands behind the last semicolon of what a person writes.

    Args:
        text: what is written so far.

    Returns:
        False for an unfinished statement, also where the last semicolon is in a string or a comment.

    >>> is_complete("SELECT 1; -- done"), is_complete("SELECT 1"), is_complete("SELECT ';")
    (True, False, False)
    """
    start, first, stop = list(_cuts(text))[-1]
    return start > 0 and first >= stop


def _cuts(script: str) -> Iterator[tuple[int, int, int]]:
    """Where each statement begins, its first token, and where it ends."""
    start = position = 0
    first = _first_token(script, 0, len(script))
    openers = _openers(script, first)
    while (match := openers.search(script, position)) is not None:
        position = match.end()
        kind = match.lastgroup
        if kind == "end":
            yield start, first, match.start()
            start = position
            first = _first_token(script, start, len(script))
            openers = _openers(script, first)
        elif kind is not None:
            closed = _closed(script, match, kind)
            if closed is None:
                break
            position = closed
    yield start, first, len(script)


def _plain_spans(source: str) -> Iterator[tuple[int, int]]:
    """What of a statement is neither text nor comment. Quoted names are neither."""
    start = position = 0
    openers = _openers(source, _first_token(source, 0, len(source)))
    while (match := openers.search(source, position)) is not None:
        kind = match.lastgroup
        closed = match.end() if kind in (None, "end") else _closed(source, match, str(kind))
        position = len(source) if closed is None else closed
        if kind == "end" or match[0][0] in _NAME_QUOTES:
            continue
        yield start, match.start()
        start = position
    yield start, len(source)


def _openers(script: str, first: int) -> re.Pattern[str]:
    return _OPENERS_OF_COMMANDS if _COMMANDS.match(script, first) else _OPENERS


def _closed(script: str, match: re.Match[str], kind: str) -> int | None:
    """Where that ends which a match begins; None where it does not."""
    if kind == "comment":
        return _end_of_comment(script, match.start())
    if kind == "escaped":
        end = _END_OF_ESCAPED.match(script, match.end())
        return end.end() if end else None
    if kind == "dollar":
        place = script.find(match["dollar"], match.end())
        return place + len(match["dollar"]) if place >= 0 else None
    return None


def _end_of_comment(script: str, start: int) -> int | None:
    """Behind a comment, in which others may be."""
    depth = 0
    for mark in _COMMENT_MARK.finditer(script, start):
        depth += 1 if mark[0] == "/*" else -1
        if not depth:
            return mark.end()
    return None


def _first_token(script: str, start: int, stop: int) -> int:
    """The first position that is neither space nor comment."""
    while start < stop:
        if space := _NO_TOKENS.match(script, start, stop):
            start = space.end()
        if not script.startswith("/*", start):
            break
        start = _end_of_comment(script, start) or stop
    return start


def _words(script: str, start: int, stop: int) -> tuple[str, ...]:
    words: list[str] = []
    while len(words) < _MAX_WORDS and (word := _WORD.match(script, start, stop)):
        words.append(word[0].upper())
        start = _first_token(script, word.end(), stop)
    return tuple(words)


def _without(text: str, removed: Iterable[slice]) -> str:
    """The text with spaces in place of some of it, and its lines as they were."""
    pieces, end = [], 0
    for span in removed:
        pieces += [text[end : span.start], re.sub(r"[^\r\n]", " ", text[span])]
        end = span.stop
    return "".join([*pieces, text[end:]])


__all__ = [
    "MAX_MODEL_STATEMENT_CHARS",
    "ArgumentList",
    "Dialect",
    "Statement",
    "TokenType",
    "explained_statement",
    "is_complete",
    "statements_of",
]
