"""What queries are estimated to cost, through a service that bills by its own count."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.config.settings import EngineSettings
from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.dataframe import predict_frame
from huggingface_api_handler.inference.pricing.estimate import NO_HISTORY_NO_LIMIT
from huggingface_api_handler.inference.runtime.context import Query
from huggingface_api_handler.inference.runtime.stream import predict_frames
from huggingface_api_handler.inference.storage.scope import Scope
from huggingface_api_handler.inference.telemetry import usage_log
from tests.support.billing_service import PRICES, BillingService

CHAT = {"task": "chat-completion", "model": "m", "column": "text", "target": "y"}
SCOPE = Scope("engine", "model")
WORDS = {
    "en": [
        "the",
        "parcel",
        "arrived",
        "late",
        "and",
        "nobody",
        "answered",
        "when",
        "I",
        "called",
        "about",
        "the",
        "broken",
        "kettle",
    ],
    "ru": ["посылка", "пришла", "поздно", "и", "никто", "не", "ответил", "когда", "я", "звонил", "насчёт", "чайника"],
    "ja": ["荷物", "は", "遅れて", "届き", "誰も", "電話", "に", "出ません", "でした", "やかん", "壊れて"],
}


@pytest.fixture
def billing() -> Iterator[BillingService]:
    service = BillingService(seed=20)
    yield service
    service.close()


@pytest.fixture
def engine(billing: BillingService, tmp_path: Path) -> EngineSettings:
    return engine_of(billing, tmp_path)


def engine_of(billing: BillingService, folder: Path, **more: Any) -> EngineSettings:
    given = {"endpoint": f"{billing.url}/v1", "protocol": "openai", "cache_dir": str(folder), "prices": PRICES}
    return engine_settings({**given, **more})


def texts_of(chance: random.Random, language: str, count: int) -> pd.DataFrame:
    words = WORDS[language]
    return pd.DataFrame({"text": [" ".join(chance.choices(words, k=int(chance.lognormvariate(3, 0.8)) + 1)) for _ in range(count)]})  # fmt: skip


def estimated(frame: pd.DataFrame, engine: EngineSettings, **using: Any) -> Any:
    """What a dry run says: the row of its figures."""
    model = model_settings({**CHAT, **using, "dry_run": True}, engine)
    return predict_frame(frame, model, engine, scope=SCOPE).iloc[0]


def usage_of(frame: pd.DataFrame, engine: EngineSettings, **using: Any) -> dict[str, Any]:
    usage: dict[str, Any] = predict_frame(frame, model_settings({**CHAT, **using}, engine), engine, scope=SCOPE).attrs[
        "usage"
    ]
    return usage


def test_the_range_holds_the_bill_of_19_of_20_varied_queries(billing: BillingService, engine: EngineSettings) -> None:
    chance, held = random.Random(7), 0
    for number in range(20):
        language = chance.choice(list(WORDS))
        billing.answers = (chance.gauss(3.5, 0.3), 0.8)
        billing.has_cache = number % 3 == 0
        frame = texts_of(chance, language, chance.randint(5, 40))
        limit = {"max_tokens": 200} if number == 0 or chance.random() < 0.3 else {}
        said, before = estimated(frame, engine, **limit), billing.billed
        assert billing.billed == before, "a dry run sends nothing"
        usage = usage_of(frame, engine, **limit)
        paid = float(billing.billed - before)
        assert usage["usd"] == pytest.approx(paid, abs=1e-9)
        assert (usage["usd_estimated_low"], usage["usd_estimated_high"]) == (said["usd_low"], said["usd_high"])
        held += said["usd_low"] <= paid <= said["usd_high"]
    assert held >= 19


def test_a_dry_run_says_it_is_an_estimate_or_why_there_is_none(engine: EngineSettings) -> None:
    frame = pd.DataFrame({"text": ["a", "b"]})
    none = estimated(frame, engine)
    assert none["y"].endswith(f", unknown cost: {NO_HISTORY_NO_LIMIT}")
    assert (none["usd_low"], none["usd_high"]) == (None, None)
    some = estimated(frame, engine, max_tokens=100)
    assert " USD" in some["y"].rpartition(", estimated ")[2]
    assert some["usd_high"] > 2 * 100 * 0.75 / 1e6


def test_a_receipt_shows_both_and_so_do_the_log_and_the_table(
    billing: BillingService, engine: EngineSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    query = Query.of(model_settings({**CHAT, "max_tokens": 50}, engine), engine, None, SCOPE)
    (out,) = predict_frames([pd.DataFrame({"text": [f"text {number}" for number in range(100)]})], query)
    usage = out.attrs["usage"]
    assert usage["usd_estimated_low"] < usage["usd"] == float(billing.billed) < usage["usd_estimated_high"]
    assert query.usage.spending.estimated is not None
    said = f"m answered 100 requests: {usage['usd']:.6f}".rstrip("0")
    assert f"{said} USD ({query.usage.spending.estimated.in_usd})" in caplog.text
    shown = usage_log.usage_table(query.tables.usage, "model")
    assert list(shown["usd_estimated_high"]) == [round(usage["usd_estimated_high"], 6)] * 2


def test_a_sample_says_as_much_as_a_dry_run_of_all(engine: EngineSettings) -> None:
    frame = texts_of(random.Random(1), "en", 200)
    said, usage = estimated(frame, engine, max_tokens=20), usage_of(frame, engine, max_tokens=20)
    assert usage["usd_estimated_high"] == pytest.approx(said["usd_high"], rel=0.1)


@pytest.mark.parametrize("why", ["more than one frame", "stored answers", "no prices"])
def test_where_it_would_take_a_look_at_each_input_there_is_none(
    why: str, billing: BillingService, engine: EngineSettings, tmp_path: Path
) -> None:
    if why == "no prices":
        engine = engine_of(billing, tmp_path, prices=None)
    model = model_settings({**CHAT, "max_tokens": 50, "cache": why == "stored answers"}, engine)
    frames = [pd.DataFrame({"text": [text]}) for text in ("ab" if why == "more than one frame" else "a")]
    *_, out = predict_frames(frames, Query.of(model, engine, None, SCOPE))
    assert (out.attrs["usage"]["usd_estimated_low"], out.attrs["usage"]["usd_estimated_high"]) == (None, None)


def test_predict_from_python_shows_it(billing: BillingService) -> None:
    engine = {"endpoint": f"{billing.url}/v1", "protocol": "openai", "prices": PRICES}
    out = predict(pd.DataFrame({"text": ["a", None]}), {**CHAT, "max_tokens": 50, "dry_run": True}, engine)
    assert 0 < out["usd_low"][0] < 50 * 0.75 / 1e6 < out["usd_high"][1]
    assert billing.billed == 0
