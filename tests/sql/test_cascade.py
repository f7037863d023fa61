"""A cascade in SQL: another engine for the proxy, arguments of a SELECT, EXPLAIN, receipts, what others own."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from huggingface_api_handler.cli.sql import watch as watch_module
from huggingface_api_handler.cli.sql.watch import Watch
from huggingface_api_handler.errors import InputError
from huggingface_api_handler.inference import Phase
from tests.conftest import Service
from tests.support.agreeing_models import AgreeingModels

ROWS = 1500


@pytest.fixture
def near() -> Iterator[Service]:
    service = Service()
    yield service
    service.close()


@pytest.fixture
def models(service: Service, near: Service) -> tuple[AgreeingModels, AgreeingModels]:
    return AgreeingModels(service), AgreeingModels(near)


@pytest.fixture
def two(con: Any, service: Service, near: Service, models: Any, tmp_path: Path) -> Any:
    """A connection with an engine far and one near, and a table of numbered texts."""
    con.sql(
        f"CREATE ML_ENGINE far FROM huggingface_api USING endpoint = '{service.url}/models', cache_dir = '{tmp_path}', "
        "api_key = 'hf_farKey123456', prices = {'request': 0.01}"
    )
    con.sql(
        f"CREATE ML_ENGINE near FROM huggingface_api USING endpoint = '{near.url}/models', cache_dir = '{tmp_path}', "
        "prices = {'request': 0.001}"
    )
    con.sql(f"CREATE TABLE t AS SELECT 'text ' || (range // 2) AS text, range AS n FROM range({2 * ROWS})")
    con.sql(
        "CREATE MODEL mood PREDICT mood USING engine = 'far', task = 'text-classification', model = 'large', "
        "column = 'text', cascade = {'model': 'small', 'engine': 'near', 'accuracy': 0.9, 'confidence': 0.9999}"
    )
    return con


def share_right(rows: list[tuple[Any, ...]]) -> float:
    right = [mood == AgreeingModels.truth(int(text.split()[1])) for text, mood in rows]
    return float(sum(right) / len(right))


def test_the_small_model_of_another_engine_spares_the_large_one(
    two: Any, models: Any, service: Service, near: Service
) -> None:
    far, close = models
    rows = two.sql("SELECT t.text, m.mood, m.mood_model FROM t JOIN mood AS m").fetchall()
    assert len(rows) == 2 * ROWS
    assert share_right([row[:2] for row in rows]) >= 0.9
    by = Counter(row[2] for row in rows)
    assert by["small"] > ROWS / 2
    assert set(close.asked["small"]) == set(range(ROWS))
    assert not far.asked["small"] and not close.asked["large"]
    assert len(far.asked["large"]) == by["large"] / 2
    assert "authorization" not in near.headers[-1]
    assert {headers["authorization"] for headers in service.headers} == {"Bearer hf_farKey123456"}


def test_the_same_statement_again_asks_nobody(two: Any, models: Any) -> None:
    statement = "SELECT t.n, m.mood, m.mood_model FROM t JOIN mood AS m ORDER BY n"
    first = two.sql(statement).fetchall()
    for each in models:
        each.forget()
    assert two.sql(statement).fetchall() == first
    assert not any(each.asked["large"] or each.asked["small"] for each in models)


def test_one_row_goes_to_the_large_model(two: Any, models: Any) -> None:
    row = two.sql("SELECT mood, mood_model FROM mood WHERE text = 'text 7'").fetchone()
    assert row == (AgreeingModels.truth(7), "large")
    assert not models[1].asked["small"]


def test_a_select_can_turn_it_off_on_and_change_what_is_promised(two: Any, models: Any) -> None:
    far, close = models
    rows = two.sql("SELECT t.text, m.mood FROM t JOIN mood AS m USING cascade = false").fetchall()
    assert share_right(rows) == 1.0
    assert not close.asked["small"]
    far.forget()
    two.sql("SELECT count(m.mood) FROM t JOIN mood AS m USING cascade = {'accuracy': 0.99}, cache = false").fetchall()
    strict = len(far.asked["large"])
    far.forget()
    two.sql("SELECT count(m.mood) FROM t JOIN mood AS m USING cascade = {'accuracy': 0.8}, cache = false").fetchall()
    assert 0 < len(far.asked["large"]) < strict
    two.sql(
        "CREATE MODEL plain PREDICT mood USING engine = 'far', task = 'text-classification', model = 'large', column = 'text'"
    )
    two.sql(
        "SELECT count(m.mood_model) FROM t JOIN plain AS m USING cascade = {'model': 'small', 'accuracy': 0.9}, cache = false"
    ).fetchall()
    assert far.asked["small"]


def test_explain_says_who_would_be_asked_how_often(two: Any, service: Service, near: Service) -> None:
    result = two.sql("EXPLAIN SELECT t.text, m.mood FROM t JOIN mood AS m")
    found = dict(zip(result.columns, result.fetchone(), strict=True))
    assert not service.asked and not near.asked
    assert (found["rows"], found["distinct_inputs"]) == (2 * ROWS, ROWS)
    assert found["note"].startswith(f"cascade: {ROWS} requests to small, then ")
    assert found["usd_low"] < found["usd_high"] == pytest.approx(ROWS * 0.001 + ROWS * 0.01)


def test_the_receipt_is_in_describe_and_in_the_table_of_usage(two: Any) -> None:
    rows = two.sql("SELECT m.mood_model FROM t JOIN mood AS m").fetchall()
    described = two.sql("DESCRIBE mood.usage").df()
    receipt = orjson.loads(described["cascade"].iloc[1])
    assert receipt["proxy_row_share"] == Counter(row[0] for row in rows)["small"] / (2 * ROWS)
    assert receipt["accuracy"] == 0.9
    assert receipt["usd_saved"] > 0
    kept = two.sql("SELECT requests, usd FROM huggingface.usage").fetchall()
    assert len(set(kept)) == 1  # one receipt of both models, and the sum of all


def test_the_windows_of_a_small_limit_go_straight_to_the_large_model(two: Any, models: Any) -> None:
    rows = two.sql("SELECT t.text, m.mood FROM t JOIN mood AS m WHERE m.mood = 'pos' LIMIT 10").fetchall()
    assert len(rows) == 10
    assert not models[1].asked["small"]


@pytest.mark.parametrize(
    ("cascade", "sentence"),
    [
        ("{'model': 'small', 'engine': 'nowhere', 'accuracy': 0.9}", "nowhere"),
        ("{'model': 'small', 'endpoint': 'http://10.0.0.1/x', 'accuracy': 0.9}", "private"),
        ("{'model': 'small'}", "accuracy"),
    ],
)
def test_what_cannot_be_is_refused_by_create_model(cascade: str, sentence: str, two: Any, service: Service) -> None:
    asked = len(service.asked)
    with pytest.raises(InputError, match=sentence):
        two.sql(
            "CREATE MODEL bad PREDICT mood USING engine = 'far', task = 'text-classification', model = 'large', "
            f"column = 'text', cascade = {cascade}"
        )
    assert len(service.asked) == asked


def test_a_select_cannot_send_the_rows_elsewhere(two: Any, near: Service) -> None:
    with pytest.raises(InputError, match="endpoint of a cascade cannot come in a SELECT"):
        two.sql(f"SELECT m.mood FROM t JOIN mood AS m USING cascade = {{'endpoint': '{near.url}'}}")


def test_an_engine_that_was_dropped_is_told_of(two: Any) -> None:
    two.sql("DROP ML_ENGINE near")
    with pytest.raises(InputError, match="near"):
        two.sql("SELECT m.mood FROM t JOIN mood AS m")


def test_a_progress_function_is_told_the_model_and_its_phase(two: Any) -> None:
    seen: list[tuple[str, int, int, str]] = []

    def progress(model: str, done: int, total: int, *, phase: Phase | None) -> None:
        assert phase is not None
        seen.append((model, done, total, phase.name))

    two.progress = progress
    two.sql("SELECT count(m.mood) FROM t JOIN mood AS m").fetchall()
    assert {model for model, *_ in seen} == {"mood"}
    names = list(dict.fromkeys(name for *_, name in seen))
    assert names == ["small model reads", "large model checks", "large model answers the rest"]
    assert seen[-1][1] == seen[-1][2] > ROWS


def test_the_bar_of_the_shell_names_the_phase_and_never_goes_back(
    two: Any, models: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "_BAR_DELAY_S", 0.001)
    monkeypatch.setenv("COLUMNS", "100")
    watch = Watch(has_bars=True)
    two.progress = watch.progress
    models[0].on_large = lambda: time.sleep(0.02)
    guess = models[1].guess

    def slow_guess(number: int) -> Any:
        time.sleep(0.0005)
        return guess(number)

    monkeypatch.setattr(models[1], "guess", slow_guess)
    two.sql("SELECT count(m.mood) FROM t JOIN mood AS m").fetchall()
    lines = [line for line in capsys.readouterr().err.split("\r") if line.strip()]
    watch.clear()
    assert re.match(r"  mood, small model reads: [\d,]+ of 1,500  [ \d]\d%\|", lines[0])
    assert any(re.match(r"  mood, large model checks: \d+ of at most [\d,]+  \d\d%\|", line) for line in lines)
    assert any(re.match(r"  mood, large model answers the rest: (\d+) of \d+  \d\d%\|", line) for line in lines)
    shares = [int(line.partition("%|")[0].split()[-1]) for line in lines]
    assert shares == sorted(shares)
    assert max(map(len, lines)) <= 97
