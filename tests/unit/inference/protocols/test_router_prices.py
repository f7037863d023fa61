"""What chat costs at Hugging Face: read at CREATE from a stand-in of the router, and chosen by what a statement says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest

from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.inference.dataframe import predict_frame
from huggingface_api_handler.inference.pricing.prices import NO_PRICES, PriceList
from huggingface_api_handler.inference.protocols import discovery, router_prices
from huggingface_api_handler.inference.protocols.router_prices import RouterPrices, prices_of
from huggingface_api_handler.inference.runtime.session import Session, default_session
from huggingface_api_handler.inference.transport.client import HttpClient, Response
from tests.support.hub import StandInHub, hub_of_a_test

ENGINE = {"api_key": "hf_AskedWithThis"}
GPT = "openai/gpt-oss-120b"
SST2 = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
CEREBRAS, TOGETHER = [0.35, 0.75], [0.1, 1.5]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInHub]:
    yield from hub_of_a_test(monkeypatch)


def create(engine: Any = None, **using: Any) -> dict[str, Any]:
    """What is stored with a model of chat, as JSON gives it back."""
    settings = engine_settings(ENGINE if engine is None else engine)
    given = {"task": "chat-completion", "model": GPT, "column": "t", **using}
    found = discovery.discover(settings, model_settings(given, settings), default_session().http)
    stored: dict[str, Any] = json.loads(json.dumps(found))
    return stored


def price(stored: object, engine: Any = None, **using: Any) -> PriceList:
    settings = engine_settings(ENGINE if engine is None else engine)
    given = {"task": "chat-completion", "model": GPT, "column": "t", **using}
    return prices_of(stored, settings, model_settings(given, settings))


def provider(name: object, pricing: object, status: str = "live", **more: object) -> dict[str, object]:
    return {"provider": name, "status": status, "pricing": pricing, **more}


def test_create_asks_the_router_once_and_keeps_the_prices_of_live_providers(hub: StandInHub) -> None:
    stored = create()["prices"]
    assert (stored["model"], stored["providers"]) == (GPT, {"cerebras": CEREBRAS})
    assert stored["asked"].endswith("+00:00")
    assert hub.router_questions == [GPT]


@pytest.mark.parametrize(
    "using",
    [
        {"model": f"{GPT}:cheapest"},
        {"provider": "auto"},
        {"provider": "cerebras"},
        {"model": f"{GPT}:cerebras"},
        {"task": "chat-classification", "candidate_labels": ["a", "b"]},
    ],
)
def test_it_asks_whoever_says_who_is_to_serve_the_model(hub: StandInHub, using: dict[str, Any]) -> None:
    assert create(**using)["prices"]["providers"] == {"cerebras": CEREBRAS}
    assert hub.router_questions == [GPT]


@pytest.mark.parametrize(
    ("engine", "using"),
    [
        (None, {"task": "text-classification", "model": SST2}),
        ({}, {}),
        ({"api_key": "sk-OwnKeyOfAProvider1", "provider": "cerebras"}, {}),
        ({**ENGINE, "endpoint": "http://127.0.0.1:9/v1", "protocol": "openai"}, {}),
    ],
    ids=["another task", "no key", "a provider's own key", "an endpoint"],
)
def test_nothing_is_asked_where_it_would_say_nothing(hub: StandInHub, engine: Any, using: dict[str, Any]) -> None:
    assert "prices" not in create(engine, **using)
    assert hub.router_questions == []


@pytest.mark.parametrize(
    "answer",
    [
        {"providers": []},
        {"providers": "cerebras"},
        [],
        {"providers": [provider("cerebras", {"input": "0.35", "output": 0.75})]},
        {"providers": [provider("cerebras", {"input": -1, "output": 0.75})]},
        {"providers": [provider("cerebras", {"input": 1})]},
        {"providers": [provider("cerebras", [1, 2])]},
        {"providers": [provider("cere\nbras", {"input": 1, "output": 2})]},
        {"providers": [provider("c" * 65, {"input": 1, "output": 2})]},
        {"providers": [provider({"a": 1}, {"input": 1, "output": 2})]},
        {"providers": [provider("cerebras", {"input": 1, "output": 2}, "error")]},
    ],
)
def test_what_is_no_price_is_not_kept(hub: StandInHub, answer: object) -> None:
    hub.router_models[GPT] = answer
    assert "prices" not in create()


def test_a_model_is_made_where_the_router_cannot_be_asked(hub: StandInHub) -> None:
    del hub.router_models[GPT]
    assert set(create()) == {"hub"}


def test_what_is_free_and_names_no_price_costs_nothing(hub: StandInHub) -> None:
    hub.router_models[GPT] = {"providers": [provider("ovhcloud", None, is_free=True)]}
    assert create()["prices"]["providers"] == {"ovhcloud": [0.0, 0.0]}


class Router:
    """An HTTP client to a router that has these prices, or is away."""

    def __init__(self, prices: dict[str, list[float]] | None) -> None:
        self.prices, self.questions = prices, 0

    async def get(self, *_: object) -> Response:
        self.questions += 1
        if self.prices is None:
            raise TimeoutError
        named = {name: {"input": pair[0], "output": pair[1]} for name, pair in self.prices.items()}
        answer = {"providers": [provider(name, pricing) for name, pricing in named.items()]}
        return Response(200, {}, json.dumps(answer).encode())


def refreshed(router: RouterPrices, prices: dict[str, list[float]] | None, times: int = 1) -> list[list[float]]:
    """The prices of a model after queries that want new ones where these are old."""
    settings = engine_settings(ENGINE)
    model = model_settings({"task": "chat-completion", "model": GPT, "column": "t"}, settings)
    http: Any = Router(prices)
    known_now = router.of(settings, model)
    known_now()  # as a request does before there are new ones

    async def refresh() -> None:
        async def query() -> None:
            if router.is_stale(settings, model, 1000):
                await router.refresh(settings, model, http)

        await asyncio.wait_for(asyncio.gather(*(query() for _ in range(times))), 10)

    asyncio.run(refresh())
    assert http.questions <= 1, "one asks for all"
    return sorted([float(each.input or 0), float(each.output or 0)] for each in known_now())


def test_where_the_router_is_away_old_prices_hold_and_it_is_asked_again_soon(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    router = RouterPrices()
    assert refreshed(router, None, times=5) == []
    assert refreshed(router, {"cerebras": CEREBRAS}) == [], "not asked at once"
    monkeypatch.setattr(router_prices, "_RETRY_AFTER", timedelta(-1))
    assert refreshed(router, {"cerebras": CEREBRAS}) == [CEREBRAS]
    assert refreshed(router, {"cerebras": TOGETHER}) == [CEREBRAS], "a price of today"
    monkeypatch.setattr(router_prices, "_MAX_AGE", timedelta(-1))
    assert refreshed(router, None) == [CEREBRAS]
    assert caplog.messages == []
    assert refreshed(router, {"cerebras": TOGETHER}) == [TOGETHER]
    assert f"cerebras changed its price of {GPT} from 0.35 and 0.75 to 0.1 and 1.5 USD" in caplog.text


def test_a_question_of_another_loop_holds_up_nobody() -> None:
    router, other = RouterPrices(), asyncio.new_event_loop()

    class Away:
        async def get(self, *_: object) -> Response:
            return await asyncio.Future()

    settings, away = engine_settings(ENGINE), cast("HttpClient", Away())
    model = model_settings({"task": "chat-completion", "model": GPT, "column": "t"}, settings)
    asking = other.create_task(router.refresh(settings, model, away))
    other.run_until_complete(asyncio.sleep(0))  # and is left there, as in a process that forks
    assert refreshed(router, {"cerebras": CEREBRAS}) == [CEREBRAS]
    asking.cancel()
    other.run_until_complete(asyncio.wait([asking]))
    other.close()


def test_prices_that_no_model_has_are_none(hub: StandInHub) -> None:
    hub.router_models[GPT] = {"providers": [provider("cerebras", {"input": 1e300, "output": 1})]}
    assert "prices" not in create()


STORED = {"model": GPT, "asked": "", "providers": {"cerebras": CEREBRAS, "together": TOGETHER}}


@pytest.mark.parametrize(
    ("engine", "using", "expected"),
    [
        (None, {}, [CEREBRAS, TOGETHER]),
        (None, {"provider": "auto"}, [CEREBRAS, TOGETHER]),
        (None, {"provider": "fastest"}, [CEREBRAS, TOGETHER]),
        (None, {"model": f"{GPT}:cheapest"}, [CEREBRAS]),
        (None, {"provider": "cheapest"}, [CEREBRAS]),
        (None, {"model": f"{GPT}:together"}, [TOGETHER]),
        (None, {"provider": "together"}, [TOGETHER]),
        ({**ENGINE, "provider": "together"}, {}, [TOGETHER]),
        ({**ENGINE, "provider": "together"}, {"provider": "cerebras"}, [CEREBRAS]),
        (None, {"provider": "novita"}, []),
        (None, {"model": "another/model"}, []),
        (None, {"task": "summarization"}, []),
        ({**ENGINE, "endpoint": "http://127.0.0.1:9/v1"}, {}, []),
        (None, {"endpoint": "https://8.8.8.8/v1"}, []),
    ],
)
def test_the_prices_are_of_those_who_may_be_asked(engine: Any, using: dict[str, Any], expected: list[Any]) -> None:
    prices = {tuple(map(float, (each.input or 0, each.output or 0))) for each in price(STORED, engine, **using)}
    assert prices == {tuple(pair) for pair in expected}


@pytest.mark.parametrize(
    "stored",
    [
        None,
        "prices",
        {},
        {"model": GPT},
        {"model": GPT, "providers": [1]},
        {"model": GPT, "providers": {"cerebras": [1e308, 1]}},
        {"model": GPT, "providers": {"cerebras": [1], "together": ["a", "b"], "novita": [float("nan"), 1]}},
    ],
)
def test_what_an_earlier_version_or_somebody_else_stored_is_no_error(stored: object) -> None:
    assert price(stored) is NO_PRICES


USAGE = {"prompt_tokens": 1000, "completion_tokens": 100}


def ask(rows: int, tmp_path: Path, session: Session, found: Any = None, **using: Any) -> dict[str, Any]:
    """The usage of a query of chat through the router."""
    settings = engine_settings({**ENGINE, "cache_dir": str(tmp_path)})
    if found is not None:
        session.servers.restore(found, settings)
    model = model_settings({"task": "chat-completion", "model": GPT, "column": "t", "target": "y", **using}, settings)
    frame = pd.DataFrame({"t": [f"row {number}" for number in range(rows)]})
    usage: dict[str, Any] = predict_frame(frame, model, settings, session=session).attrs["usage"]
    return usage


def days_ago(days: float) -> str:
    return (datetime.now(timezone.utc) - timedelta(days=days)).isoformat(timespec="seconds")


def test_each_answer_is_paid_at_the_price_of_who_gave_it(hub: StandInHub, tmp_path: Path) -> None:
    hub.router_models[GPT] = {
        "providers": [
            provider("cerebras", {"input": 0.35, "output": 0.75}),
            provider("together", {"input": 0.1, "output": 1.5}),
        ]
    }
    hub.usage, hub.answering = USAGE, ["cerebras", "together"]
    with Session() as session:
        usage = ask(60, tmp_path, session)
        assert usage["usd"] == pytest.approx(30 * (0.000425 + 0.00025))
        assert usage["usd_note"] is None
        hub.answering = ["novita"]
        usage = ask(3, tmp_path, session, system_prompt="x")
        assert (usage["usd"], usage["usd_note"]) == (None, "3 of 3 requests: no price of the provider novita is known")
        hub.answering = []
        usage = ask(3, tmp_path, session, system_prompt="y")
        assert usage["usd_note"] == "3 of 3 requests: the answer does not name the provider, and their prices differ"
    assert hub.router_questions == [GPT]  # once, for the query of many rows


def test_a_small_query_asks_nobody_for_prices(hub: StandInHub, tmp_path: Path) -> None:
    hub.usage = USAGE
    with Session() as session:
        assert ask(10, tmp_path, session)["usd"] is None
    assert hub.router_questions == []


@pytest.mark.parametrize(("age", "asked"), [(0.9, 0), (1.1, 1)])
def test_old_prices_are_asked_for_again_and_a_change_is_said(
    hub: StandInHub, tmp_path: Path, caplog: pytest.LogCaptureFixture, age: float, asked: int
) -> None:
    hub.router_models[GPT] = {"providers": [provider("cerebras", {"input": 0.5, "output": 1})]}
    hub.usage = USAGE
    stored = {"prices": {"model": GPT, "asked": days_ago(age), "providers": {"cerebras": CEREBRAS}}}
    with Session() as session:
        usage = ask(60, tmp_path, session, stored)
        assert usage["usd"] == pytest.approx(60 * (0.0006 if asked else 0.000425))
    assert len(hub.router_questions) == asked
    words = "cerebras changed its price of openai/gpt-oss-120b from 0.35 and 0.75 to 0.5 and 1 USD"
    assert (words in caplog.text) is bool(asked)


@pytest.mark.parametrize("known", [{}, {"cerebras": CEREBRAS}, "damaged"])
def test_a_router_that_says_nothing_is_not_asked_again_soon(hub: StandInHub, tmp_path: Path, known: Any) -> None:
    del hub.router_models[GPT]
    hub.usage = USAGE
    stored = {"prices": {"model": GPT, "asked": days_ago(3), "providers": known}}
    with Session() as session:
        usages = [ask(60, tmp_path, session, stored, system_prompt=text)["usd"] for text in "ab"]
    expected = pytest.approx(60 * 0.000425) if isinstance(known, dict) and known else None
    assert usages == [expected, expected]
    assert hub.router_questions == [GPT]
    router = RouterPrices()
    router.restore(stored)
    assert refreshed(router, {"cerebras": CEREBRAS}) == [CEREBRAS]
