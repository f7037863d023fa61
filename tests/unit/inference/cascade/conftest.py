"""Two models of one service, and draws that are the same in each run."""

from __future__ import annotations

import pytest

from tests.support.agreeing_models import engine, models  # noqa: F401
from tests.support.fixed_draws import fix_draws


@pytest.fixture(autouse=True)
def draws(monkeypatch: pytest.MonkeyPatch) -> None:
    fix_draws(monkeypatch)
