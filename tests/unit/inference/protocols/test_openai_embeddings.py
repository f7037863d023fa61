"""OpenAI's embeddings: what is asked, and whose vector is whose, in whatever order and form they come."""

from __future__ import annotations

import json
import math
from array import array
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from huggingface_api_handler.config.validation import model_settings
from huggingface_api_handler.errors import InferenceError, UnreadableAnswer
from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.protocols.base import AnswerTooLarge, Batching, Decoded, WireProtocol
from huggingface_api_handler.inference.protocols.codec import reason_to_refuse
from huggingface_api_handler.inference.protocols.openai_embeddings import OpenAIEmbeddings
from huggingface_api_handler.inference.transport.client import Response
from huggingface_api_handler.tasks import TASKS
from huggingface_api_handler.tasks.input_types import TextPair
from tests.conftest import Reply, Service

PROTOCOL: WireProtocol = OpenAIEmbeddings()
VECTORS, PAIRS = TASKS["feature-extraction"], TASKS["sentence-similarity"]


def using(**more: Any) -> Any:
    return {"task": "feature-extraction", "column": "t", "target": "y", "model": "m", **more}


def base64_of(vector: list[float]) -> str:
    return b64encode(array("f", vector).tobytes()).decode()


def vector_sent(vector: list[float]) -> list[float]:
    """The numbers as 32 bits hold them."""
    return array("f", vector).tolist()


def decode(body: Any, count: int, task: Any = VECTORS) -> Decoded:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return PROTOCOL.decode(task, Response(200, CIMultiDict(), data), count)


def answer_of(vectors: list[Any], **usage: int) -> dict[str, Any]:
    data = [{"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(vectors)]
    return {"object": "list", "data": data, "model": "m", "usage": usage or {"prompt_tokens": 5, "total_tokens": 5}}


# --- what is asked --------------------------------------------------------------------------------------------------

ASKED = [
    ({}, ["one"], {"model": "m", "input": ["one"], "encoding_format": "base64"}),
    ({}, ["one", "two"], {"model": "m", "input": ["one", "two"], "encoding_format": "base64"}),
    ({"dimensions": 256}, ["one"], {"model": "m", "input": ["one"], "encoding_format": "base64", "dimensions": 256}),
    ({"encoding_format": "float"}, ["one"], {"model": "m", "input": ["one"], "encoding_format": "float"}),
    ({"normalize": True}, ["one"], {"model": "m", "input": ["one"], "encoding_format": "base64"}),
]


@pytest.mark.parametrize(("arguments", "texts", "body"), ASKED)
def test_texts_go_as_a_list(arguments: dict[str, Any], texts: list[str], body: Any) -> None:
    assert json.loads(PROTOCOL.encode(VECTORS, texts, model_settings(using(**arguments))).data) == body


def test_a_source_goes_before_the_texts_that_are_compared_with_it() -> None:
    settings = model_settings(using(task="sentence-similarity", column2="u"))
    body = PROTOCOL.encode(PAIRS, [TextPair("source", "one"), TextPair("source", "two")], settings)
    assert body.data == b'{"model":"m","input":["source","one","two"],"encoding_format":"base64"}'


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"truncate": True}, "takes no parameter 'truncate'; it takes dimensions, encoding_format, normalize"),
        ({"prompt_name": "query"}, "takes no parameter 'prompt_name'"),
        ({"normalize": False}, "normalize = false"),
        ({"encoding_format": "int8"}, "encoding_format must be one of base64, float"),
        ({"pooling": "none"}, "pooling = 'none' has no effect"),
        ({"pooling": "cls"}, "pooling = 'cls' has no effect"),
    ],
)
def test_a_parameter_without_effect_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PROTOCOL.encode(VECTORS, ["one"], model_settings(using(**arguments)))


