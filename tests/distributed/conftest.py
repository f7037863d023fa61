"""Tests of an engine are collected where it is installed; where it is not, that is said."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Service
from tests.distributed.sentiment import Sentiment
from tests.support.agreeing_models import engine, models  # noqa: F401

ENGINES = {"dask": ("dask", "distributed"), "ray": ("ray",), "spark": ("pyspark",)}
"""The modules that the tests of each engine need. They are in the files test_<engine>*.py."""

MISSING = [
    name for name, modules in ENGINES.items() if any(importlib.util.find_spec(module) is None for module in modules)
]
collect_ignore_glob = [f"test_{name}*" for name in MISSING]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out where all engines are missing. Environments with one engine are made for it alone."""
    if len(MISSING) == len(ENGINES):
        terminalreporter.write_line(
            "NOT TESTED: tests/distributed, because there is no Dask, Ray or Spark here; `make test-distributed` and "
            "`make test-spark` run them",
            red=True,
        )


@pytest.fixture
def sentiment(service: Service, tmp_path: Path) -> Iterator[Sentiment]:
    """A classifier that counts what it is asked, and a store for its answers."""
    yield Sentiment(service, tmp_path / "answers")
