"""What the answer store tells, and whom: its owner alone, no inputs, and nobody of another engine."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.inference import predict
from tests.conftest import Service

USING = {"task": "text-classification", "column": "text", "target": "y", "model": "m"}
FRAME = pd.DataFrame({"text": ["a very private sentence about Ada", "another one about Grace"]})


@pytest.fixture
def asked(service: Service) -> Service:
    service.answer = lambda body, *_: [[{"label": "A", "score": 0.5}]]
    return service


def ask(service: Service, folder: Path, **engine: Any) -> int:
    """Predict, and return how many requests it took."""
    before = len(service.asked)
    out = predict(FRAME, USING, {"endpoint": service.url, "cache_dir": str(folder), **engine})
    assert set(out["y"]) == {"A"}
    return len(service.asked) - before


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_only_the_owner_can_read_the_store(asked: Service, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        ask(asked, tmp_path / "store")
    finally:
        os.umask(before)
    files = list((tmp_path / "store").iterdir())
    assert {file.name for file in files} >= {"answers.sqlite", "answers.secret"}
    for file in (tmp_path / "store", *files):
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file


def test_inputs_are_not_in_the_store(asked: Service, tmp_path: Path) -> None:
    ask(asked, tmp_path)
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b'"label"' in stored
    for word in (b"private sentence", b"Ada", b"Grace"):
        assert word not in stored


def test_another_engine_finds_no_answer(asked: Service, tmp_path: Path) -> None:
    assert ask(asked, tmp_path, name="one") == 2
    assert ask(asked, tmp_path, name="one") == 0
    assert ask(asked, tmp_path, name="two") == 2
    assert ask(asked, tmp_path, api_key="hf_AnotherAccount1234") == 2
    assert ask(asked, tmp_path, api_key="hf_AThirdAccount12345") == 2
