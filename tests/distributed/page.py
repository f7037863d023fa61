"""Pages with examples of an engine: they run in order, and print what stands behind them."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

from tests.support.page_blocks import ROOT, Page
from tests.support.page_output import is_alike
from tests.support.page_runner import ADDRESS

PAGE = "docs/distributed.md"


def run_examples(page: Page, engine: str, url: str) -> int:
    """Run the examples of an engine.

    Args:
        page: Whose.
        engine: ``dask``, ``ray`` or ``spark``.
        url: Of the service to ask instead of the local server.

    Returns:
        How many there are.
    """
    assert not page.faults, page.faults
    blocks = page.of(engine)
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks:
        assert block.language == "python", f"{page.name}, line {block.line}: {engine} runs Python alone"
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block.text.replace(f"http://{ADDRESS}", url), "page", "exec"), names)
        assert block.printed is None or is_alike(printed.getvalue(), block.printed), (
            f"{block.text}\n{printed.getvalue()}"
        )
    return len(blocks)


def folder_of(path: Path) -> Path:
    """A page's own folder, with the examples of a checkout in it."""
    (path / "examples").symlink_to(ROOT / "examples")
    return path
