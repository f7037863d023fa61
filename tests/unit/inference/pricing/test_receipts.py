"""Dollars in receipts: what each request cost, exactly; NULL where that is not known, and why."""

from __future__ import annotations

from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.config.validation import engine_settings, merge_select_overrides, model_settings
from huggingface_api_handler.errors import InputError
from huggingface_api_handler.inference import Session, predict_tables
from huggingface_api_handler.inference.dataframe import predict_frame
from huggingface_api_handler.inference.pricing.cost import Cost
from huggingface_api_handler.inference.pricing.prices import Price, PriceList
from huggingface_api_handler.inference.pricing.spending import Spending
from huggingface_api_handler.inference.runtime.context import Query
from huggingface_api_handler.inference.storage.scope import Scope
from huggingface_api_handler.inference.storage.sqlite import open_store
from huggingface_api_handler.inference.storage.sqlite_tables import SqliteUsage
from huggingface_api_handler.inference.telemetry import usage_log
from huggingface_api_handler.inference.telemetry.usage import Usage
from tests.conftest import Reply, Service
from tests.support.hub import PNG

CHAT = {"task": "chat-completion", "model": "m", "column": "text", "target": "y"}
PRICES = {"input": 0.35, "output": "0.75", "cached": 0.1}


def chat(read: int, written: int, **details: int) -> dict[str, Any]:
    usage = {"prompt_tokens": read, "completion_tokens": written, "prompt_tokens_details": details}
    return {"choices": [{"message": {"role": "assistant", "content": "fine"}}], "usage": usage}


def ask(service: Service, tmp_path: Path, texts: list[str], **engine: Any) -> dict[str, Any]:
    settings = engine_settings(
        {"endpoint": f"{service.url}/v1", "protocol": "openai", "cache_dir": str(tmp_path), **engine}
    )
    model = model_settings(CHAT, settings)
    out = predict_frame(pd.DataFrame({"text": texts}), model, settings, scope=Scope("engine", "model"))
    usage: dict[str, Any] = out.attrs["usage"]
    return usage


def test_a_receipt_counts_kinds_and_dollars(service: Service, tmp_path: Path) -> None:
    service.answer = lambda *_: chat(1000, 200, cached_tokens=400)
    usage = ask(service, tmp_path, ["a", "b", "b"], prices=PRICES)
    assert [usage[name] for name in ("input_tokens", "output_tokens", "cached_tokens")] == [2000, 400, 800]
    each = (600 * Decimal("0.35") + 400 * Decimal("0.1") + 200 * Decimal("0.75")) / 1_000_000
    assert (usage["usd"], usage["usd_note"]) == (float(2 * each), None)
    shown = usage_log.usage_table(SqliteUsage(open_store(str(tmp_path))), "model")
    assert list(shown["usd"]) == [round(float(2 * each), 6)] * 2


def test_what_is_not_answered_is_not_billed_and_what_is_not_said_is_not_counted(
    service: Service, tmp_path: Path
) -> None:
    def answer(body: Any, *_: Any) -> Any:
        text = body["messages"][-1]["content"]
        if text == "refused":
            return Reply({"error": "too rude"}, 422)
        return {**chat(1000, 0), "usage": None} if text == "silent" else chat(1000, 0)

    service.answer = answer
    usage = ask(service, tmp_path, ["good", "refused", "silent"], prices=PRICES)
    assert usage["usd"] == 0.00035
    assert usage["usd_note"] == f"1 of {usage['requests']} requests: the service does not say how many tokens it took"


def test_without_prices_a_receipt_has_no_dollars_even_where_nothing_was_answered(
    service: Service, tmp_path: Path
) -> None:
    service.answer = lambda body, *_: (
        chat(5, 5) if body["messages"][-1]["content"] == "a" else Reply({"error": "no"}, 422)
    )
    usage = ask(service, tmp_path, ["a", "b"])
    assert usage["usd"] is None
    assert usage["usd_note"] == f"1 of {usage['requests']} requests: no price is known"


