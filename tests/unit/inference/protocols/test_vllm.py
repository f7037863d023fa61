"""vLLM's operations and infinity's: what is asked, and whose answer is whose."""

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
from huggingface_api_handler.inference.protocols.base import Decoded, WireProtocol
from huggingface_api_handler.inference.protocols.infinity import InfinityClassify
from huggingface_api_handler.inference.protocols.vllm import VllmClassify, VllmPooling, VllmScore
from huggingface_api_handler.inference.transport.client import Response
from huggingface_api_handler.tasks import TASKS
from huggingface_api_handler.tasks.input_types import TextPair
from tests.conftest import Service

CLASSIFY, SCORE, POOLING, INFINITY = VllmClassify(), VllmScore(), VllmPooling(), InfinityClassify()
CLASSES, RANKING, VECTORS = TASKS["text-classification"], TASKS["text-ranking"], TASKS["feature-extraction"]


def using(task: str, **more: Any) -> Any:
    pair = {"column2": "u"} if task in ("text-ranking", "sentence-similarity") else {}
    return {"task": task, "column": "t", "target": "y", "model": "m", **pair, **more}


def decode(protocol: WireProtocol, body: Any, count: int) -> Decoded:
    task = next(task for task in TASKS.values() if protocol.supports(task))
    return protocol.decode(task, Response(200, CIMultiDict(), json.dumps(body).encode()), count)


ASKED: list[tuple[WireProtocol, str, dict[str, Any], list[Any], dict[str, Any]]] = [
    (CLASSIFY, "text-classification", {}, ["one"], {"model": "m", "input": ["one"]}),
    (CLASSIFY, "text-classification", {"truncation": True}, ["one", "two"], {"model": "m", "input": ["one", "two"], "truncate_prompt_tokens": -1}),
    (CLASSIFY, "text-classification", {"max_length": 128}, ["one"], {"model": "m", "input": ["one"], "truncate_prompt_tokens": 128}),
    (CLASSIFY, "text-classification", {"truncation": False}, ["one"], {"model": "m", "input": ["one"]}),
    (INFINITY, "text-classification", {}, ["one"], {"model": "m", "input": ["one"], "raw_scores": False}),
    (INFINITY, "text-classification", {"function_to_apply": "none"}, ["one"], {"model": "m", "input": ["one"], "raw_scores": True}),
    (SCORE, "text-ranking", {}, [TextPair("q", "one"), TextPair("q", "two")], {"model": "m", "text_1": "q", "text_2": ["one", "two"]}),
    (SCORE, "sentence-similarity", {}, [TextPair("q", "one")], {"model": "m", "text_1": "q", "text_2": ["one"]}),
    (POOLING, "feature-extraction", {}, ["one", "two"], {"model": "m", "input": ["one", "two"]}),
    (POOLING, "feature-extraction", {"pooling": "none", "normalize": True, "dimensions": 64}, ["one"], {"model": "m", "input": ["one"], "dimensions": 64}),
]  # fmt: skip


@pytest.mark.parametrize(("protocol", "task", "arguments", "inputs", "body"), ASKED)
def test_what_is_asked(protocol: WireProtocol, task: str, arguments: Any, inputs: list[Any], body: Any) -> None:
    assert json.loads(protocol.encode(TASKS[task], inputs, model_settings(using(task, **arguments))).data) == body


