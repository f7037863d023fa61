"""A page with SQL, Python and commands in it: its examples run in order, and what they print is compared with the page.

An example is a block of ``sql``, ``python`` or ``sh``. A block without a language right behind it is what it prints. An
example without one only has to work. Of ``sh``, lines with ``huggingface-api-handler sql`` are run.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from typing import Any, NamedTuple

from huggingface_api_handler.cli import main
from huggingface_api_handler.cli.sql.cost_question import CostQuestion
from huggingface_api_handler.cli.sql.runner import Runner
from huggingface_api_handler.cli.sql.watch import Watch
from huggingface_api_handler.sql import Connection

COLUMNS = "108"
"""How wide the terminal is that is printed on. With its margin a page has 110."""

COMMAND = "huggingface-api-handler sql"

_BLOCK = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$(?P<after>\n+(?=```\n))?", re.MULTILINE | re.DOTALL)
_RULE = re.compile(r"\s*-+(?:   -+)*")
_USAGE = re.compile(r"^  \S+: [\d,]+ requests?, [\d,]+ of [\d,]+ inputs stored.*\n", re.MULTILINE)
"""What the shell says of the models behind a statement. A page would repeat it with each."""

_TIME = re.compile(r"\d+\.\d+ s\b")
_REQUESTS = re.compile(r"\d+ requests?\b")
_NUMBER = re.compile(r"-?\d+\.\d+")

_OF_THE_DAY = {"seconds", "requests"}
"""Columns that are others each time."""

_TOLERANCE = 0.02
"""Of scores: other processors round the models' numbers otherwise."""


class Terminal(io.StringIO):
    """What is printed on it is kept."""

    def isatty(self) -> bool:
        return True


class Example(NamedTuple):
    """A block that runs.

    Attributes:
        language: ``sql``, ``python`` or ``sh``.
        text: The block.
        printed: What it prints; None where the page does not say it.
        span: Where that is in the page.
    """

    language: str
    text: str
    printed: str | None
    span: tuple[int, int]


def examples_of(page: str) -> Iterator[Example]:
    """The examples of a page in Markdown, in order."""
    blocks = list(_BLOCK.finditer(page))
    for block, following in zip(blocks, [*blocks[1:], None], strict=True):
        if block["language"] in ("sql", "python", "sh"):
            has_output = block["after"] and following is not None and not following["language"]
            printed = following["text"] if has_output and following is not None else None
            yield Example(
                block["language"],
                block["text"],
                printed,
                following.span("text") if has_output and following is not None else (0, 0),
            )


class Reader:
    """Who tries a page: with one connection for its SQL, and one interpreter for its Python."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._names: dict[str, Any] = {}

    def run(self, example: Example) -> str:
        """Run an example. Gives what a terminal shows of it; raises AssertionError where it fails and nothing is said of that."""
        out = Terminal()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            worked = {"sql": self._sql, "python": self._python, "sh": _commands}[example.language](example.text)
        assert worked or example.printed is not None, f"{example.text}\n{out.getvalue()}"
        return _USAGE.sub("", out.getvalue())

    def _sql(self, text: str) -> bool:
        return Runner(self._connection, Watch(has_bars=False), CostQuestion(10_000, 1.0, None), "table").run_script(
            text
        )

    def _python(self, text: str) -> bool:
        exec(compile(text, "page", "exec"), self._names)
        return True


def _commands(text: str) -> bool:
    lines = [line.partition("  #")[0].strip() for line in text.splitlines()]
    return all(main(shlex.split(line)[1:]) == 0 for line in lines if line.startswith(f"{COMMAND} "))


def is_alike(printed: str, stored: str) -> bool:
    """Whether two texts are the same but for times, requests, and little differences in scores."""
    ours, theirs = _comparable(printed), _comparable(stored)
    return len(ours) == len(theirs) and all(map(_is_alike, ours, theirs))


def _is_alike(ours: str, theirs: str) -> bool:
    if _NUMBER.sub("#", ours) != _NUMBER.sub("#", theirs):
        return False
    pairs = zip(_NUMBER.findall(ours), _NUMBER.findall(theirs), strict=True)
    return all(abs(float(one) - float(other)) <= _TOLERANCE for one, other in pairs)


def _comparable(text: str) -> list[str]:
    """The cells of tables, and lines that are in none."""
    found: list[str] = []
    columns: list[tuple[str, int, int]] = []
    lines = text.rstrip().splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=False):
        if _RULE.fullmatch(following) and following.strip():
            columns = [(line[m.start() : m.end()].strip(), *m.span()) for m in re.finditer("-+", following)]
            found += [name for name, _, _ in columns]
        elif _RULE.fullmatch(line) and line.strip():
            continue
        elif columns and line.startswith("  "):
            found += ["" if name in _OF_THE_DAY else line[start:end].strip() for name, start, end in columns]
        else:
            columns = []
            found.append(_REQUESTS.sub("requests", _TIME.sub("s", line)).rstrip())
    return found