def test_a_receipt_of_an_earlier_version_has_no_kinds_and_no_dollars() -> None:
    old = {"task": "t", "model": "m", "host": "h", "requests": 3, "tokens": 90}
    shown = Usage.from_record(old).as_dict()
    assert (shown["tokens"], shown["input_tokens"], shown["usd"]) == (90, None, None)
    assert shown["usd_note"] == "3 of 3 requests: its cost was not recorded"
    both = Usage.from_record(old)
    new = Usage("t", "m", "h", requests=1, spending=Spending(Decimal("0.000001"), 1))
    both.add(Usage.from_record(new.to_record()))
    assert (both.as_dict()["usd"], both.as_dict()["usd_note"]) == (1e-6, "3 of 4 requests: its cost was not recorded")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"input": -1}, "number of USD from 0 up as the price of 'input'"),
        ({"input": "cheap"}, "number of USD from 0 up as the price of 'input'"),
        ({"output": "nan"}, "number of USD from 0 up as the price of 'output'"),
        ({"output": True}, "number of USD from 0 up as the price of 'output'"),
        ({"second": 2e6}, "cannot be meant: it is in USD for a second"),
        ({"tokens": 1}, "has no price of 'tokens'. It takes 'input', 'output', 'cached', 'second', 'request'"),
        ({"cached": 1}, "none of 'input'"),
        ({}, "must be a map of prices in USD"),
        ({"input": None}, "must name a price: all of these are NULL"),
        (0.5, "must be a map of prices in USD"),
    ],
)
def test_a_wrong_price_is_refused_in_a_sentence(given: object, words: str) -> None:
    with pytest.raises(InputError) as error:
        engine_settings({"prices": given})
    assert words in str(error.value)
    with pytest.raises(InputError) as error:
        model_settings({**CHAT, "prices": given})
    assert words in str(error.value)


def test_prices_may_be_text_as_some_sql_writes_it_and_not_of_a_select() -> None:
    engine = engine_settings({"prices": '{"input": 0.1, "output": "0.2"}'})
    assert engine.prices == {"input": Decimal("0.1"), "output": Decimal("0.2")}
    with pytest.raises(InputError, match="prices cannot change in a SELECT"):
        merge_select_overrides(CHAT, {"prices": {"input": 0}})


def test_images_are_counted(service: Service, tmp_path: Path) -> None:
    service.answer = lambda *_: Reply(PNG, headers={"content-type": "image/png"})
    settings = engine_settings({"endpoint": service.url, "cache_dir": str(tmp_path), "prices": {"request": "0.04"}})
    model = model_settings({"task": "text-to-image", "model": "m", "column": "text", "target": "y"}, settings)
    usage = predict_frame(pd.DataFrame({"text": ["a", "b"]}), model, settings).attrs["usage"]
    assert (usage["images"], usage["usd"]) == (2, 0.08)


def test_the_precision_of_the_persons_own_decimals_rounds_no_dollars(service: Service, tmp_path: Path) -> None:
    service.answer = lambda *_: chat(12345, 678)
    with localcontext() as context:
        context.prec = 2
        usage = ask(service, tmp_path, ["a", "b", "c"], prices=PRICES)
    assert usage["usd"] == 3 * (12345 * 0.35 + 678 * 0.75) / 1e6


def test_reasons_are_few_however_many_providers_answers_name() -> None:
    spending, total = Spending(), Spending()
    for number in range(1000):
        spending.record(Cost(None, f"no price of the provider p{number} is known"))
    for number in range(0, 1000, 10):
        other = Spending()
        other.record(Cost(None, f"no price of the provider q{number} is known"))
        total.add(other)
    total.add(spending)
    for each, count in ((spending, 1000), (total, 1100)):
        assert sum(each.unpriced.values()) == count
        assert len(each.unpriced) <= 21
        assert "their cost is not known for other reasons" in str(each.note(count))


def test_no_header_brings_a_key_into_a_receipt(service: Service, tmp_path: Path) -> None:
    key = "sk-OwnKeyOfAProvider1"
    hidden = f"{key[:8]}{chr(0xAD)}{key[8:]}"  # a soft hyphen, which is taken out of what people see
    service.answer = lambda *_: Reply(chat(1, 1), 200, {"x-inference-provider": hidden})
    settings = engine_settings(
        {"endpoint": f"{service.url}/v1", "protocol": "openai", "cache_dir": str(tmp_path), "api_key": key}
    )
    model = model_settings(CHAT, settings)
    listed = PriceList({"cerebras": Price(Decimal(1), Decimal(1))})
    with Session() as session:
        query = Query.of(model, settings, session, None, (), listed)
        (out,) = predict_tables([pd.DataFrame({"text": ["a"]})], query)
    note = out.attrs["usage"]["usd_note"]
    assert "no price of the provider ..." in note
