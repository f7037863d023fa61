"""SQL files as lists of statements."""

from __future__ import annotations

import re

# Strings with doubled or escaped quotes, comments, and the semicolon that ends a statement.
_TOKEN = re.compile(
    r"""(?P<string>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`[^`]*`)|(?P<comment>--[^\n]*|/\*.*?\*/)|(?P<end>;)""",
    re.DOTALL,
)


def statements(script: str) -> list[str]:
    """Split a script into its statements.

    Args:
        script: SQL with comments and semicolons, which may also be inside strings.

    Returns:
        The statements, without comments and final semicolons; strings stay as they are.

    >>> statements("SELECT 'a;b'; -- first\\nSELECT 2;")
    ["SELECT 'a;b'", 'SELECT 2']
    """
    split: list[str] = []
    statement = code = ""  # what is complete of the statement, and the code since its last string
    position = 0
    for token in _TOKEN.finditer(script):
        code += script[position : token.start()]
        position = token.end()
        if token["string"]:
            statement, code = statement + _without_blank_lines(code) + token["string"], ""
        elif token["end"]:
            split.append(statement + _without_blank_lines(code))
            statement = code = ""
    split.append(statement + _without_blank_lines(code + script[position:]))
    return [text.strip() for text in split if text.strip()]


def _without_blank_lines(code: str) -> str:
    """The code without what comments leave behind: blank lines, and blanks at the end of lines."""
    return re.sub(r"[ \t]*\n(?:[ \t]*\n)*", "\n", code)


def created_model(statement: str) -> tuple[str, str] | None:
    """Find the model that a statement creates.

    Args:
        statement: One statement.

    Returns:
        The model's project ('mindsdb' where none is named) and its name; None for any other statement.

    >>> created_model("CREATE MODEL sentiment PREDICT label")
    ('mindsdb', 'sentiment')
    """
    match = re.match(
        r"CREATE\s+(?:OR\s+REPLACE\s+)?(?:MODEL|PREDICTOR)\s+(?:IF\s+NOT\s+EXISTS\s+)?"
        r"(?:`?(?P<project>\w+)`?\s*\.\s*)?`?(?P<name>\w+)`?",
        statement,
        re.IGNORECASE,
    )
    return (match["project"] or "mindsdb", match["name"]) if match else None