@pytest.mark.parametrize(
    ("protocol", "base", "url"),
    [
        (OpenAIEmbeddings(), "http://h", "http://h/v1/embeddings"),
        (OpenAIEmbeddings(), "http://h/v1/", "http://h/v1/embeddings"),
        (OpenAIEmbeddings(), "http://h/v1/embeddings", "http://h/v1/embeddings"),
        (OpenAIEmbeddings(), "http://h/openai/deployments/d?api-version=1", "http://h/openai/deployments/d/embeddings?api-version=1"),
        (OpenAIEmbeddings(version=""), "http://h", "http://h/embeddings"),
    ],
)  # fmt: skip
def test_the_address_follows_the_base(protocol: WireProtocol, base: str, url: str) -> None:
    assert protocol.url(base, "m", VECTORS) == url


def test_only_tasks_that_vectors_answer_are_supported() -> None:
    supported = {name for name, task in TASKS.items() if PROTOCOL.supports(task)}
    assert supported == {"feature-extraction", "sentence-similarity"}
    assert PROTOCOL.batching(VECTORS) is Batching.NATIVE


# --- whose vector is whose ------------------------------------------------------------------------------------------

vectors = st.lists(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=3, max_size=3), min_size=1, max_size=12, unique_by=tuple
)


@given(vectors, st.randoms(), st.data())
def test_each_row_gets_its_vector_in_whatever_order_and_form(own: list[Any], random: Any, data: Any) -> None:
    forms = data.draw(st.lists(st.booleans(), min_size=len(own), max_size=len(own)))
    body = answer_of([base64_of(each) if form else each for each, form in zip(own, forms, strict=True)])
    random.shuffle(body["data"])
    decoded = decode(body, len(own))
    assert decoded.unreadable is None
    assert decoded.parts == own


@given(vectors, st.data())
def test_an_answer_for_others_is_refused(own: list[Any], data: Any) -> None:
    """Any change of the indexes but a new order leaves it open whose vector is whose."""
    body = answer_of(own)
    place = data.draw(st.integers(0, len(own) - 1))
    wrong = [True, False, "0", 0.0, -1, len(own), 10**30, [], {}, *(n for n in range(len(own)) if n != place)]
    wrong += [None] if len(own) > 1 else []
    body["data"][place]["index"] = data.draw(st.sampled_from(wrong))
    decoded = decode(body, len(own))
    assert decoded.parts == []
    assert decoded.unreadable is not None
    assert decoded.usage is not None and decoded.usage.tokens == 5


def test_without_any_index_the_order_counts() -> None:
    for item in ({"embedding": [1.0]}, {"embedding": [1.0], "index": None}):
        assert decode({"data": [item, {**item, "embedding": [2.0]}]}, 2).parts == [[1.0], [2.0]]


@pytest.mark.parametrize(
    "body",
    [
        [], None, 1, "x", {}, {"data": None}, {"data": {}}, {"data": [1, 2]}, {"data": [[1.0], [2.0]]},
        [[1.0], [2.0]], {"embeddings": [[1.0], [2.0]]}, answer_of([[1.0]]), answer_of([[1.0]] * 3), answer_of([]),
        {"data": [{"embedding": [1.0]}]}, {"data": [{"embedding": [1.0]}, {"embedding": [1.0], "index": 1}]},
    ],
)  # fmt: skip
def test_another_shape_is_refused(body: Any) -> None:
    decoded = decode(body, 2)
    assert (decoded.parts, decoded.unreadable is not None) == ([], True)


BAD_VECTORS = [
    (None, "null values (the model overflowed)"),
    ([None, None], "null values (the model overflowed)"),
    ([0.5, None], "null values (the model overflowed)"),
    (base64_of([math.nan, 1.0]), "not finite (the model overflowed)"),
    (base64_of([math.inf, 1.0]), "not finite (the model overflowed)"),
    (base64_of([math.inf, -math.inf]), "not finite (the model overflowed)"),
    ([], "no vector of numbers"),
    ("", "without numbers"),
    ("AAAA", "no vector in base64"),
    ("AAA=", "no vector in base64"),
    ("AACA PwAA*AL8=", "no vector in base64"),
    ("[0.1, 0.2]", "no vector in base64"),
    ("\u00e9" * 8, "no vector in base64"),
    ([True, False], "no vector of numbers"),
    (["0.5"], "no vector of numbers"),
    ([[0.5]], "no vector of numbers"),
    ({"0": 0.5}, "no vector of numbers"),
    (0.5, "no vector of numbers"),
    ("AACAPwAA" * 50_000, "more than 65,536 numbers"),
]


