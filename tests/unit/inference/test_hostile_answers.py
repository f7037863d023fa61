"""Whatever a server answers is the reason of its row, in bounded words and within bounded memory."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
from typing import Any

import pytest
from multidict import CIMultiDict

from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.errors import UnreadableAnswer
from huggingface_api_handler.inference.failures import Failure, FailureKind
from huggingface_api_handler.inference.protocols import codec, server_errors
from huggingface_api_handler.inference.protocols.base import Body
from huggingface_api_handler.inference.protocols.request import RequestResult, send_request
from huggingface_api_handler.inference.protocols.routing import resolve_route
from huggingface_api_handler.inference.protocols.server_errors import read_error, web_page
from huggingface_api_handler.inference.runtime import response_handler
from huggingface_api_handler.inference.transport.client import Response
from huggingface_api_handler.inference.transport.large_bodies import ResponseTooLarge
from huggingface_api_handler.pieces import LARGE_BYTES
from huggingface_api_handler.tasks import TASKS, Prediction
from huggingface_api_handler.tasks.base import MAX_DEPTH, is_deeper_than, unreadable
from huggingface_api_handler.tasks.structured_output import parse_fields
from tests.unit.inference.runtime.test_executor import TEXTS, Run, can_batch
from tests.unit.inference.runtime.test_one_row import warm

ENGINE = engine_settings({"endpoint": "http://127.0.0.1:1"})
DEEP = {
    "lists": lambda depth: b"[" * depth + b"1" + b"]" * depth,
    "errors": lambda depth: b'{"error":' * depth + b'"x"' + b"}" * depth,
    "errors in lists": lambda depth: b'[{"error":' * depth + b'"x"' + b"}]" * depth,
    "details": lambda depth: b'{"detail":[{"loc":' + b"[" * depth + b"]" * depth + b',"msg":"x"}]}',
    "labels": lambda depth: b'[{"score":1,"label":' + b"[" * depth + b"]" * depth + b"}]",
    "beside labels": lambda depth: b'[{"score":1,"label":"a","x":' + b"[" * depth + b"]" * depth + b"}]",
    "never closed": lambda depth: b"[" * depth,
}


def reply(body: bytes, status: int = 200, **headers: str) -> Response:
    return Response(status, CIMultiDict(headers), body)


def deep_stack(depth: int, call: Any) -> Any:
    """What ``call`` returns at the end of so many calls, as below a server's frameworks."""
    return call() if depth == 0 else deep_stack(depth - 1, call)


@pytest.mark.parametrize("status", [200, 400, 413, 500, 503])
@pytest.mark.parametrize("depth", [40, 330, 400, 900, 1000, 50_000])
@pytest.mark.parametrize("form", DEEP)
def test_nested_brackets_are_the_reason_of_their_row(form: str, depth: int, status: int) -> None:
    texts = ["the bad one", *TEXTS[:20]]
    body = DEEP[form](depth)

    def service(asked: Any) -> Any:
        return reply(body, status) if "the bad one" in json.dumps(asked) else can_batch(asked)

    run = deep_stack(400, lambda: Run(service, texts, warm(False)))
    assert run.executor.stopped is None
    assert all(isinstance(result, Prediction) for result in list(run.results)[1:])
    bad = run.results[0]
    assert isinstance(bad, Failure)
    assert len(bad.reason) <= 1000
    assert bad.reason.isprintable()


def test_a_reader_that_raises_anything_costs_its_row_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    task = TASKS["text-classification"]
    read = task.read

    def stumbles(part: Any, item: Any, settings: Any) -> Prediction:
        if item == TEXTS[3]:
            raise RecursionError
        return read(part, item, settings)

    monkeypatch.setitem(TASKS, task.name, dataclasses.replace(task, read=stumbles))
    run = Run(can_batch, TEXTS[:8], warm(False))
    failed = run.results[3]
    assert isinstance(failed, Failure)
    assert failed.kind is FailureKind.INPUT_REJECTED
    assert sum(isinstance(result, Prediction) for result in run.results) == 7


def test_a_response_that_cannot_be_read_is_a_failure_of_its_request() -> None:
    class Headers(CIMultiDict[str]):
        def get(self, *_: Any) -> Any:
            raise OverflowError

    result = exchanged(Response(200, Headers(), b"[]"))
    assert result.failure is not None
    assert "OverflowError" in result.failure.message


