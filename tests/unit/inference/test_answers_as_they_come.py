"""Answers in the shapes that servers are known to send, asked for through ``predict``, one by one and in lists."""

from __future__ import annotations

import codecs
import json
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huggingface_api_handler.errors import InferenceError
from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.flow_control.retry import MAX_ATTEMPTS, RetryPolicy
from huggingface_api_handler.inference.protocols.lenient_json import beginning, is_cut_off, parse_leniently
from tests.conftest import Reply, Service

COLUMNS: dict[str, dict[str, Any]] = {
    "question-answering": {"context_column": "other"},
    "sentence-similarity": {"column": "other", "column2": "text"},
    "text-ranking": {"column": "other", "column2": "text"},
    "zero-shot-classification": {"candidate_labels": ["3", "true", "POSITIVE", "NEGATIVE"]},
    "tabular-classification": {"columns": ["text"], "column": None},
    "tabular-regression": {"columns": ["text"], "column": None},
    "image-to-text": {},
    "document-question-answering": {"question_column": "other"},
}
NOTHING: Mapping[str, Any] = MappingProxyType({})
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d494844520000000100000001080600000000000000000000000a49444154789c6360000002000100ffff03000006"
)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RetryPolicy, "_backoff_s", lambda policy, attempt: 0.001)


def ask(service: Service, task: str, rows: list[Any], **using: Any) -> pd.DataFrame:
    frame = pd.DataFrame({"text": rows, "other": "the same"})
    arguments = {"task": task, "column": "text", "target": "out", **COLUMNS.get(task, {}), **using}
    arguments = {name: value for name, value in arguments.items() if value is not None}
    return predict(frame, {**arguments, "cache": False}, {"endpoint": service.url})


class One(NamedTuple):
    """What comes of one row: its value, and confidence where it counts, or what its reason says, after so many requests."""

    task: str
    answer: Any
    value: Any = None
    reason: str | None = None
    requests: int = 1
    confidence: float | None = None
    status: int = 200
    headers: Mapping[str, str] = NOTHING
    using: Mapping[str, Any] = NOTHING


