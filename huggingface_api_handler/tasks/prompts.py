"""Prompts from a template that names columns: ``'Summarise: {{text}}'``."""

from __future__ import annotations

import re

_PLACEHOLDER = re.compile(r"\{\{([^{}]*)\}\}")


def template_columns(template: str) -> list[str]:
    """The columns that a prompt template names, in order of first appearance."""
    return list(dict.fromkeys(match.group(1).strip() for match in _PLACEHOLDER.finditer(template)))


def fill(template: str, cells: dict[str, str]) -> str:
    """Put each column's text in place of its ``{{column}}``. Nothing in a cell is ever read as a template."""
    return _PLACEHOLDER.sub(lambda match: cells[match.group(1).strip()], template)
