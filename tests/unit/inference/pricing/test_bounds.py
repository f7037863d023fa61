"""What one request may cost at most: never less than it costs, and no figure where there is no bound."""

from __future__ import annotations

import unicodedata
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.inference.pricing.bounds import (
    MICRO_DOLLARS,
    Bound,
    TokenBounds,
    token_bounds,
    usd_bound,
    writes_tokens,
)
from huggingface_api_handler.inference.pricing.cost import cost_of
from huggingface_api_handler.inference.pricing.prices import FREE_OF_CHARGE, NO_PRICES, Price, PriceList
from huggingface_api_handler.inference.pricing.reported_usage import ReportedUsage
from huggingface_api_handler.inference.protocols import codec
from huggingface_api_handler.inference.protocols.openai_chat import chat_payload
from huggingface_api_handler.tasks import TASKS, Input
from huggingface_api_handler.tasks.input_types import Conversation, LabelledText, Media, PromptedMedia, Repair, TextPair

ENGINE = engine_settings({"endpoint": "https://models.example.org"})
TOKENS = TokenBounds(Bound(2000), Bound(300))
AMOUNTS = st.none() | st.decimals(0, 1000, places=4)


def of(task: str, items: list[Input], data: bytes = b"x" * 100, **using: Any) -> TokenBounds:
    columns = {"text-ranking": {"column": "d", "column2": "q"}}.get(task, {"column": "text"})
    settings = model_settings({"task": task, "model": "m", "target": "y", **columns, **using}, ENGINE)
    return token_bounds(settings.definition, settings, items, data)


def price(**usd: str) -> Price:
    return Price(**{name: Decimal(amount) for name, amount in usd.items()})


@given(
    listed=st.lists(st.builds(Price, AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS), min_size=1, max_size=3),
    read=st.integers(0, 2000),
    written=st.integers(0, 300),
    cached=st.integers(0, 2000),
    seconds=st.floats(0, 60),
)
def test_no_request_within_the_bounds_costs_more(
    listed: list[Price], read: int, written: int, cached: int, seconds: float
) -> None:
    prices = PriceList({str(number): each for number, each in enumerate(listed)})
    bound = usd_bound(prices, TOKENS, 60.0)
    usage = ReportedUsage(read + written, read, written, min(cached, read), compute_seconds=seconds)
    for name in prices.providers:
        usd = cost_of(prices, usage, name).usd
        if bound.most is not None:
            assert usd is not None and usd * MICRO_DOLLARS <= bound.most
    assert (bound.most is None) == (bound.unknown is not None)


def test_a_bound_is_whole_micro_dollars_of_the_dearest() -> None:
    cheap, dear = price(input="0.1", output="0.2"), price(input="0.35", output="0.75")
    assert usd_bound(PriceList({"a": cheap, "b": dear}), TOKENS, 60).most == 925
    assert usd_bound(PriceList(any_provider=cheap), TokenBounds(Bound(1), Bound(0)), 60).most == 1
    by_second = PriceList(any_provider=price(second="0.0005", request="0.01"))
    assert usd_bound(by_second, TokenBounds(Bound(None, "?"), Bound(None, "?")), 30).most == 25_000
    assert usd_bound(FREE_OF_CHARGE, TokenBounds(Bound(None, "?"), Bound(None, "?")), 30).most == 0


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        (NO_PRICES, "Give prices = {"),
        (PriceList(any_provider=price(input="1")), "names no 'output'"),
        (PriceList(any_provider=price(output="1")), "names no 'input'"),
        (PriceList({"a": price(request="1"), "b": price(input="1")}), "names no 'output'"),
    ],
)
def test_without_a_price_of_what_may_come_there_is_no_bound(listed: PriceList, words: str) -> None:
    bound = usd_bound(listed, TOKENS, 60)
    assert bound.most is None
    assert words in str(bound.unknown)


def test_what_is_written_is_bounded_by_what_is_asked_for() -> None:
    assert of("chat-completion", ["a"], max_tokens=50).written == Bound(50)
    assert of("chat-completion", ["a"], max_tokens=50, n=3).written == Bound(150)
    assert of("text-generation", ["a", "b"], max_new_tokens=20, best_of=2).written == Bound(80)
    assert of("chat-classification", ["a"], question="Is it?", max_tokens=5).written == Bound(5)
    assert of("summarization", ["a"], max_length=60).written == Bound(60)
    assert of("summarization", ["a"], generate_parameters={"max_new_tokens": 70}).written == Bound(70)
    assert of("text-classification", ["a"], max_length=60).written == Bound(0)
    unbounded = of("chat-completion", ["a"])
    assert "Give max_tokens" in str(unbounded.written.unknown)
    assert unbounded.total == unbounded.written
    assert usd_bound(PriceList(any_provider=price(input="1", output="1")), unbounded, 60) == unbounded.written


def test_a_query_is_read_once_with_each_document_and_a_text_with_each_label() -> None:
    one = of("text-ranking", [TextPair("q", "a")]).read.most or 0
    assert of("text-ranking", [TextPair("q", "a"), TextPair("q", "b")]).read == Bound(2 * one)
    labels = ("x", "y", "z")
    given = of("zero-shot-classification", ["a"], candidate_labels=list(labels)).read
    assert given == Bound(3 * one)
    assert of("zero-shot-classification", [LabelledText("a", labels)], candidate_labels=["x"]).read == given


@pytest.mark.parametrize(
    "item",
    [
        Media(b"png", "image/png"),
        PromptedMedia(Media(b"png", "image/png"), "what?"),
        Conversation('[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]'),
        Repair(Conversation('[{"role": "user", "content": [{"type": "input_audio"}]}]'), "a", "b"),
    ],
)
def test_media_have_no_bound_by_token_and_one_by_request(item: Input) -> None:
    tokens = of("chat-completion", [item], max_tokens=5)
    assert tokens.total == tokens.read == Bound(None, tokens.read.unknown)
    assert "media" in str(usd_bound(PriceList(any_provider=price(input="1", output="1")), tokens, 60).unknown)
    assert usd_bound(PriceList(any_provider=price(request="1")), tokens, 60) == Bound(1_000_000)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_text_in_any_normal_form_has_no_more_bytes_than_tokens_are_allowed(text: str) -> None:
    settings = model_settings({"task": "chat", "model": "m", "column": "text", "target": "y", "max_tokens": 1})
    data = codec.encode(chat_payload(settings.definition, [text], settings)).data
    most = token_bounds(settings.definition, settings, [text], data).read.most
    assert most is not None
    for form in (text, unicodedata.normalize("NFC", text), unicodedata.normalize("NFKC", text)):
        assert len(form.encode()) <= most - 1024


def test_a_text_that_grows_when_it_is_normalised_is_bounded() -> None:
    text = "\ufdfa" * 100  # of 3 bytes, whose normal form has 33
    assert (of("feature-extraction", [text], text.encode()).read.most or 0) >= len(
        unicodedata.normalize("NFKC", text).encode()
    )


def test_tasks_that_write_are_known_by_their_parameters() -> None:
    writing = {task.name for task in TASKS.values() if writes_tokens(task)}
    assert {"chat-completion", "chat-classification", "text-generation", "summarization", "translation"} <= writing
    assert not writing & {"text-classification", "feature-extraction", "text-ranking", "zero-shot-classification"}
