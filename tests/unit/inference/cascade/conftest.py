"""Draws that are the same in each run."""

from __future__ import annotations

import pytest

from tests.support.fixed_draws import fix_draws


@pytest.fixture(autouse=True)
def draws(monkeypatch: pytest.MonkeyPatch) -> None:
    fix_draws(monkeypatch)
