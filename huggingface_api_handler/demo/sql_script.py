"""SQL files as lists of statements."""

from __future__ import annotations

import re

# Strings with doubled or escaped quotes, comments, and the semicolon that ends a statement.
_TOKEN = re.compile(
    r"""(?P<string>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`[^`]*`)|(?P<comment>--[^\n]*|/\*.*?\*/)|(?P<end>;)""",
    re.DOTALL,
)


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