LABELS = "text-classification"
CHAT = {
    "choices": [
        {"message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop", "logprobs": {"content": [0.5]}}
    ]
}
GOOD = [{"label": "POSITIVE", "score": 0.9}, {"label": "NEGATIVE", "score": 0.1}]
ERRORS = [  # letter M
    One(LABELS, {"error": {"message": "Provider returned error", "code": 500}, "user_id": "u"}, reason="temporary failure 500: Provider returned error", requests=MAX_ATTEMPTS),
    One(LABELS, {"error": {"message": "Bad prompt", "code": 400}, "user_id": "u"}, reason="rejected input 400: Bad prompt"),
    One(LABELS, {"object": "error", "message": "no such thing", "type": "BadRequestError", "code": 400, "param": None}, reason="rejected input 400: no such thing"),
    One(LABELS, {"object": "error", "message": "boom", "code": 500, "id": "r1"}, reason="temporary failure 500: boom", requests=MAX_ATTEMPTS),
    One(LABELS, {"detail": "Not a text"}, reason="rejected input 200: Not a text"),
    One(LABELS, [{"error": "out of memory"}], reason="rejected input 200: out of memory"),
    One(LABELS, [{"error": {"message": "down", "code": 500}}], reason="temporary failure 500: down", requests=MAX_ATTEMPTS),
    One(LABELS, {"message": "strange", "blob": 1}, reason="strange"),
    One(LABELS, {"error": {"message": "unpaid", "code": 402}}, reason="unpaid"),
    One(LABELS, [{"label": "error", "score": 0.9}, {"label": "x", "score": 0.1}], "error", confidence=0.9),
    One(LABELS, {"error": 0.9, "fine": 0.1}, "error", confidence=0.9),
    One("chat-completion", {"error": {"message": "upstream", "code": 500}, "choices": []}, reason="temporary failure 500: upstream", requests=MAX_ATTEMPTS),
    One("chat-completion", {"error": "no", "choices": []}, reason="rejected input 200: no"),
    One("chat-completion", {**CHAT, "error": None}, "hello"),
    One("chat-completion", {**CHAT, "error": {}, "detail": "x"}, "hello"),
    One("chat-completion", {"choices": [{"message": {"content": '{"error": "none", "detail": 1}'}}]}, '{"error": "none", "detail": 1}'),
    One("summarization", {"error": "", "summary_text": "short"}, "short"),
    One("feature-extraction", {"error": "x", "detail": "y"}, reason="rejected input 200: x"),
]  # fmt: skip
LENIENT = [  # letter N
    One("chat-completion", json.dumps(CHAT).replace("0.5", "NaN").encode(), "hello"),
    One("chat-completion", json.dumps(CHAT).replace("0.5", "-Infinity").encode(), "hello"),
    One("chat-completion", json.dumps(CHAT).replace("0.5", "1e400").encode(), "hello"),
    One("chat-completion", json.dumps(CHAT).replace("0.5", "9" * 5000).encode(), "hello"),
    One("chat-completion", json.dumps(CHAT).replace("hello", "cut \\ud83d").encode(), "cut \ufffd"),
    One("chat-completion", json.dumps(CHAT).replace("hello", "\\\\ud83d \\ud83d\\ude00 \\ude00").encode(), "\\ud83d \U0001f600 \ufffd"),
    One("chat-completion", json.dumps(CHAT).replace("hello", "one\ntwo").encode(), "one\ntwo"),
    One("chat-completion", codecs.BOM_UTF8 + json.dumps(CHAT).encode(), "hello"),
    One("chat-completion", json.dumps(CHAT, ensure_ascii=False).replace("hello", "café").encode("latin-1"), "café", headers={"Content-Type": "application/json; charset=ISO-8859-1"}),
    One("chat-completion", json.dumps(CHAT).encode("utf-16"), "hello"),
    One("chat-completion", json.dumps(CHAT).encode("utf-16-le"), "hello", headers={"Content-Type": 'application/json; charset="utf-16-le"'}),
    One("chat-completion", json.dumps(json.dumps(CHAT)).encode(), "hello"),
    One("chat-completion", b'{"choices": oops}', reason='rejected input 200: the answer is not JSON, but "{"choices": oops}"'),
    One("chat-completion", b"a text of an unnamed type", reason='the answer is not JSON, but "a text of an unnamed type"'),
    One("chat-completion", b"\x89PNG\r\n\x1a\n\0\0", reason="bytes that are no text"),
    One("chat-completion", b'{"choices": [{"message": {"cont', reason="cut off", requests=MAX_ATTEMPTS),
    One("chat-completion", b"", reason="the answer is empty", requests=MAX_ATTEMPTS),
    One("chat-completion", b"<html><title>Gateway</title>", reason="a web page", requests=MAX_ATTEMPTS),
    One(LABELS, b'[[{"label": "POSITIVE", "score": NaN}, {"label": "NEGATIVE", "score": NaN}]]', reason="NaN"),
    One(LABELS, [[{"label": "POSITIVE", "score": None}, {"label": "NEGATIVE", "score": 0.1}]], reason="NaN"),
    One("feature-extraction", b"[[0.5, NaN, 0.25]]", reason="null or NaN"),
    One("feature-extraction", [[0.5, None, 0.25]], reason="null or NaN"),
    One("sentence-similarity", b"[NaN]", reason="null or NaN"),
    One("tabular-regression", b"[-Infinity]", reason="null or NaN"),
]  # fmt: skip
STATUSES = [  # letter R
    *(One(LABELS, [GOOD], "POSITIVE", status=status) for status in (201, 203, 206, 226, 299)),
    One("chat-completion", CHAT, "hello", status=201),
    One(LABELS, {"id": "job"}, reason="rejected input 202: the server took it as a job", status=202),
    One(LABELS, b"", reason="rejected input 204: the server sent no answer", status=204),
    One(LABELS, {"error": "no"}, reason="rejected input 200: no", status=201),
    One(LABELS, {"error": "busy", "error_type": "backend"}, reason="temporary failure 424: busy", requests=MAX_ATTEMPTS, status=424),
]  # fmt: skip
TOOLKIT = [  # letter E
    One("feature-extraction", {"embeddings": [0.5, 0.25]}, [0.5, 0.25]),
    One("feature-extraction", {"embeddings": [[0.5, 0.25]]}, [0.5, 0.25]),
    One("sentence-similarity", {"similarities": [0.75]}, 0.75),
    One("sentence-similarity", {"similarities": [0.75, 0.5]}, reason="1 sentences were answered with 2 scores"),
    One("text-ranking", {"scores": [{"index": 0, "score": 0.75}]}, 0.75),
    One("text-ranking", [{"index": 0, "score": 0.75, "text": None}], 0.75),
    One("text-ranking", {"scores": [{"index": 1, "score": 0.75}]}, reason="scores for others"),
]  # fmt: skip
OTHERS = [  # letter T
    One(LABELS, [{"label": 3, "score": 0.9}, {"label": 4, "score": 0.1}], "3", confidence=0.9),
    One(LABELS, [{"label": True, "score": 0.9}, {"label": False, "score": 0.1}], "true", confidence=0.9),
    One(LABELS, {"labels": [1, 0], "scores": ["0.2", "0.8"]}, "0", confidence=0.8),
    One("zero-shot-classification", [{"label": 3, "score": 0.9}, {"label": "POSITIVE", "score": 0.1}], "3", confidence=0.9),
    One(LABELS, [{"label": "a", "score": "0.1"}, {"label": "b", "score": "0.9"}], "b", confidence=0.9),
    One(LABELS, [{"label": "a", "score": "high"}, {"label": "b", "score": "low"}], reason="no numbers"),
    One(LABELS, {"NEGATIVE": 0.1, "POSITIVE": 0.9}, "POSITIVE", confidence=0.9),
    One(LABELS, {"POSITIVE": 0.9}, "POSITIVE", confidence=0.9),
    One(LABELS, {"prediction": 1, "probability": 0.9}, reason="not one of classification"),
    One(LABELS, {"POSITIVE": 3.5, "NEGATIVE": -1.5}, reason="not one of classification"),
    One(LABELS, {"predictions": [GOOD]}, "POSITIVE", confidence=0.9),
    One(LABELS, {"predictions": GOOD, "model": "m"}, "POSITIVE", confidence=0.9),
    One(LABELS, json.dumps([GOOD]), "POSITIVE", confidence=0.9),
    One("token-classification", {"entities": [{"entity_group": "PER", "word": "Ada"}]}, [{"entity_group": "PER", "word": "Ada"}]),
    One("token-classification", {"entities": []}, []),
    One("question-answering", {"answer": None, "score": 0.9}, None, confidence=0.9),
    One("question-answering", {"answer": None}, None),
    One("question-answering", {"score": 0.9}, reason="not one of question-answering"),
    One("question-answering", [{"answer": "x", "score": 0.2}, {"answer": None, "score": 0.7}], None, confidence=0.7),
    One("summarization", [{"generated_text": "short"}], "short"),
    One("translation", {"generated_text": "kurz"}, "kurz"),
    One("summarization", {"translation_text": "short"}, "short"),
    One("summarization", {"summary_text": "short", "generated_text": "long"}, "short"),
    One("summarization", {"translation_text": "one", "generated_text": "other"}, reason="not one of summarization"),
    One("document-question-answering", [{"answer": "7", "start": 1, "end": 1}], "7"),
    One("document-question-answering", {"answer": None}, None),
    One("feature-extraction", [[[0.5, 0.25]]], [[0.5, 0.25]], using={"pooling": "none"}),
    One("feature-extraction", [[0.5, 0.25], [1.0, 0.5]], [[0.5, 0.25], [1.0, 0.5]], using={"pooling": "none"}),
    One("feature-extraction", [0.5, 0.25], [[0.5, 0.25]], using={"pooling": "none"}),
]  # fmt: skip