@pytest.mark.parametrize(("vector", "words"), BAD_VECTORS)
def test_a_vector_that_cannot_be_used_is_its_rows_alone(vector: Any, words: str) -> None:
    for task, count in ((VECTORS, 3), (PAIRS, 2)):
        parts = decode(answer_of([[1.0, 0.0], [3.0, 4.0], vector]), count, task).parts
        assert len(parts) == count
        assert parts[:-1] == ([[1.0, 0.0], [3.0, 4.0]] if task is VECTORS else [0.6])
        assert isinstance(parts[-1], UnreadableAnswer) and words in str(parts[-1])


def test_numbers_whose_sum_is_not_finite_are_vectors_all_the_same() -> None:
    assert decode(answer_of([[1e308, 1e308]]), 1).parts == [[1e308, 1e308]]


def test_a_likeness_is_the_cosine() -> None:
    vectors = [[1.0, 0.0], [2.0, 0.0], [-1e-3, 0.0], [0.0, 5.0], [1.0, 1.0], [1e200, 0.0]]
    parts = decode(answer_of(vectors), 5, PAIRS).parts
    assert parts == [1.0, -1.0, 0.0, pytest.approx(math.sqrt(0.5)), 1.0]
    for turned in (1, -1):  # rounding makes more than 1 of these
        assert decode(answer_of([[-0.73, 0.69], [-0.73 * turned, 0.69 * turned]]), 1, PAIRS).parts == [turned]


@pytest.mark.parametrize(("vector", "words"), [([0.0, 0.0], "no direction"), ([1.0], "vectors of 2 and 1 numbers")])
def test_what_has_no_likeness_says_so(vector: Any, words: str) -> None:
    parts = decode(answer_of([[1.0, 0.0], [1.0, 0.0], vector]), 2, PAIRS).parts
    assert parts[0] == 1.0
    assert isinstance(parts[1], UnreadableAnswer) and words in str(parts[1])
    assert all(isinstance(part, UnreadableAnswer) for part in decode(answer_of([vector, [1.0, 0], [1, 1]]), 2, PAIRS).parts)  # fmt: skip


def test_an_answer_of_many_megabytes_of_vectors_is_refused_unread() -> None:
    with pytest.raises(AnswerTooLarge, match="8,000,001 bytes of vectors for 2 inputs"):
        decode(b" " * 8_000_001, 2)


