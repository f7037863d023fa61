"""Tests of an engine are collected where it is installed; where it is not, that is said."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Service
from tests.distributed.sentiment import Sentiment
from tests.support.agreeing_models import AgreeingModels

ENGINES = {"dask": ("dask", "distributed"), "ray": ("ray",), "spark": ("pyspark",)}
"""The modules that the tests of each engine need. They are in the files test_<engine>*.py."""

MISSING = [
    engine for engine, modules in ENGINES.items() if any(importlib.util.find_spec(module) is None for module in modules)
]
collect_ignore_glob = [f"test_{engine}*" for engine in MISSING]


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


@pytest.fixture
def models(service: Service) -> AgreeingModels:
    return AgreeingModels(service)


@pytest.fixture
def engine(service: Service, tmp_path: Path) -> dict[str, Any]:
    return {"endpoint": f"{service.url}/models", "cache_dir": str(tmp_path / "store")}