def check(service: Service, one: One) -> None:
    service.answer = lambda *_: Reply(one.answer, one.status, dict(one.headers))
    try:
        out = ask(service, one.task, [PIXEL if one.task.startswith("document") else "a text"], **one.using)
    except InferenceError as error:
        assert one.reason is not None, str(error)
        assert one.reason.partition(": ")[2] in str(error)
    else:
        if one.reason is None:
            assert out["out_error"][0] is None
            assert json.dumps(out["out"][0]) == json.dumps(one.value)
            if one.confidence is not None:
                assert out["out_confidence"][0] == pytest.approx(one.confidence)
        else:
            assert one.reason in out["out_error"][0]
    assert len(service.asked) == one.requests


@pytest.mark.parametrize("one", ERRORS + LENIENT + STATUSES + TOOLKIT + OTHERS, ids=lambda one: f"{one.task}-{str(one.answer)[:60]}")  # fmt: skip
def test_one_answer_is_read_or_its_reason_told(service: Service, one: One) -> None:
    check(service, one)


@pytest.mark.parametrize(
    ("code", "kind"), [(429, "rate limits"), (502, "gateways"), ("rate_limit_exceeded", "words"), (503, "loading")]
)
def test_an_error_in_passing_within_an_answer_is_tried_again(service: Service, code: Any, kind: str) -> None:
    replies = iter(
        [Reply({"error": {"message": kind, "code": code}, "user_id": "u"}, headers={"Retry-After": "0.01"})] * 2
    )
    service.answer = lambda *_: next(replies, [GOOD])
    out = ask(service, LABELS, ["a text"])
    assert (out["out"][0], out["out_error"][0], len(service.asked)) == ("POSITIVE", None, 3)


