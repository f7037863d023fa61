"""SQL files as lists of statements, and answers as text tables."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

# Strings with doubled or escaped quotes, comments, and the semicolon that ends a statement.
_TOKEN = re.compile(
    r"""(?P<string>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`[^`]*`)|(?P<comment>--[^\n]*|/\*.*?\*/)|(?P<end>;)""",
    re.DOTALL,
)


WIDEST = 140


def statements(script: str) -> list[str]:
    """The statements of a script, without comments and final semicolons; those inside strings stay."""
    found: list[str] = []
    done = plain = ""
    position = 0
    for token in _TOKEN.finditer(script):
        plain += script[position : token.start()]
        position = token.end()
        if token["string"]:
            done, plain = done + _without_blank_lines(plain) + token["string"], ""
        elif token["end"]:
            found.append(done + _without_blank_lines(plain))
            done = plain = ""
    found.append(done + _without_blank_lines(plain + script[position:]))
    return [each.strip() for each in found if each.strip()]


def _without_blank_lines(code: str) -> str:
    """What comments leave behind: blank lines, and blanks at the end of lines."""
    return re.sub(r"[ \t]*\n(?:[ \t]*\n)*", "\n", code)


def created_model(statement: str) -> tuple[str, str] | None:
    """Project and name of the model that a CREATE MODEL statement makes, or None for any other statement."""
    created = re.match(
        r"CREATE\s+(?:OR\s+REPLACE\s+)?(?:MODEL|PREDICTOR)\s+(?:IF\s+NOT\s+EXISTS\s+)?"
        r"(?:`?(?P<project>\w+)`?\s*\.\s*)?`?(?P<name>\w+)`?",
        statement,
        re.IGNORECASE,
    )
    return (created["project"] or "mindsdb", created["name"]) if created else None


def text_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, width: int = 60, most: int = 15) -> str:
    """A table for a terminal: cells of at most `width` characters, at most `most` rows, numbers right.

    A single row that is too wide for the terminals people have stands upright, a line for each column.
    """
    shown = rows[:most]
    cells = [[_cell(value, width) for value in row] for row in shown]
    given = [[row[i] for row in shown if row[i] is not None] for i in range(len(columns))]
    numbers = [bool(values) and all(map(_is_number, values)) for values in given]
    widths = [max(len(name), *(len(row[i]) for row in cells), 1) for i, name in enumerate(columns)]

    if len(rows) == 1 and sum(widths) + 3 * len(widths) > WIDEST:
        names = max(map(len, columns))
        pairs = zip(columns, cells[0], strict=True)
        return "\n".join(f"  {name.ljust(names)}   {value}" for name, value in pairs)

    def line(values: Sequence[str]) -> str:
        padded = [
            value.rjust(size) if number else value.ljust(size)
            for value, size, number in zip(values, widths, numbers, strict=True)
        ]
        return "  " + "   ".join(padded).rstrip()

    rule = "  " + "   ".join("-" * size for size in widths)
    left = len(rows) - len(shown)
    more = [f"  ... and {left} more row{'s' if left > 1 else ''}"] if left else []
    return "\n".join([line(list(columns)), rule, *map(line, cells), *more])


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _cell(value: Any, width: int) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, float):
        text = f"{value:,.3f}"
    elif _is_number(value):
        text = f"{value:,}" if abs(value) >= 10_000 else str(value)
    elif isinstance(value, (dict, list)):
        text = json.dumps(value, ensure_ascii=False)
    else:
        text = str(value)
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 3] + "..."
