"""max_usd, max_tokens_total and usd_per_month in a query: never overspent, and what is paid for lands."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.config.validation import merge_select_overrides
from huggingface_api_handler.errors import InputError
from huggingface_api_handler.inference import Session, predict
from huggingface_api_handler.inference.storage import quota
from tests.conftest import Reply, Service
from tests.support.hub import StandInHub, hub_of_a_test

CHAT = {"task": "chat-completion", "model": "m", "column": "text", "target": "y", "max_tokens": 10}
PRICES = {"input": 1, "output": 10}
TEXTS = [f"text {number}" for number in range(60)]

BOUND_USD = 0.0013
"""About what a request of these may cost at most: 1024 tokens of a template, the bytes, and ten tokens written."""


@pytest.fixture(autouse=True)
def nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "_warned", set())


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInHub]:
    yield from hub_of_a_test(monkeypatch)


class Bill:
    """A service that bills by its own count."""

    def __init__(self, seed: int = 0, *, faults: float = 0.0) -> None:
        self.usd, self.tokens, self.chance, self.faults = Decimal(0), 0, random.Random(seed), faults
        self.asked: Counter[str] = Counter()

    def __call__(self, body: Any, *_: Any) -> Any:
        text = body["messages"][-1]["content"]
        self.asked[text] += 1
        if self.chance.random() < self.faults:
            return Reply({"error": f"{text} is too rude"}, 422)
        read, written = self.chance.randint(5, 60), self.chance.randint(1, body["max_tokens"])
        self.usd += Decimal(read * 1 + written * 10) / 1_000_000
        self.tokens += read + written
        answer = {"choices": [{"message": {"role": "assistant", "content": f"on {text}"}}]}
        if self.chance.random() < self.faults:
            return answer
        return {**answer, "usage": {"prompt_tokens": read, "completion_tokens": written}}


def ask(service: Service, folder: Path, texts: list[str] = TEXTS, engine: Any = None, **using: Any) -> pd.DataFrame:
    where = {"endpoint": f"{service.url}/v1", "protocol": "openai", "cache_dir": str(folder), "name": "mine"}
    options = {"cache": True, "max_concurrency": 8, "prices": PRICES, **(engine or {})}
    frame = pd.DataFrame({"text": texts})
    return predict(frame, {**CHAT, "on_error": "null", **using}, {**where, **options})


def test_a_budget_that_ends_in_mid_query_loses_nothing_and_a_rerun_with_more_sends_the_rest(
    service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    service.answer = bill = Bill()
    first = ask(service, tmp_path, max_usd=0.004)
    answered = first["y"].notna()
    assert 0 < answered.sum() < len(TEXTS)
    assert answered.sum() == sum(bill.asked.values()), "all that was paid for is there"
    assert 0.004 - BOUND_USD < bill.usd <= Decimal("0.004")
    reasons = set(first["y_error"][~answered])
    assert len(reasons) == 1
    assert "not sent: max_usd = 0.004 was reached before this row: 0.00" in reasons.pop()
    assert [record.getMessage() for record in caplog.records if "are used" in record.getMessage()] == [
        record.getMessage() for record in caplog.records if "of max_usd = 0.004 are used" in record.getMessage()
    ]
    second = ask(service, tmp_path, max_usd=0.1)
    assert list(second["y"]) == [f"on {text}" for text in TEXTS]
    assert set(bill.asked.values()) == {1}, "what is stored is not paid for again"


def test_requests_wait_for_what_others_give_back(service: Service, tmp_path: Path) -> None:
    service.answer = bill = Bill()
    out = ask(service, tmp_path, max_usd=2 * BOUND_USD + 0.007)
    assert out["y"].notna().all(), "sixty bounds are 0.08 USD, and what sixty requests cost is a tenth of that"
    assert bill.usd < Decimal("0.0096")


@pytest.mark.parametrize("seed", range(4))
def test_with_faults_and_missing_usage_the_service_never_bills_more_than_the_budget(
    seed: int, service: Service, tmp_path: Path
) -> None:
    service.answer = bill = Bill(seed, faults=0.2)
    limits = {"max_usd": 0.012} if seed % 2 else {"max_tokens_total": 9000}
    out = ask(service, tmp_path, **limits)
    assert bill.usd <= Decimal("0.012") or "max_usd" not in limits
    assert bill.tokens <= 9000
    assert out["y"].notna().sum() >= 3
    assert out["y_error"].str.contains(f"{next(iter(limits))} = .* was reached before this row", na=False).any()


def test_tokens_have_a_budget_too(service: Service, tmp_path: Path) -> None:
    service.answer = bill = Bill()
    out = ask(service, tmp_path, max_tokens_total=2000, engine={"prices": None})
    assert 2000 - 1200 < bill.tokens <= 2000
    rest = out["y_error"].dropna()
    assert rest.str.contains(
        "max_tokens_total = 2000 was reached before this row: .* are spent, the next request may"
    ).all()


def test_what_one_budget_refuses_takes_nothing_of_another(service: Service, tmp_path: Path) -> None:
    service.answer = bill = Bill()
    ask(service, tmp_path, max_tokens_total=3000, engine={"usd_per_month": 1})
    connection = sqlite3.connect(tmp_path / "answers.sqlite")
    rows = connection.execute("SELECT used FROM quotas").fetchall()
    connection.close()
    assert rows == [(bill.usd * 1_000_000,)]


def test_a_month_is_shared_by_the_queries_of_an_engine_and_warned_of_once(
    service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    service.answer = bill = Bill()
    engine = {"usd_per_month": 0.01}
    outs = [ask(service, tmp_path, [f"{name} {text}" for text in TEXTS], engine) for name in "abc"]
    assert 0.01 - BOUND_USD < bill.usd <= Decimal("0.01")
    assert outs[0]["y"].notna().any()
    assert outs[2]["y"].isna().all()
    assert (
        outs[2]["y_error"].str.contains("usd_per_month = 0.01 was reached .* it begins anew with the next month").all()
    )
    assert sum("of usd_per_month = 0.01 are used" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.parametrize(
    ("limits", "changes", "words"),
    [
        ({"max_usd": 1}, {"engine": {"prices": None}}, "max_usd cannot be held, .*Give prices = {"),
        ({"max_usd": 1}, {"max_tokens": None}, "max_usd cannot be held, .*Give max_tokens"),
        ({"max_tokens_total": 9}, {"max_tokens": None}, "max_tokens_total cannot be held, .*Give max_tokens"),
        ({}, {"engine": {"usd_per_month": 1, "prices": {"input": 1}}}, "usd_per_month cannot be held, .*no 'output'"),
        ({"max_usd": 1}, {"engine": {"prices": {"output": 1}}}, "max_usd cannot be held, .*no 'input'"),
        (
            {"max_tokens_total": 9},
            {"task": "image-text-to-text"},
            "media have is not known .*leave max_tokens_total out",
        ),
    ],
)
def test_a_budget_that_cannot_be_held_is_refused_before_anything_is_sent(
    limits: dict[str, Any], changes: dict[str, Any], words: str, service: Service, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words):
        ask(service, tmp_path, **limits, **changes)
    assert not service.asked


def test_a_row_whose_tokens_have_no_bound_fails_alone(service: Service, tmp_path: Path) -> None:
    service.answer = Bill()
    image = '[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}]'
    plain = '[{"role": "user", "content": "%s"}]'
    texts = [plain % "a", image, plain % "b"]
    out = ask(service, tmp_path, texts, column=None, messages_column="text", max_usd=1)
    assert list(out["y"].notna()) == [True, False, True]
    assert "media" in out["y_error"][1]
    assert len(service.asked) == 2


@pytest.mark.parametrize("price", [{"request": 0.001}, {"second": 0.001}])
def test_prices_by_request_and_by_second_need_no_max_tokens(
    price: dict[str, float], service: Service, tmp_path: Path
) -> None:
    answer = Bill()
    headers = {"x-compute-time": "0.5"}
    service.answer = lambda body, *_: Reply(answer({**body, "max_tokens": 10}), headers=headers)
    engine = {"prices": price, "timeout": 2, "max_concurrency": 2}
    out = ask(service, tmp_path, max_usd=0.004, max_tokens=None, engine=engine)
    assert out["y"].notna().sum() == (4 if "request" in price else 5), (
        "two seconds have to be left, of half a second each"
    )


def test_a_repair_is_paid_from_the_same_budget(service: Service, tmp_path: Path) -> None:
    def answer(body: Any, *_: Any) -> Any:
        content = (
            '{"n": 1}' if len(body["messages"]) > 1 and body["messages"][-1]["content"].startswith("That") else "no"
        )
        usage = {"prompt_tokens": 100, "completion_tokens": 10}
        return {"choices": [{"message": {"role": "assistant", "content": content}}], "usage": usage}

    service.answer = answer
    engine = {"prices": {"request": 0.001}}
    out = ask(service, tmp_path, TEXTS[:4], max_usd=0.005, output_schema={"n": "int"}, engine=engine)
    assert len(service.asked) == 5
    assert out["n"].notna().sum() < 4


def test_of_two_budgets_the_lower_counts_also_where_one_is_text() -> None:
    model = {**CHAT, "max_usd": "0.5", "max_tokens_total": 100}
    merged = merge_select_overrides(model, {"max_usd": 0.7, "max_tokens_total": "30", "max_requests": 5})
    assert (merged["max_usd"], merged["max_tokens_total"], merged["max_requests"]) == (0.5, 30, 5)
    with pytest.raises(InputError, match="max_usd"):
        merge_select_overrides(model, {"max_usd": "cheap"})


def test_a_single_row_with_a_budget_asks_the_router_for_the_price_and_is_refused_without_one(
    hub: StandInHub, tmp_path: Path
) -> None:
    model = "openai/gpt-oss-120b"
    using = {**CHAT, "model": model, "max_usd": 1}
    engine = {"api_key": "hf_AskedWithThis", "cache_dir": str(tmp_path)}
    frame = pd.DataFrame({"text": ["a"]})
    hub.usage = {"prompt_tokens": 5, "completion_tokens": 5}
    with Session() as session:
        assert predict(frame, using, engine, session=session)["y_error"].isna().all()
    assert hub.router_questions == [model]
    asked = len(hub.asked)
    hub.router_models[model] = {"providers": []}
    with Session() as session, pytest.raises(InputError, match=r"max_usd cannot be held, .* no price is known"):
        predict(frame, using, engine, session=session)
    assert len(hub.asked) == asked


def test_of_a_batch_for_which_a_budget_has_no_room_as_many_are_asked_as_fit(service: Service, tmp_path: Path) -> None:
    def answer(body: Any, *_: Any) -> Any:
        count = len(body["inputs"]) if isinstance(body["inputs"], list) else 1
        return Reply([[0.1, 0.2]] * count, 200, {"x-compute-tokens": str(7 * count)})

    service.answer = answer
    using = {"task": "feature-extraction", "model": "m", "column": "text", "target": "y", "on_error": "null"}
    engine = {"endpoint": service.url, "prices": {"input": 10}, "cache_dir": str(tmp_path), "max_concurrency": 2}
    out = predict(pd.DataFrame({"text": TEXTS}), {**using, "max_usd": 0.0025}, engine)
    paid, one_more = out.attrs["usage"]["usd"], (64 + 60) * 10 / 1e6
    assert 0.0025 - one_more < paid <= 0.0025
    assert out["y"].notna().sum() * 7 * 10 / 1e6 == pytest.approx(paid)
    assert out.attrs["usage"]["errors"] == {"not sent": out["y"].isna().sum()}