def test_the_headers_of_a_long_policy_are_read(service: Service) -> None:
    service.answer = lambda *_: Reply([GOOD], headers={"Content-Security-Policy": "x" * 60_000})
    assert ask(service, LABELS, ["a text"])["out"][0] == "POSITIVE"
    assert len(service.asked) == 1


def test_headers_without_end_are_not_read(service: Service) -> None:
    service.answer = lambda *_: Reply([GOOD], headers={"Content-Security-Policy": "x" * 70_000})
    with pytest.raises(InferenceError, match="the connection to"):
        ask(service, LABELS, ["a text"])


@pytest.mark.parametrize("status", [401, 403])
def test_advice_on_a_key_is_of_the_server_that_was_asked(service: Service, status: int) -> None:
    service.answer = lambda *_: Reply({"error": "no"}, status)
    frame = pd.DataFrame({"text": ["a text"]})
    using = {"task": LABELS, "column": "text", "max_requests": 3}
    with pytest.raises(InferenceError, match=r"no(ne was sent| key was sent)") as told:
        predict(frame, using, {"endpoint": service.url})
    assert "huggingface.co" not in str(told.value)
    with pytest.raises(InferenceError, match="key") as told:
        predict(frame, using, {"endpoint": service.url, "api_key": "a-key-of-its-own-1234"})
    assert "huggingface.co" not in str(told.value)
    assert "was sent" not in str(told.value) or "that was sent" in str(told.value)


def share(text: str) -> float:
    """A score of each text."""
    return (zlib.crc32(text.encode()) % 997 + 1) / 1000


def scores(text: str) -> list[dict[str, Any]]:
    return [{"label": "POSITIVE", "score": share(text)}, {"label": "NEGATIVE", "score": 1 - share(text)}]


def label(text: str) -> str:
    return "POSITIVE" if share(text) > 0.5 else "NEGATIVE"


def vector(text: str) -> list[float]:
    return [share(text), share(text + "."), 0.5]


