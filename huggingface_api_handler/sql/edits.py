"""The person's text with some spans of it replaced; all other characters stay as they are."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot.tokens import Token

from .blocks import Span


class EditedText:
    """A statement of which spans are replaced by position."""

    def __init__(self, text: str, tokens: Sequence[Token]) -> None:
        """Begin with the text as it is.

        Args:
            text: The statement.
            tokens: Its tokens.
        """
        self._text, self._tokens = text, tokens
        self._edits: dict[tuple[int, int], str] = {}

    def replace(self, span: Span, text: str) -> None:
        """Put text in the place of some tokens. What was replaced in them before shows where they are rendered alone.

        Args:
            span: The tokens. An empty span inserts before its token.
            text: What stands there from now on.
        """
        self._edits[self._characters(span)] = text

    def insert(self, position: int, text: str) -> None:
        """Put text before a token, behind what was put there before.

        Args:
            position: The token; the number of tokens for the end.
            text: What is added.
        """
        key = self._characters(Span(position, position))
        self._edits[key] = self._edits.get(key, "") + text

    def render(self, span: Span | None = None) -> str:
        """The text as it is now.

        Args:
            span: The tokens; None for the whole statement.

        Returns:
            Their text with what was replaced in it.
        """
        start, end = (0, len(self._text)) if span is None else self._characters(span)
        pieces, position = [], start
        for (edit_start, edit_end), text in sorted(self._edits.items(), key=_outer_first):
            if start <= edit_start and edit_end <= end and edit_start >= position:
                pieces += [self._text[position:edit_start], text]
                position = edit_end
        return "".join([*pieces, self._text[position:end]])

    def _characters(self, span: Span) -> tuple[int, int]:
        if span.start >= len(self._tokens):
            return len(self._text), len(self._text)
        start = self._tokens[span.start].start
        return start, start if span.end <= span.start else self._tokens[span.end - 1].end + 1


def _outer_first(edit: tuple[tuple[int, int], str]) -> tuple[int, bool, int]:
    """Edits by where they start: insertions, then those that hold others, of which only they show."""
    (start, end), _ = edit
    return start, end > start, -end
