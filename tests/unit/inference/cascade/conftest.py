"""Two models of one service, and draws that are the same in each run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Service
from tests.support.agreeing_models import AgreeingModels
from tests.support.fixed_draws import fix_draws


@pytest.fixture(autouse=True)
def draws(monkeypatch: pytest.MonkeyPatch) -> None:
    fix_draws(monkeypatch)


@pytest.fixture
def models(service: Service) -> AgreeingModels:
    return AgreeingModels(service)


@pytest.fixture
def engine(service: Service, tmp_path: Path) -> dict[str, Any]:
    return {"endpoint": f"{service.url}/models", "cache_dir": str(tmp_path / "store")}
