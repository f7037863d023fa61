"""Dollars of EXPLAIN and of the question before a statement: by prices that CREATE MODEL read, with nothing sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from huggingface_api_handler import cli
from huggingface_api_handler.cli.sql.cost_question import CostQuestion, DeclinedError
from huggingface_api_handler.inference.pricing.estimate import NO_HISTORY_NO_LIMIT, NO_HISTORY_OF_MEDIA
from huggingface_api_handler.inference.pricing.prices import NO_PRICES
from tests.conftest import Service
from tests.sql.conftest import Make, make_engine, make_model
from tests.support.hub import StandInHub, hub_of_a_test

GPT = "openai/gpt-oss-120b"
READ, WRITTEN = 0.35, 0.75
"""USD per million tokens at the one live provider of ``tests/recorded/hub.json``."""

TEXTS = [f"The {word} is too loud, and the manual is a joke." for word in ("kettle", "mixer", "fan", "phone")]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInHub]:
    yield from hub_of_a_test(monkeypatch)


@pytest.fixture
def hub_con(hub: StandInHub, con: Any, tmp_path: Path) -> Any:
    """A connection with an engine at Hugging Face and a table ``t``."""
    prepare(con, tmp_path)
    return con


def prepare(con: Any, folder: Path) -> None:
    for statement in script(folder):
        con.sql(statement)


def script(folder: Path) -> list[str]:
    rows = ", ".join(f"('{text}')" for text in [*TEXTS, TEXTS[0]])
    return [
        f"CREATE ML_ENGINE hf FROM huggingface_api USING api_key = 'hf_Key', cache_dir = '{folder}'",
        f"CREATE TABLE t AS SELECT * FROM (VALUES {rows}) AS v(text)",
    ]


def chat(name: str = "reply", *, reads: str = "column = 'text'", more: str = "", task: str = "chat-completion") -> str:
    return f"CREATE MODEL {name} PREDICT answer USING task = '{task}', {reads}, model = '{GPT}'{more}"


def explained(con: Any, statement: str = "SELECT answer FROM t JOIN reply") -> dict[str, Any]:
    result = con.sql(f"EXPLAIN {statement}")
    return dict(zip(result.columns, result.fetchone(), strict=True))


def reads(hub: StandInHub) -> int:
    """Bytes of the requests that were asked last, a byte more or less by the separators in it."""
    return sum(len(orjson.dumps(body)) for _, _, body in hub.asked)


def test_max_tokens_bounds_what_is_written_before_anybody_has_asked(hub: StandInHub, hub_con: Any) -> None:
    hub_con.sql(chat(more=", max_tokens = 50"))
    hub.tokens.clear()
    row = explained(hub_con)
    assert hub.tokens == []
    hub.usage = {"prompt_tokens": 20, "completion_tokens": 50, "total_tokens": 70}
    hub_con.sql("SELECT answer FROM t JOIN reply").fetchall()
    paid = len(TEXTS) * (20 * READ + 50 * WRITTEN) / 1e6
    assert 0 < row["usd_low"] < paid < row["usd_high"]
    at_most = reads(hub) + 1024 * len(TEXTS)
    assert row["usd_high"] == pytest.approx((at_most * READ + len(TEXTS) * 50 * WRITTEN) / 1e6, rel=0.01)
    assert (row["distinct_inputs"], row["note"]) == (len(TEXTS), None)


def test_without_it_there_is_no_figure_and_that_is_said(hub: StandInHub, hub_con: Any) -> None:
    hub_con.sql(chat())
    row = explained(hub_con)
    assert (row["usd_low"], row["usd_high"], row["note"]) == (None, None, NO_HISTORY_NO_LIMIT)


def test_the_system_prompt_and_the_template_are_read_with_each_input(hub: StandInHub, hub_con: Any) -> None:
    words = "You are kind. " * 100
    hub_con.sql(chat(more=", max_tokens = 1"))
    hub_con.sql(chat("long", more=f", system_prompt = '{words}', max_tokens = 1"))
    short, long = explained(hub_con), explained(hub_con, "SELECT answer FROM t JOIN long")
    assert long["usd_high"] - short["usd_high"] == pytest.approx(len(words) * len(TEXTS) * READ / 1e6, rel=0.05)


def test_earlier_queries_show_how_much_is_written(hub: StandInHub, hub_con: Any) -> None:
    hub.usage = {"prompt_tokens": 20, "completion_tokens": 300, "total_tokens": 320}
    hub_con.sql(chat())
    hub_con.sql("SELECT answer FROM t JOIN reply").fetchall()
    row = explained(hub_con, "SELECT answer FROM (SELECT text || ' ' AS text FROM t) AS u JOIN reply")
    expected = len(TEXTS) * (20 * READ + 300 * WRITTEN) / 1e6
    assert row["usd_low"] < expected < row["usd_high"] < 3 * expected < 9 * row["usd_low"]
    assert row["note"] is None


def test_what_was_estimated_stands_beside_what_it_cost(hub: StandInHub, hub_con: Any) -> None:
    hub.usage = {"prompt_tokens": 20, "completion_tokens": 50, "total_tokens": 70}
    hub_con.sql(chat(more=", max_tokens = 100"))
    before = explained(hub_con)
    hub_con.sql("SELECT answer FROM t JOIN reply").fetchall()
    read = "SELECT usd_estimated_low, usd, usd_estimated_high FROM huggingface.usage WHERE query <> 'all'"
    assert hub_con.sql(read).fetchall() == [
        tuple(
            round(usd, 6)
            for usd in (before["usd_low"], len(TEXTS) * (20 * READ + 50 * WRITTEN) / 1e6, before["usd_high"])
        )
    ]


def test_stored_answers_cost_nothing(hub: StandInHub, hub_con: Any) -> None:
    hub_con.sql(chat(more=", max_tokens = 50, cache = true"))
    hub_con.sql("SELECT answer FROM t JOIN reply").fetchall()
    row = explained(hub_con)
    assert (row["stored"], row["requests"], row["usd_low"], row["usd_high"]) == (len(TEXTS), 0, 0.0, 0.0)


def test_the_cheapest_and_the_dearest_count_where_the_router_chooses(hub: StandInHub, hub_con: Any) -> None:
    hub.router_models[GPT]["providers"].append(
        {"provider": "together", "status": "live", "pricing": {"input": 3.5, "output": 7.5}}
    )
    hub_con.sql(chat(more=", max_tokens = 50"))
    hub_con.sql(chat("other", more=", max_tokens = 50, provider = 'cerebras'"))
    either = explained(hub_con)
    cheap = explained(hub_con, "SELECT answer FROM t JOIN other")
    assert either["usd_low"] == pytest.approx(cheap["usd_low"], rel=0.1)  # whose requests name the provider
    assert either["usd_high"] == pytest.approx(10 * cheap["usd_high"], rel=0.1)


def test_where_the_router_said_nothing_it_is_not_known(hub: StandInHub, hub_con: Any) -> None:
    del hub.router_models[GPT]
    hub_con.sql(chat())
    row = explained(hub_con)
    assert (row["usd_low"], row["usd_high"], row["note"]) == (None, None, NO_PRICES.note)


def test_nobody_knows_what_an_image_costs(hub: StandInHub, hub_con: Any) -> None:
    hub_con.sql(chat(task="image-text-to-text", more=", max_tokens = 50"))
    hub_con.sql("CREATE TABLE images AS SELECT 'https://example.com/a.png' AS text")
    row = explained(hub_con, "SELECT answer FROM images JOIN reply")
    assert (row["requests"], row["usd_high"], row["note"]) == (1, None, NO_HISTORY_OF_MEDIA)


def test_an_endpoint_of_ones_own_has_no_price(con: Any, labels: Service) -> None:
    make_engine(con, labels)
    make_model(con)
    con.sql("CREATE TABLE t AS SELECT 'a' AS text")
    assert explained(con, "SELECT sentiment FROM t JOIN sentiment")["usd_high"] is None


def test_the_local_server_costs_nothing(con: Any, labels: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(con), "local_endpoint", lambda _: f"{labels.url}/models")
    con.sql("CREATE ML_ENGINE hf FROM huggingface_api USING endpoint = 'local'")
    make_model(con)
    con.sql("CREATE TABLE t AS SELECT 'a' AS text")
    assert explained(con, "SELECT sentiment FROM t JOIN sentiment")["usd_high"] == 0.0


def test_prices_last_as_long_as_the_file(
    hub: StandInHub, open_file: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_AskedWithThis")
    con = open_file()
    con.sql(f"CREATE ML_ENGINE hf FROM huggingface_api USING api_key_env = 'HF_TOKEN', cache_dir = '{tmp_path}'")
    con.sql(script(tmp_path)[1])
    con.sql(chat(more=", max_tokens = 50"))
    before = explained(con)["usd_high"]
    con.close()
    assert explained(open_file())["usd_high"] == before > 0


def test_a_dear_statement_is_asked_about_by_its_dollars(hub: StandInHub, open_file: Make, tmp_path: Path) -> None:
    question = CostQuestion(max_requests=1000, max_dollars=0.0001, ask=None)
    con = open_file(":memory:", confirm=question)
    prepare(con, tmp_path)
    con.sql(chat(more=", max_tokens = 5000"))
    with pytest.raises(
        DeclinedError,
        match=r"reply would be sent 4 requests \(.*estimated 0\.0000\d+ to 0\.017 USD\)\. Nothing was sent",
    ):
        con.sql("SELECT answer FROM t JOIN reply")
    assert hub.asked == []


def test_what_the_person_agreed_to_stands_beside_what_it_cost_where_answers_are_stored(
    hub: StandInHub, open_file: Make, tmp_path: Path
) -> None:
    hub.usage = {"prompt_tokens": 20, "completion_tokens": 50, "total_tokens": 70}
    asked: list[tuple[float | None, float | None]] = []

    def confirm(estimate: Any) -> bool:
        asked.append((estimate.usd_low, estimate.usd_high))
        return True

    con = open_file(":memory:", confirm=confirm)
    prepare(con, tmp_path)
    con.sql(chat(more=", max_tokens = 100, cache = true"))
    con.sql(f"SELECT answer FROM t JOIN reply WHERE text = '{TEXTS[0]}'").fetchall()
    result = con.sql("SELECT answer FROM t JOIN reply")
    result.fetchall()
    usage = result.queries[0][1].usage.as_dict()
    assert (usage["stored"], usage["requests"]) == (1, len(TEXTS) - 1)
    assert (usage["usd_estimated_low"], usage["usd_estimated_high"]) == asked[1]
    assert usage["usd_estimated_low"] < usage["usd"] < usage["usd_estimated_high"]


@pytest.mark.parametrize(("most", "status", "sent"), [("0.01", 1, 0), ("0.02", 0, len(TEXTS))])
def test_max_dollars_of_the_command(
    hub: StandInHub, tmp_path: Path, capsys: pytest.CaptureFixture[str], most: str, status: int, sent: int
) -> None:
    statements = [*script(tmp_path), chat(more=", max_tokens = 5000"), "SELECT answer FROM t JOIN reply"]
    assert cli.main(["sql", "--max-dollars", most, "-c", "; ".join(statements)]) == status
    assert len(hub.asked) == sent
    assert ("Add --max-dollars 0.02 to allow so much" in capsys.readouterr().err) == (sent == 0)
