"""``python -m tools.write_creation_args [--check]``: the literals of ``creation_args.py`` from ``EngineSettings``."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping
from typing import Any

from huggingface_api_handler.config.normalize import KEY_NAMES
from huggingface_api_handler.config.settings import EngineSettings
from tools.generated import ROOT, run

FILE = ROOT / "huggingface_api_handler" / "creation_args.py"
LINE_CHARS = 120
HEAD = '''"""Arguments of `CREATE ML_ENGINE ... FROM huggingface_api USING ...`.

Written by `python -m tools.write_creation_args` from `config/settings.py`; not written by hand.

MindsDB reads this file as text (its syntax tree) before it imports anything: what is not a literal, or an
`ARG_TYPE.X`, reads as None there. Hence literals only, the types as the strings that `ARG_TYPE` stands for, and
no annotation on the assignment, which that reader would not see. `secret` masks the value in SHOW ML_ENGINES.
"""

from collections import OrderedDict

creation_args = OrderedDict(
'''
# MindsDB's types, by the format and by the type of the field's JSON schema. It has none for fractions.
FORMATS = {"password": "pwd", "uri": "url", "directory-path": "path"}
TYPES = {"string": "str", "integer": "int", "number": "int", "boolean": "bool", "array": "list", "object": "dict"}


def creation_args() -> str:
    """Write the file's text.

    Returns:
        The source of ``creation_args.py``, formatted as ruff formats it.
    """
    schema = EngineSettings.model_json_schema(by_alias=False)
    entries = []
    for name, field in schema["properties"].items():
        kind, secret = _mindsdb_type(field)
        required = name in schema.get("required", [])
        entries.append(_entry(name, kind, field["description"], required, field["title"], secret))
        if name == KEY_NAMES[0]:
            for other in KEY_NAMES[1:]:
                entries.append(_entry(other, kind, f"Another name of {name}.", required, field["title"], secret))
    return HEAD + "".join(entries) + ")\n"


def _mindsdb_type(field: Mapping[str, Any]) -> tuple[str, bool]:
    """MindsDB's type of a field, and whether its value is a secret."""
    alternatives = field.get("anyOf")
    node = alternatives[0] if alternatives else field  # the other one is null
    form = node.get("format", "")
    return FORMATS.get(form, TYPES[node["type"]]), form == "password"


def _entry(name: str, kind: str, description: str, required: bool, label: str, secret: bool) -> str:
    lines = [
        f'    {name}={{',
        f'        "type": "{kind}",',
        *_literal('        "description": ', description),
        f'        "required": {required},',
        f'        "label": "{label}",',
        *(['        "secret": True,'] if secret else []),
        "    },",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _literal(before: str, text: str) -> list[str]:
    """A text as a string literal after ``before``, on several lines where one is too short for it."""
    if '"' in text or "\\" in text:
        raise ValueError(f"a description with quotes or backslashes is not provided for: {text}")
    if len(f'{before}"{text}",') <= LINE_CHARS:
        return [f'{before}"{text}",']
    indent = len(before) - len(before.lstrip())
    width = LINE_CHARS - indent - len('" ",')
    offset = "_" * (len(before) - indent)
    lines = textwrap.wrap(text, width, initial_indent=offset, break_long_words=False, break_on_hyphens=False)
    lines[0] = lines[0].removeprefix(offset)
    first, *others = [f'"{line} "' for line in lines[:-1]] + [f'"{lines[-1]}",']
    return [before + first, *(" " * indent + line for line in others)]


if __name__ == "__main__":
    sys.exit(run("python -m tools.write_creation_args", str(__doc__), {FILE: creation_args()}))
