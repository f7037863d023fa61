"""Rerank: all documents of a query in one request, and each its own score, in whatever order they come."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from huggingface_api_handler.config.validation import model_settings
from huggingface_api_handler.errors import UnreadableAnswer
from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.protocols.base import Batching, Decoded, WireProtocol
from huggingface_api_handler.inference.protocols.rerank import Rerank
from huggingface_api_handler.inference.transport.client import Response
from huggingface_api_handler.tasks import TASKS
from huggingface_api_handler.tasks.input_types import TextPair
from tests.conftest import Service

PROTOCOL: WireProtocol = Rerank()
TASK = TASKS["text-ranking"]
USING = {"task": "text-ranking", "column": "q", "column2": "t", "target": "y", "model": "m"}
PAIRS = [TextPair("a query", "one"), TextPair("a query", "two")]


def decode(body: Any, count: int) -> Decoded:
    return PROTOCOL.decode(TASK, Response(200, CIMultiDict(), json.dumps(body).encode()), count)


@pytest.mark.parametrize(
    ("protocol", "more"), [(Rerank(), {"top_n": 2}), (Rerank(count_parameter="top_k"), {"top_k": 2})]
)
def test_a_query_goes_with_its_documents(protocol: Rerank, more: dict[str, int]) -> None:
    body = {"model": "m", "query": "a query", "documents": ["one", "two"], "return_documents": False, **more}
    assert json.loads(protocol.encode(TASK, PAIRS, model_settings(USING)).data) == body


@pytest.mark.parametrize(
    ("protocol", "base", "url"),
    [
        (Rerank(), "http://h", "http://h/v1/rerank"),
        (Rerank(), "http://h/v2/rerank", "http://h/v2/rerank"),
        (Rerank(version="/v2"), "https://api.cohere.com", "https://api.cohere.com/v2/rerank"),
        (Rerank(version=""), "http://h:7997", "http://h:7997/rerank"),
    ],
)
def test_the_address_follows_the_base(protocol: Rerank, base: str, url: str) -> None:
    assert protocol.url(base, "m", TASK) == url
    assert protocol.batching(TASK) is Batching.NATIVE


SHAPES: dict[str, Callable[[Any], Any]] = {
    "Cohere": lambda items: {"id": "x", "results": items, "meta": {"billed_units": {"search_units": 1}}},
    "Jina": lambda items: {"model": "m", "results": items, "usage": {"total_tokens": 8}},
    "Voyage": lambda items: {"object": "list", "data": items, "usage": {"total_tokens": 8}},
    "a bare list": lambda items: items,
}


@given(
    st.sampled_from(sorted(SHAPES)), st.lists(st.floats(-20, 20), min_size=1, max_size=12), st.booleans(), st.randoms()
)
def test_each_document_gets_its_score_in_whatever_order(
    shape: str, scores: list[float], named: bool, random: Any
) -> None:
    key = "relevance_score" if named else "score"
    items = [{"index": at, key: score, "document": {"text": "x"}} for at, score in enumerate(scores)]
    random.shuffle(items)
    decoded = decode(SHAPES[shape](items), len(scores))
    assert (decoded.parts, decoded.unreadable) == (scores, None)
    if shape in ("Jina", "Voyage"):
        assert decoded.usage is not None and decoded.usage.tokens == 8


@given(st.integers(1, 8), st.data())
def test_scores_for_other_documents_are_refused(count: int, data: Any) -> None:
    items: list[Any] = [{"index": at, "relevance_score": at / 10} for at in range(count)]
    at = data.draw(st.integers(0, count - 1))
    wrong = [True, False, "0", 0.0, -1, count, 10**30, [], *(n for n in range(count) if n != at)]
    change = data.draw(st.sampled_from(["index", "without", "twice", "fewer", "no object"]))
    if change == "index":
        items[at]["index"] = data.draw(st.sampled_from(wrong))
    elif change == "without" and count > 1:
        del items[at]["index"]
    elif change == "twice":
        items.append(items[at])
    elif change == "no object":
        items[at] = 0.5
    else:
        items.pop(at)
    decoded = decode({"results": items}, count)
    assert decoded.parts == []
    assert decoded.unreadable is not None


@pytest.mark.parametrize("body", [{}, None, 1, {"results": None}, {"results": {}}, {"results": 1}, {"scores": [1.0]},
                                  {"results": [{"index": 0, "score": 0.5}], "data": [{"index": 0, "score": 1.0}]}])  # fmt: skip
def test_another_shape_is_refused(body: Any) -> None:
    assert decode(body, 1).unreadable is not None


def test_one_document_needs_no_index_and_several_do() -> None:
    assert decode({"results": [{"relevance_score": 0.5}]}, 1).parts == [0.5]
    assert decode({"results": [{"relevance_score": 0.5}, {"relevance_score": 0.4}]}, 2).unreadable is not None


def test_a_score_that_is_missing_is_its_rows_alone() -> None:
    parts = decode({"results": [{"index": 1, "relevance_score": None}, {"index": 0, "relevance_score": 0.5}]}, 2).parts
    assert parts[0] == 0.5
    assert isinstance(parts[1], UnreadableAnswer)


# --- through predict ------------------------------------------------------------------------------------------------

FRAME = pd.DataFrame({"q": ["one query"] * 60 + ["another query"] * 60, "t": [f"text {n}" for n in range(60)] * 2})


def score(query: str, text: str) -> float:
    return zlib.crc32(f"{query} {text}".encode()) / 2**32


def ranked(asked: Any, *_: Any) -> Any:
    items = [
        {"index": at, "relevance_score": score(asked["query"], text)} for at, text in enumerate(asked["documents"])
    ]
    items.sort(key=lambda item: -item["relevance_score"])
    return {"results": items[: asked["top_n"]], "usage": {"total_tokens": 10}}


@pytest.mark.parametrize(
    ("engine", "base", "path"),
    [
        ({"protocol": "openai"}, "", "/v1/rerank"),
        ({"protocol": "vllm"}, "", "/v1/rerank"),
        ({"protocol": "llama.cpp"}, "/v1", "/v1/rerank"),
        ({"protocol": "infinity"}, "", "/rerank"),
        ({}, "/v2/rerank", "/v2/rerank"),
    ],
)
def test_all_texts_of_a_query_go_in_one_request(engine: dict[str, str], base: str, path: str, service: Service) -> None:
    service.answer = ranked
    out = predict(FRAME, USING, {"endpoint": service.url + base, **engine})
    assert list(out["y"]) == [score(query, text) for query, text in zip(FRAME["q"], FRAME["t"], strict=True)]
    assert set(service.paths) == {path}
    assert len(service.asked) <= 8
    assert max(len(asked["documents"]) for asked in service.asked) >= 32
    assert out.attrs["usage"]["tokens"] == 10 * len(service.asked)
