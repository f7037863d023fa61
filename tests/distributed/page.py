"""The page on clusters: the examples of an engine run in order, and print what stands behind them."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

_PAGE = Path(__file__).parents[2] / "docs" / "distributed.md"
_EXAMPLE = re.compile(r"^```python\n(.*?)^```\n(?:\n```\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
_ADDRESS = "http://127.0.0.1:8900"
"""Of the local server, which the page asks."""


def run_examples(heading: str, url: str) -> int:
    """Run the examples below a heading of the page.

    Args:
        heading: Of a section.
        url: Of the service to ask instead of the local server.

    Returns:
        How many there are.
    """
    section = _PAGE.read_text("utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    examples = _EXAMPLE.findall(section)
    names: dict[str, Any] = {"__name__": "page"}
    for code, expected in examples:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code.replace(_ADDRESS, url), "page", "exec"), names)
        assert [line.rstrip() for line in printed.getvalue().splitlines()] == expected.splitlines(), code
    return len(examples)