@pytest.mark.parametrize(
    ("protocol", "task", "arguments", "words"),
    [
        (CLASSIFY, "text-classification", {"top_k": 2}, "vLLM takes no parameter 'top_k'"),
        (CLASSIFY, "text-classification", {"function_to_apply": "none"}, "vLLM takes no parameter"),
        (CLASSIFY, "text-classification", {"truncation": False, "max_length": 8}, "exclude each other"),
        (INFINITY, "text-classification", {"max_length": 8}, "infinity takes no parameter 'max_length'"),
        (INFINITY, "text-classification", {"truncation": False}, "truncation = false has no effect"),
        (INFINITY, "text-classification", {"function_to_apply": "sigmoid"}, "not 'sigmoid'"),
        (POOLING, "feature-extraction", {"prompt_name": "query"}, "takes no parameter 'prompt_name'"),
        (POOLING, "feature-extraction", {"normalize": False}, "normalize = false"),
    ],
)
def test_a_parameter_without_effect_is_refused(protocol: WireProtocol, task: str, arguments: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        protocol.encode(TASKS[task], ["one"], model_settings(using(task, **arguments)))


@pytest.mark.parametrize(
    ("protocol", "url"),
    [(CLASSIFY, "/classify"), (SCORE, "/score"), (POOLING, "/pooling"), (INFINITY, "/classify"), (VllmClassify("/v1"), "/v1/classify")],
)  # fmt: skip
def test_operations_stand_beside_the_api(protocol: WireProtocol, url: str) -> None:
    assert protocol.url("http://h", "m", CLASSES) == f"http://h{url}"
    assert protocol.url(f"http://h/x{url}", "m", CLASSES) == f"http://h/x{url}"


def classes(number: int) -> dict[str, Any]:
    return {"label": "P", "probs": [number / 1000, 1 - number / 1000], "num_classes": 2}


INDEXED: dict[str, tuple[WireProtocol, Callable[[int], Any], Callable[[int], Any]]] = {
    "classify": (CLASSIFY, classes, lambda n: [{"label": "P", "score": 1 - n / 1000}, {"label": "LABEL_0", "score": n / 1000}]),
    "score": (SCORE, lambda n: {"object": "score", "score": n / 10}, lambda n: n / 10),
    "pooling": (POOLING, lambda n: {"object": "pooling", "data": [[n, 0.5], [0.5, n]]}, lambda n: [[n, 0.5], [0.5, n]]),
}  # fmt: skip


@given(st.sampled_from(sorted(INDEXED)), st.integers(1, 12), st.randoms())
def test_each_input_gets_its_item_in_whatever_order(operation: str, count: int, random: Any) -> None:
    protocol, item, part = INDEXED[operation]
    items = [{"index": at, **item(at)} for at in range(count)]
    random.shuffle(items)
    decoded = decode(protocol, {"object": "list", "data": items, "usage": {"total_tokens": 9}}, count)
    assert decoded.parts == [part(at) for at in range(count)]
    assert decoded.usage is not None and decoded.usage.tokens == 9


@given(st.sampled_from(sorted(INDEXED)), st.integers(1, 8), st.data())
def test_items_of_others_are_refused(operation: str, count: int, data: Any) -> None:
    protocol, item, _ = INDEXED[operation]
    items: list[Any] = [{"index": at, **item(at)} for at in range(count)]
    at = data.draw(st.integers(0, count - 1))
    wrong: list[Any] = [None, True, False, "0", 0.0, -1, count, 10**30, [], *(n for n in range(count) if n != at)]
    change = data.draw(st.sampled_from(["index", "without", "twice", "fewer", "no object"]))
    if change == "index":
        items[at]["index"] = data.draw(st.sampled_from(wrong))
    elif change == "without":
        del items[at]["index"]
    elif change == "twice":
        items.append(items[at])
    elif change == "no object":
        items[at] = [0.5]
    else:
        items.pop(at)
    decoded = decode(protocol, {"data": items}, count)
    assert (decoded.parts, decoded.unreadable is not None) == ([], True)


@pytest.mark.parametrize("protocol", [CLASSIFY, SCORE, POOLING, INFINITY], ids=lambda each: each.name)
@pytest.mark.parametrize(
    "body", [{}, None, 1, [], {"data": None}, {"data": {}}, {"data": 1}, {"data": []}, [{"index": 0}]]
)
def test_another_shape_is_refused(protocol: WireProtocol, body: Any) -> None:
    assert decode(protocol, body, 1).unreadable is not None


@pytest.mark.parametrize(
    ("item", "part"),
    [
        ({"label": "LABEL_1", "probs": [0.2, 0.8]}, [("LABEL_1", 0.8), ("LABEL_0", 0.2)]),
        ({"label": None, "probs": [0.2, 0.8]}, [("LABEL_1", 0.8), ("LABEL_0", 0.2)]),
        ({"label": "B", "probs": [0.2, 0.7, 0.1]}, [("B", 0.7), ("LABEL_0", 0.2), ("LABEL_2", 0.1)]),
        # Its numbers are not those of the classes, so another class may have the number as its name.
        ({"label": "LABEL_0", "probs": [0.2, 0.8]}, [("LABEL_0", 0.8)]),
    ],
)
def test_classes_without_a_name_are_called_by_their_number(item: Any, part: Any) -> None:
    found = decode(CLASSIFY, {"data": [{"index": 0, **item}]}, 1).parts[0]
    assert [(each["label"], each["score"]) for each in found] == part


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({"label": "P"}, "no probabilities"),
        ({"label": "P", "probs": []}, "no probabilities"),
        ({"label": "P", "probs": [0.5, None]}, "null values"),
        ({"label": "P", "probs": ["0.5"]}, "no probabilities"),
        ({"label": "P", "probs": "AACAPw=", "num_classes": 1}, "no probabilities"),
        ({"label": "P", "probs": [0.5, 0.5], "num_classes": 3}, "another number of classes"),
        ({"label": ["P"], "probs": [0.5]}, "no label"),
    ],
)
def test_an_item_that_cannot_be_used_is_its_rows_alone(item: Any, words: str) -> None:
    parts = decode(CLASSIFY, {"data": [{"index": 0, **item}, {"index": 1, **classes(1)}]}, 2).parts
    assert isinstance(parts[0], UnreadableAnswer) and words in str(parts[0])
    assert parts[1][0] == {"label": "P", "score": 0.999}


