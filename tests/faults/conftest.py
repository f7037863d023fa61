"""The service with faults, started once for all tests here."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.faults.plan import Plan

ROOT = Path(__file__).parents[2]


@dataclass
class FaultyService:
    """The running service."""

    port: int

    def url(self, plan: Plan) -> str:
        """An endpoint that behaves by ``plan``."""
        return f"http://127.0.0.1:{self.port}/{plan.path}"

    def state(self, plan: Plan) -> dict[str, Any]:
        """What the plan did so far (``service.State``)."""
        return self._fetch(plan, "state")

    def counts(self, plan: Plan, what: str) -> dict[str, int]:
        """How often each input was 'asked' or 'answered' so far."""
        return self._fetch(plan, what)

    def _fetch(self, plan: Plan, what: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url(plan)}/{what}", timeout=60) as response:
            answer: dict[str, Any] = json.load(response)
        return answer


@pytest.fixture(scope="session")
def faulty() -> Iterator[FaultyService]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.service"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield FaultyService(int(process.stdout.readline().split()[0]))
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()