class Many(NamedTuple):
    """A server that answers a list of texts with ``body``, where each has the part that ``part`` gives."""

    task: str
    part: Callable[[str], Any]
    value: Callable[[str], Any]
    wrap: Callable[[Any], Any] = lambda parts: parts
    using: Mapping[str, Any] = NOTHING


LISTS = {
    "toolkit embeddings": Many("feature-extraction", vector, vector, lambda parts: {"embeddings": parts}),
    "predictions": Many(LABELS, scores, label, lambda parts: {"predictions": parts}),
    "encoded twice": Many(LABELS, scores, label, json.dumps),
    "maps of scores": Many(LABELS, lambda text: {each["label"]: each["score"] for each in scores(text)}, label),
    "numbers as labels": Many(LABELS, lambda text: [{"label": int(each["label"] == "POSITIVE"), "score": str(each["score"])} for each in scores(text)], lambda text: str(int(label(text) == "POSITIVE"))),
    "entities": Many("token-classification", lambda text: [{"entity_group": "X", "word": text}], lambda text: [{"entity_group": "X", "word": text}], lambda parts: {"entities": parts}),
    "entities of each": Many("token-classification", lambda text: {"entities": [{"entity_group": "X", "word": text}]}, lambda text: [{"entity_group": "X", "word": text}]),
    "text generation inference": Many("summarization", lambda text: {"generated_text": text.upper()}, lambda text: text.upper()),
    "vectors of tokens": Many("feature-extraction", lambda text: [vector(text)], lambda text: [vector(text)], using={"pooling": "none"}),
    "pooled vectors, none pooled here": Many("feature-extraction", vector, lambda text: [vector(text)], using={"pooling": "none"}),
}  # fmt: skip
ROWS = [f"text number {number} of the table" for number in range(60)]


def serve(service: Service, many: Many, bad: Callable[[str, bool], Any] = lambda text, alone: None) -> None:
    """Answer with the parts of ``many``; where ``bad`` gives one, with that."""

    def answer(body: Any, *_: Any) -> Any:
        inputs = body["inputs"]
        texts = [inputs] if isinstance(inputs, str) else inputs
        parts = [bad(text, len(texts) == 1) or many.part(text) for text in texts]
        return many.wrap(parts if isinstance(inputs, list) or many.task == LABELS else parts[0])

    service.answer = answer


@pytest.mark.parametrize("name", LISTS)
def test_each_row_of_a_list_gets_its_own_part(service: Service, name: str) -> None:
    many = LISTS[name]
    serve(service, many)
    out = ask(service, many.task, ROWS, **many.using)
    assert list(out["out_error"]) == [None] * len(ROWS)
    assert [json.dumps(value) for value in out["out"]] == [json.dumps(many.value(text)) for text in ROWS]
    assert all(isinstance(body["inputs"], str) for body in service.asked) or len(service.asked) < len(ROWS)


BAD = ROWS[41]


@pytest.mark.parametrize("is_bad_alone", [True, False])
@pytest.mark.parametrize(
    "error", [{"error": "out of memory"}, {"error": {"message": "out of memory", "code": 400}, "index": 3}], ids=str
)
@pytest.mark.parametrize("task", ["feature-extraction", LABELS])
def test_an_error_in_a_list_is_of_its_row(service: Service, task: str, error: Any, is_bad_alone: bool) -> None:
    many = Many(task, vector, vector) if task == "feature-extraction" else Many(task, scores, label)
    serve(service, many, lambda text, alone: error if text == BAD and (is_bad_alone or not alone) else None)
    out = ask(service, task, ROWS)
    for text, value, reason in zip(ROWS, out["out"], out["out_error"], strict=True):
        if text == BAD and is_bad_alone:
            assert "out of memory" in reason
        else:
            assert (json.dumps(value), reason) == (json.dumps(many.value(text)), None)
    assert len(service.asked) < len(ROWS) / 2
    assert sum(body["inputs"] == BAD for body in service.asked) <= 1