def test_labels_of_infinity_come_in_the_order_of_the_texts() -> None:
    labels = [[{"label": "P", "score": 0.9}, {"label": "N", "score": 0.1}], [{"label": "N", "score": 0.6}]]
    body = {"object": "classify", "data": labels, "model": "m", "usage": {"prompt_tokens": 4, "total_tokens": 4}}
    decoded = decode(INFINITY, body, 2)
    assert decoded.parts == labels
    assert decoded.usage is not None and decoded.usage.tokens == 4
    for count in (1, 3):
        assert decode(INFINITY, body, count).unreadable is not None
    flat = {"data": [{"label": "P", "score": 0.9}, {"label": "N", "score": 0.1}]}
    assert decode(INFINITY, flat, 2).unreadable is not None


# --- through predict ------------------------------------------------------------------------------------------------

FRAME = pd.DataFrame({"t": [f"text {number}" for number in range(80)], "u": ["one query"] * 80})


def share(text: str) -> float:
    return round(zlib.crc32(text.encode()) / 2**32, 6)


def vllm(asked: Any, _headers: Any, path: str) -> Any:
    data: list[dict[str, Any]]
    if path == "/classify":
        probabilities = [[share(text), 1 - share(text)] for text in asked["input"]]
        data = [{"label": "N" if pair[0] >= 0.5 else "P", "probs": pair, "num_classes": 2} for pair in probabilities]
    elif path == "/score":
        data = [{"object": "score", "score": share(text)} for text in asked["text_2"]]
    else:
        data = [{"data": [[share(text), 1.0], [0.0, 2.0]]} for text in asked["input"]]
    items = [{"index": at, **item} for at, item in enumerate(data)]
    return {"object": "list", "data": items[::-1], "usage": {"total_tokens": len(items)}}


def test_classes_of_many_rows_take_a_few_requests(service: Service) -> None:
    service.answer = vllm
    out = predict(FRAME, using("text-classification"), {"endpoint": f"{service.url}/v1", "protocol": "vllm"})
    for text, label, score, explain in zip(FRAME["t"], out["y"], out["y_confidence"], out["y_explain"], strict=True):
        best = max(share(text), 1 - share(text))
        assert (label, score) == ("N" if share(text) >= 0.5 else "P", best)
        assert explain == {label: best, "LABEL_1" if label == "N" else "LABEL_0": min(share(text), 1 - share(text))}
    assert set(service.paths) == {"/classify"}
    assert len(service.asked) <= 5


@pytest.mark.parametrize("task", ["text-ranking", "sentence-similarity"])
def test_scores_of_pairs_take_a_few_requests(task: str, service: Service) -> None:
    service.answer = vllm
    frame = FRAME.rename(columns={"t": "u", "u": "t"})
    out = predict(frame, using(task), {"endpoint": f"{service.url}/score"})
    assert list(out["y"]) == [share(text) for text in FRAME["t"]]
    assert set(service.paths) == {"/score"}
    assert len(service.asked) <= 5


@pytest.mark.parametrize("pooling", ["none", "mean", "cls"])
def test_vectors_of_tokens_are_pooled_as_asked(pooling: str, service: Service) -> None:
    service.answer = vllm
    out = predict(FRAME, using("feature-extraction", pooling=pooling), {"endpoint": f"{service.url}/pooling"})
    pooled: dict[str, Callable[[float], Any]] = {
        "none": lambda first: [[first, 1.0], [0.0, 2.0]],
        "mean": lambda first: [first / 2, 1.5],
        "cls": lambda first: [first, 1.0],
    }
    assert list(out["y"]) == [pooled[pooling](share(text)) for text in FRAME["t"]]
    assert set(service.paths) == {"/pooling"}


def test_labels_of_infinity_through_predict(service: Service) -> None:
    service.answer = lambda asked, *_: {
        "data": [[{"label": "P", "score": share(text)}, {"label": "N", "score": 1 - share(text)}] for text in asked["input"]]
    }  # fmt: skip
    out = predict(
        FRAME, using("text-classification", output="scores"), {"endpoint": service.url, "protocol": "infinity"}
    )
    assert set(service.paths) == {"/classify"}
    assert list(out["y"]) == [{"P": share(text), "N": 1 - share(text)} for text in FRAME["t"]]
    assert len(service.asked) <= 5