def exchanged(response: Response | Exception, task: str = "text-classification", count: int = 1) -> RequestResult:
    model = model_settings({"task": task, "column": "t", "target": "y", "model": "m"}, ENGINE)

    async def post(*_: Any) -> Response:
        if isinstance(response, Exception):
            raise response
        return response

    async def no_job(url: str, _headers: Any) -> Response:
        raise AssertionError(url)

    async def send() -> RequestResult:
        route = resolve_route(ENGINE, model)
        return await send_request(post, no_job, route, model, Body(b"{}"), count, 5.0)

    return asyncio.run(send())


@pytest.mark.parametrize(
    ("status", "body"), [(200, b'[[{"label": "a", "score": 0.5}]]'), (200, b"{" * 400), (500, b'{"error": "no"}')]
)
def test_the_memory_of_a_body_is_given_back_once_whatever_comes_of_it(status: int, body: bytes) -> None:
    freed: list[None] = []
    exchanged(Response(status, {}, body, lambda: freed.append(None)))
    assert len(freed) == 1


def test_an_answer_that_is_not_read_says_what_to_do() -> None:
    failure = exchanged(ResponseTooLarge(), task="feature-extraction").failure
    assert failure is not None and "server that pools" in failure.message


@pytest.mark.parametrize("status", [400, 500])
def test_no_control_character_reaches_a_reason(status: int) -> None:
    words = "\x1b[2J\x1b[31mFAKE\x07\x08 \u202eevil\r\n2026-01-01 forged"
    result = exchanged(reply(json.dumps({"error": words}).encode(), status))
    assert result.failure is not None
    assert result.failure.message.isprintable()
    assert "FAKE" in result.failure.message


def test_no_control_character_of_a_redirect_reaches_a_reason() -> None:
    result = exchanged(reply(b"", 302, Location="http://a\x1b[2J\x07\u202eb" + "c" * 5000 + "/x"))
    assert result.failure is not None
    assert result.failure.message.isprintable()
    assert len(result.failure.reason) <= 1000


def test_keys_of_megabytes_make_no_message_of_megabytes() -> None:
    key = "k" * 5_000_000
    assert len(str(unreadable("classification", {key: 1, "\x1b": 2}))) < 300
    result = exchanged(reply(json.dumps({"error": {key: 1}}).encode(), 400))
    assert result.failure is not None
    assert len(result.failure.reason) <= 1000


def test_an_error_in_lists_of_lists_is_read_in_part() -> None:
    value: Any = "x" * 40
    for _ in range(12):
        value = [value, value]
    error = read_error(reply(json.dumps({"error": value}).encode(), 400))
    assert error is not None
    assert "…" in error.message


@pytest.mark.parametrize("page", [b"<title>" * 2857, b"<title" * 3000, b"<title>" + b"</titl" * 3000])
def test_a_page_of_titles_is_a_page(page: bytes) -> None:
    assert "web page" in str(web_page(b"<html>" + page))


@pytest.mark.parametrize(
    ("page", "title"),
    [
        (b"<TITLE lang='en'>Log\n in</TITLE>", "(Log in)"),
        (b"<title>never ends", "(HTML)"),
        ("<!-- \u0130\u0130 --><title>Here</title>".encode(), "(Here)"),
    ],
)
def test_the_title_of_a_page_is_found(page: bytes, title: str) -> None:
    assert title in str(web_page(page))


LISTS = b"[" + b"[]," * 700_000 + b"1]"
OBJECTS = b"[" + b'{"":0},' * 200_000 + b"1]"
NUMBERS = b"[" + b"0," * 1_600_000 + b"1]"


@pytest.mark.parametrize(
    ("task", "body", "count"),
    [
        ("text-classification", LISTS, 1),
        ("text-classification", b"[" + b"[[]]," * 150_000 + b"1]", 1),
        ("feature-extraction", LISTS, 32),
        ("feature-extraction", OBJECTS, 32),
        ("feature-extraction", NUMBERS, 1),
        ("text-classification", b'[{"label":"' + b"a" * 2_000_000 + b'","score":1}]', 1),
        ("summarization", b'{"summary_text":"' + b"a" * 5_000_000 + b'"}', 1),
        ("tabular-regression", b"[1" + b" " * 2_000_000 + b"]", 1),
    ],
)
def test_more_than_the_task_can_need_is_never_parsed(
    monkeypatch: pytest.MonkeyPatch, task: str, body: bytes, count: int
) -> None:
    parsed: list[Any] = []
    monkeypatch.setattr(codec, "parse", lambda *arguments: parsed.append(arguments))
    monkeypatch.setattr(server_errors, "_load", parsed.append)
    if task == "tabular-regression":
        assert codec.reason_to_refuse(TASKS[task], reply(body), count)
        return
    result = exchanged(reply(body), task, count)
    assert result.failure is not None
    assert "too large" in result.failure.message
    expected = FailureKind.BATCH_REJECTED if count > 1 else FailureKind.INPUT_REJECTED
    assert result.failure.kind is expected, "a batch is asked again in parts"
    assert not parsed


