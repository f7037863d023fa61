"""What a server says of an error, its own words told apart from what they repeat of the request.

A row may hold any words, "model is overloaded" among them. A server that repeats the row in its error must not have
these words taken for its own.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import orjson

from ..redaction import redact

_MIN_ECHO_CHARS = 4
"""A shorter text of the request may stand in any sentence."""

_TRUNCATED_ECHO_CHARS = 40
"""Servers cut long texts: so much of a text's beginning counts as an echo of it."""

_MAX_LEAF_CHARS = 600
"""Of a text of the request only so much is looked for. Error messages are shorter."""

_MAX_SEARCHED_CHARS = 2000
"""Of a message only so much is searched: ``protocols`` cuts them earlier, and quotations take the square of it."""

_GAP = " \N{HORIZONTAL ELLIPSIS} "
"""Stands where an echo was, so that the words beside it do not become one phrase by touching."""

_QUOTED = re.compile(
    r"""(?<!\w)'(?:[^'\\]|\\.|(?<=\w)'(?=\w))*'(?!\w)"""  # an apostrophe stands between two letters
    r"""|(?<!\w)"(?:[^"\\]|\\.)*"(?!\w)"""
    r"""|(?<!\w)`[^`]*`(?!\w)"""
)

_MESSAGE_FIELD = re.compile(r"""(["'])(?:error|message|detail|msg|title)\1: ?(["'])((?:(?!\2)[^\\]|\\.)*)\2""")


@dataclass(frozen=True)
class ServerError:
    """What a server says of a request that it did not answer. ``protocols`` reads it from a response.

    Attributes:
        message: The server's words in one line, with keys and passwords redacted. They can repeat what was sent.
        code: The server's word for programs, such as ``model_not_found``, or None.
        estimated_wait_s: Seconds until a model is loaded, as the server guesses them: not positive where the guess
            cannot be read, None where it says nothing of the kind.
        sent: The body of the request.
        status: The status that the server says within a response that means success; None where it says none.
        max_tokens: Tokens that an input may have, where a field of its own says it; None where none does.
        tokens: Tokens of the input that was refused, in the same way.
    """

    message: str
    code: str | None = None
    estimated_wait_s: float | None = None
    sent: bytes = field(default=b"", repr=False)
    status: int | None = None
    max_tokens: int | None = None
    tokens: int | None = None

    @cached_property
    def verdict_text(self) -> str:
        """The code and the server's own words, without what they repeat of the request, in lower case."""
        is_own = self.code and any(map(str.isalnum, without_echoes(self.code, self.sent)))
        return (self._code_words if is_own else "") + without_echoes(self.message, self.sent)

    def search(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Search ``verdict_text``.

        Args:
            pattern: What to look for.

        Returns:
            The first match, None where there is none.
        """
        # Echoes are looked for only where they could matter: a service that refuses many requests costs little.
        if pattern.search(self._code_words + self.message) is None:
            return None
        return pattern.search(self.verdict_text)

    @property
    def _code_words(self) -> str:
        return f"{self.code.replace('_', ' ').lower()}: " if self.code else ""


def without_echoes(message: str, sent: bytes) -> str:
    """Take out of an error message what is not the server's own words.

    Args:
        message: The message in one line, redacted.
        sent: The body of the request.

    Returns:
        The message in lower case, with an ellipsis for each text of the request that it repeats, as it is or escaped,
        cut off or not, and for each quotation.

    >>> without_echoes("Cannot read: the model is loading", b'{"inputs":"The model is loading"}')
    'cannot read:  \N{HORIZONTAL ELLIPSIS} '
    """
    text = message[:_MAX_SEARCHED_CHARS].lower()
    pieces, end = [], 0
    for span in sorted(span for form in set(_forms_sent(sent)) for span in _echoes(text, form)):
        if span[0] >= end:
            pieces.append(text[end : span[0]])
        end = max(end, span[1])
    own = _GAP.join([*pieces, text[end:]])
    # JSON within the message: what stands in such a field was said, and not quoted.
    return _QUOTED.sub(_GAP, _MESSAGE_FIELD.sub(r"\3", own))


def _echoes(text: str, form: str) -> Iterator[tuple[int, int]]:
    """Where a text repeats ``form``, or its beginning: begin and end. A part of a word is no repetition."""
    needle = form[:_TRUNCATED_ECHO_CHARS]
    at = text.find(needle)
    while at >= 0:
        end, length = at + len(needle), len(needle)
        while length < len(form) and text[end : end + 1] == form[length]:
            end, length = end + 1, length + 1
        is_cut_off = length < len(form)
        if _is_word_boundary(text, at) and (is_cut_off or _is_word_boundary(text, end)):
            yield at, end
        at = text.find(needle, at + 1)


def _is_word_boundary(text: str, at: int) -> bool:
    return not (text[at - 1 : at].isalnum() and text[at : at + 1].isalnum())


def _forms_sent(sent: bytes) -> Iterator[str]:
    """Each text of a request in the forms that a message may repeat it in, as the message is: one line, lower case."""
    try:
        body = orjson.loads(sent)
    except ValueError:  # media
        return
    for leaf in _leaves(body):
        head = redact(leaf[:_MAX_LEAF_CHARS])
        forms = {head}
        if not (head.isascii() and head.isprintable()) or set(head) & set("\\\"'<>&"):
            forms |= {json.dumps(head)[1:-1], json.dumps(head, ensure_ascii=False)[1:-1], repr(head)[1:-1]}
            forms.add(html.escape(head))
        for form in forms:
            line = " ".join(form.split()).lower()
            if len(line) >= _MIN_ECHO_CHARS:
                yield line


def _leaves(value: object) -> Iterator[str]:
    """The texts of parsed JSON, without the names of its fields."""
    pending = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict):
            pending.extend(each.values())
        elif isinstance(each, list):
            pending.extend(each)
