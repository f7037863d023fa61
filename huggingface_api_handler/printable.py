"""Text that others wrote, made fit for a message: printable characters in one line, and not too many of them.

Servers put anything into what they say: codes that steer a terminal, characters that turn the direction of writing,
line breaks that forge lines of a log. Every message of this package goes through here (``errors``, ``failures``).
"""

from __future__ import annotations

MAX_MESSAGE_CHARS = 900
"""Characters of a message. With its kind, status and attempts the reason of a row has 1,000 at most."""

_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
"""Invisible, but part of how Persian, Hindi and emoji are written."""


def printable(text: str) -> str:
    """Take out of a text what cannot be printed.

    Args:
        text: Any text.

    Returns:
        The text without control characters, invisible format characters but joiners, private characters and
        surrogates. Where there is any of these, or a line break, each run of whitespace becomes one space too.

    >>> printable("safe" + chr(0x202E) + chr(27) + "[2J" + chr(10) + "here")
    'safe[2J here'
    """
    if text.isprintable():
        return text
    words = " ".join(text.split())
    if words.isprintable():
        return words
    return " ".join("".join(each for each in words if each.isprintable() or each in _JOINERS).split())


def shorten(text: str, max_chars: int) -> str:
    """Cut a text that is too long.

    Args:
        text: Any text.
        max_chars: Characters that it may have.

    Returns:
        The text, with an ellipsis in place of what is too much.

    >>> shorten("too long a text", 8)
    'too lon…'
    """
    return text if len(text) <= max_chars else text[: max_chars - 1] + "…"