@pytest.mark.parametrize(
    ("task", "body", "count"),
    [
        ("feature-extraction", json.dumps([[0.123456789012345] * 1024] * 512).encode(), 512),
        ("feature-extraction", json.dumps([[0.123456789012345] * 768] * 512).encode(), 1),
        (
            "text-classification",
            json.dumps([[{"label": f"L{i}", "score": 0.5} for i in range(1000)]] * 32).encode(),
            32,
        ),
        ("text-to-image", b'{"image":"' + b"aaaa" * 5_000_000 + b'"}', 1),
        ("automatic-speech-recognition", json.dumps({"text": "a" * 3_000_000}).encode(), 1),
    ],
)
def test_what_a_task_can_need_is_read(task: str, body: bytes, count: int) -> None:
    assert codec.reason_to_refuse(TASKS[task], reply(body), count) is None


def test_a_large_vector_says_what_to_do() -> None:
    reason = codec.reason_to_refuse(TASKS["feature-extraction"], reply(NUMBERS), 1)
    assert reason is not None
    assert "pools" in reason


def test_a_list_of_more_numbers_than_any_vector_is_refused_before_it_is_made() -> None:
    result = exchanged(reply(b"[" + b"0.5," * 600_000 + b"1]"), "feature-extraction")
    assert "65,536 numbers" in str(result.unreadable)


def test_a_stored_answer_that_takes_long_is_read_on_a_thread() -> None:
    assert response_handler._is_large({"image": "a" * (LARGE_BYTES + 1)})
    assert response_handler._is_large([[0.5] * 768] * 512)
    assert response_handler._is_large([[[0.5] * 768] * 512])
    assert not response_handler._is_large([[0.5] * 1024])
    assert not response_handler._is_large([{"label": "a", "score": 0.5}])
    assert not response_handler._is_large([])


def test_media_itself_may_be_as_large_as_a_response() -> None:
    image = Response(200, CIMultiDict({"Content-Type": "image/png"}), b"\x89PNG\r\n\x1a\n" + b"[" * 40_000_000)
    assert codec.reason_to_refuse(TASKS["text-to-image"], image, 1) is None


@pytest.mark.parametrize("content_type", ["image/p\x1bng", "image/\u202egnp", "image/", "imagex/png"])
def test_a_content_type_that_is_none_names_no_media(content_type: str) -> None:
    assert not codec.is_media(TASKS["text-to-image"], Response(200, CIMultiDict({"Content-Type": content_type}), b""))


@pytest.mark.parametrize(("size", "is_off_loop"), [(100, False), (LARGE_BYTES + 1, True)])
def test_an_answer_of_over_a_megabyte_is_read_on_a_thread(
    monkeypatch: pytest.MonkeyPatch, size: int, is_off_loop: bool
) -> None:
    threads: list[str] = []
    parse = codec.parse

    def parsed(*arguments: Any) -> Any:
        threads.append(threading.current_thread().name)
        return parse(*arguments)

    monkeypatch.setattr(codec, "parse", parsed)
    body = json.dumps({"summary_text": "a" * size}).encode()
    assert exchanged(reply(body), "summarization").failure is None
    assert threads[0].startswith("huggingface-api-large") is is_off_loop


def test_the_memory_of_an_answer_is_given_back_when_it_was_read() -> None:
    freed: list[bool] = []
    for body in (b"[]", b"not json", LISTS):
        exchanged(Response(200, CIMultiDict(), body, lambda: freed.append(True)))
    assert len(freed) == 3


@pytest.mark.parametrize(("depth", "is_deeper"), [(1, False), (32, False), (33, True), (900, True)])
def test_depth_is_counted_without_calls(depth: int, is_deeper: bool) -> None:
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value, "b": 2}
    assert is_deeper_than(value, MAX_DEPTH) is is_deeper


def test_json_that_a_model_wrote_is_no_deeper_either() -> None:
    with pytest.raises(UnreadableAnswer, match="levels deep"):
        parse_fields('{"tags": ' + "[" * 500 + "]" * 500 + "}", {"tags": "list"})