@pytest.mark.parametrize("form", [list, base64_of])
def test_large_answers_are_read_in_pieces(form: Callable[[list[float]], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[None] = []
    monkeypatch.setattr(
        "huggingface_api_handler.inference.protocols.openai_embeddings.pause", lambda: pauses.append(None)
    )
    own = [[float(number)] + [0.123456789] * 4095 for number in range(64)]
    body = json.dumps(answer_of([form(vector) for vector in own])).encode()
    assert len(body) > 1024 * 1024
    parts = decode(body, 64).parts
    assert [part[0] for part in parts] == [float(number) for number in range(64)]
    assert len(parts[0]) == 4096
    assert len(pauses) >= 4


@pytest.mark.parametrize("task", [VECTORS, PAIRS], ids=lambda task: task.name)
def test_64_vectors_of_4096_numbers_are_not_too_large(task: Any) -> None:
    vectors = [[-0.012345678901234567] * 4096] * (64 + (task is PAIRS))
    for form in (list, base64_of):
        body = json.dumps(answer_of([form(vector) for vector in vectors])).encode()
        response = Response(200, CIMultiDict(), body)
        assert reason_to_refuse(task, response, 64) is None
        assert len(PROTOCOL.decode(task, response, 64).parts) == 64


# --- through predict ------------------------------------------------------------------------------------------------

FRAME = pd.DataFrame({"t": [f"text {number}" for number in range(100)], "s": ["source 3"] * 100})


def vector_for(text: str) -> list[float]:
    return [float(text.split()[1]), 1.0]


@pytest.fixture
def engine(service: Service) -> dict[str, Any]:
    return {"endpoint": f"{service.url}/v1"}


def embeddings(asked: Any, *_: Any) -> Any:
    vectors = [base64_of(vector_for(text)) for text in asked["input"]]
    body = answer_of(vectors, prompt_tokens=2 * len(vectors), total_tokens=2 * len(vectors))
    body["data"].reverse()
    return body


def test_a_hundred_rows_take_a_few_requests(service: Service, engine: dict[str, Any]) -> None:
    service.answer = embeddings
    out = predict(FRAME, using(), engine)
    assert list(out["y"]) == [vector_for(text) for text in FRAME["t"]]
    assert set(service.paths) == {"/v1/embeddings"}
    assert len(service.asked) <= 5
    assert out.attrs["usage"]["tokens"] == 200
    again = predict(FRAME, using(), engine)
    assert list(again["y"]) == list(out["y"])
    assert len(service.asked) <= 5  # stored answers say the same


def test_similarity_takes_a_source_and_its_texts_in_one_request(service: Service, engine: dict[str, Any]) -> None:
    service.answer = embeddings
    out = predict(FRAME, using(task="sentence-similarity", column="s", column2="t"), engine)
    own = [(3 * n + 1) / (math.sqrt(10) * math.hypot(n, 1)) for n in range(100)]
    assert list(out["y"]) == pytest.approx(own)
    assert all(asked["input"][0] == "source 3" for asked in service.asked)
    assert len(service.asked) <= 5


LIMITS = {
    "Text Embeddings Inference": (422, {"error": "batch size {size} > maximum allowed batch size {most}", "error_type": "Validation"}),
    "Text Embeddings Inference, as OpenAI": (422, {"message": "batch size {size} > maximum allowed batch size {most}", "type": "validation"}),
    "OpenAI": (400, {"error": {"message": "Invalid 'input': array too long. Expected an array with maximum length {most}, but got an array with length {size} instead.", "type": "invalid_request_error", "param": "input", "code": "array_above_max_length"}}),
    "infinity": (422, {"error": {"message": {"detail": [{"type": "too_long", "loc": ["body", "input"], "msg": "List should have at most {most} items after validation, not {size}", "input": []}]}, "type": "None", "param": "None", "code": 422}}),
    "LiteLLM": (400, {"error": {"message": "litellm.BadRequestError: OpenAIException - batch size {size} > maximum allowed batch size {most}", "type": None, "param": None, "code": "400"}}),
    "Cohere": (400, {"message": "invalid request: total number of texts must be at most {most} - received {size}"}),
    "Gemini": (400, {"error": {"code": 400, "message": "* BatchEmbedContentsRequest.requests: at most {most} requests can be in one batch", "status": "INVALID_ARGUMENT"}}),
    "Azure": (400, {"error": {"message": "Too many inputs. The max number of inputs is {most}.  We hope to increase the number of inputs per request soon.", "type": "invalid_request_error", "param": None, "code": None}}),
}  # fmt: skip


def filled(value: Any, **words: Any) -> Any:
    if isinstance(value, dict):
        return {name: filled(each, **words) for name, each in value.items()}
    if isinstance(value, list):
        return [filled(each, **words) for each in value]
    return value.format(**words) if isinstance(value, str) else value


def test_an_answer_that_is_too_large_is_asked_again_in_parts(
    service: Service, engine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_api_handler.inference.protocols.openai_embeddings._MAX_BYTES", 1000)
    service.answer = embeddings
    out = predict(FRAME, using(), engine)
    assert list(out["y"]) == [vector_for(text) for text in FRAME["t"]]
    assert len(service.asked) <= 30
    monkeypatch.setattr("huggingface_api_handler.inference.protocols.openai_embeddings._MAX_BYTES", 10)
    asked = len(service.asked)
    with pytest.raises(InferenceError, match="the answer is too large to read: .* bytes of vectors for 1 inputs"):
        predict(FRAME.head(1), using(dimensions=2), engine)
    assert len(service.asked) == asked + 1


@pytest.mark.parametrize("server", LIMITS)
def test_the_largest_batch_is_learned_of_each_servers_refusal(
    server: str, service: Service, engine: dict[str, Any]
) -> None:
    status, body = LIMITS[server]

    def limited(asked: Any, *_: Any) -> Any:
        size = len(asked["input"])
        return Reply(filled(body, size=size, most=8), status) if size > 8 else embeddings(asked)

    service.answer = limited
    out = predict(FRAME, using(), engine)
    assert list(out["y"]) == [vector_for(text) for text in FRAME["t"]]
    assert len(service.asked) <= 22


def test_one_overflow_leaves_the_other_rows_alone(service: Service, engine: dict[str, Any]) -> None:
    def overflowing(asked: Any, *_: Any) -> Any:
        return answer_of([[None, None] if text == "text 7" else vector_for(text) for text in asked["input"]])

    service.answer = overflowing
    out = predict(FRAME, using(), engine)
    assert out["y_error"].notna().sum() == 1
    assert out["y_error"][7] == "rejected input 200: null values (the model overflowed)"


def test_a_server_without_base64_is_asked_for_numbers_on_request(service: Service, engine: dict[str, Any]) -> None:
    words = {"object": "error", "message": "base64 encoding is not currently supported", "code": 400}

    def numbers_only(asked: Any, *_: Any) -> Any:
        if asked["encoding_format"] == "base64":
            return Reply(words, 400)
        return answer_of([vector_for(text) for text in asked["input"]])

    service.answer = numbers_only
    with pytest.raises(InferenceError, match=r"not currently supported\. .*encoding_format = 'float'"):
        predict(FRAME, using(), engine)
    out = predict(FRAME, using(encoding_format="float"), engine)
    assert list(out["y"]) == [vector_for(text) for text in FRAME["t"]]


def test_normalize_brings_to_the_length_1_what_the_server_left(service: Service, engine: dict[str, Any]) -> None:
    given = {"text 0": [3.0, 4.0], "text 1": [0.6, 0.801], "text 2": [0.0, 0.0]}
    service.answer = lambda asked, *_: answer_of([base64_of(given[text]) for text in asked["input"]])
    out = predict(FRAME.head(3), using(normalize=True), engine)
    assert list(out["y"]) == [[0.6, 0.8], vector_sent([0.6, 0.801]), [0.0, 0.0]]


def test_a_parameter_without_effect_costs_no_request(service: Service, engine: dict[str, Any]) -> None:
    with pytest.raises(InferenceError, match="takes no parameter 'truncate'"):
        predict(FRAME, using(truncate=True), engine)
    assert service.asked == []


@pytest.mark.parametrize(
    ("engine", "path"),
    [
        ({"endpoint": "/v1/embeddings"}, "/v1/embeddings"),
        ({"endpoint": "/v1/"}, "/v1/embeddings"),
        ({"endpoint": "", "protocol": "vllm"}, "/v1/embeddings"),
        ({"endpoint": "", "protocol": "infinity"}, "/embeddings"),
        ({"endpoint": "/embeddings"}, "/embeddings"),
    ],
)
def test_the_endpoint_or_the_protocol_says_where_it_is_asked(
    engine: dict[str, str], path: str, service: Service
) -> None:
    service.answer = lambda asked, headers, asked_path: (
        embeddings(asked) if asked_path == path else Reply({"detail": "Not Found"}, 404)
    )
    for task in ({}, {"task": "sentence-similarity", "column": "s", "column2": "t"}):
        out = predict(FRAME, using(**task), {**engine, "endpoint": service.url + engine["endpoint"]})
        assert out["y"].notna().all()
    assert set(service.paths) == {path}
