"""The figures that the unit tests leave."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import hostile_cells
from tests.support.results import record


@pytest.fixture(scope="session", autouse=True)
def hostile_cells_are_counted() -> Iterator[None]:
    yield
    if (figures := hostile_cells.counts())["refused"]:
        record("hostile cells", figures)
