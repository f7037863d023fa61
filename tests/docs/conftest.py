"""These tests need mkdocs and a browser's driver (`make test-docs` has both); in any other environment that is said."""

from __future__ import annotations

import importlib.util

import pytest

MISSING = [module for module in ("mkdocs", "material", "playwright") if importlib.util.find_spec(module) is None]
if MISSING:
    collect_ignore_glob = ["*"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out."""
    if MISSING:
        line = f"NOT TESTED: tests/docs, because there is no {MISSING[0]} here; `make test-docs` runs them"
        terminalreporter.write_line(line, red=True)