@pytest.mark.parametrize("spelling", ["NaN", "null"])
def test_a_vector_that_overflowed_is_of_its_row(service: Service, spelling: str) -> None:
    many = Many("feature-extraction", vector, vector)

    def answer(body: Any, *_: Any) -> Any:
        inputs = body["inputs"]
        texts = [inputs] if isinstance(inputs, str) else inputs
        parts = json.dumps([["x"] if text == BAD else vector(text) for text in texts])
        return Reply(parts.replace('"x"', spelling).encode())

    service.answer = answer
    out = ask(service, many.task, ROWS)
    for text, value, reason in zip(ROWS, out["out"], out["out_error"], strict=True):
        if text == BAD:
            assert "null or NaN in place of numbers (the model overflowed)" in reason
        else:
            assert (value, reason) == (vector(text), None)
    assert len(service.asked) < len(ROWS) / 2


@pytest.mark.parametrize("form", ["toolkit", "older toolkit", "text-embeddings-inference", "llama.cpp"])
def test_ranking_is_asked_in_one_form_that_each_server_reads(service: Service, form: str) -> None:
    def answer(body: Any, *_: Any) -> Any:
        if "toolkit" in form:
            if "inputs" not in body:
                return Reply({"error": f"Body needs to provide a inputs key, received: {body}"}, 400)
            body = body["inputs"]
        ranks = [{"index": index, "score": share(text)} for index, text in enumerate(body["texts"])]
        ranks.sort(key=lambda rank: -float(rank["score"]))
        return {"scores": ranks} if form == "older toolkit" else ranks

    service.answer = answer
    out = ask(service, "text-ranking", ROWS)
    assert list(out["out_error"]) == [None] * len(ROWS)
    assert list(out["out"]) == [share(text) for text in ROWS]
    assert len(service.asked) < 10


def test_similarities_of_the_toolkit_are_read(service: Service) -> None:
    service.answer = lambda body, *_: {"similarities": [share(text) for text in body["inputs"]["sentences"]]}
    out = ask(service, "sentence-similarity", ROWS)
    assert list(out["out"]) == [share(text) for text in ROWS]
    assert len(service.asked) < 10


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
ANY_JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)


@given(ANY_JSON, st.sampled_from(["utf-8-sig", "utf-16", "utf-32", "utf-8"]), st.booleans())
def test_what_a_strict_parser_reads_is_read_alike_in_any_encoding(value: Any, encoding: str, is_ascii: bool) -> None:
    text = json.dumps(value, ensure_ascii=is_ascii)
    assert parse_leniently(text.encode(encoding), {}) == value


@given(
    st.binary(max_size=200)
    | st.integers(-(10**30), 10**30).map(lambda value: str(value).encode())
    | ANY_JSON.map(lambda value: json.dumps(value).encode()[:-1])
)
def test_what_is_read_leniently_can_be_stored(body: bytes) -> None:
    try:
        answer = parse_leniently(body, {})
    except (ValueError, RecursionError):
        is_cut_off(body, {})
        assert len(beginning(body, {})) <= 100
        return
    assert orjson.loads(orjson.dumps(answer)) == answer


@given(ANY_JSON.map(lambda value: json.dumps([value])))
def test_json_that_ends_in_the_middle_is_cut_off_and_whole_json_is_not(text: str) -> None:
    assert not is_cut_off(text.encode(), {})
    assert all(is_cut_off(text[:end].encode(), {}) for end in range(len(text)))


def test_an_answer_that_no_strict_parser_reads_is_stored_as_it_was_read(service: Service) -> None:
    service.answer = lambda *_: Reply(b'\xef\xbb\xbf[{"label": "\\ud83d", "score": 0.9, "other": NaN}]')
    frame = pd.DataFrame({"text": ["a text"]})
    using = {"task": LABELS, "column": "text", "target": "out"}
    first, second = (predict(frame, using, {"endpoint": service.url}) for _ in range(2))
    assert (first["out"][0], second["out"][0], len(service.asked)) == ("\ufffd", "\ufffd", 1)
