"""Prompts from a template that names columns: ``'Summarise: {{text}}'``."""

from __future__ import annotations

import re
from collections.abc import Mapping

_PLACEHOLDER = re.compile(r"\{\{([^{}]*)\}\}")


def template_columns(template: str) -> list[str]:
    """The columns that a prompt template names.

    Args:
        template: a text with ``{{column}}`` in it.

    Returns:
        Each name once, in order of first appearance.

    >>> template_columns("{{product}}: {{text}} ({{ product }})")
    ['product', 'text']
    """
    return list(dict.fromkeys(match.group(1).strip() for match in _PLACEHOLDER.finditer(template)))


def fill(template: str, cells: Mapping[str, str]) -> str:
    """Put each column's text in place of its ``{{column}}``. Nothing in a cell is ever read as a template.

    Args:
        template: a text with ``{{column}}`` in it.
        cells: the text of each column that the template names.

    Returns:
        The prompt.

    >>> fill("{{product}}: {{text}}", {"product": "Lamp", "text": "Broken, {{product}}"})
    'Lamp: Broken, {{product}}'
    """
    return _PLACEHOLDER.sub(lambda match: cells[match.group(1).strip()], template)
