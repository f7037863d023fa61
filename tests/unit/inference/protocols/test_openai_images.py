"""OpenAI's images: what a text is asked as, and images that come as base64, as bytes, or as an address."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any

import orjson
import pandas as pd
import pytest
from multidict import CIMultiDict

from huggingface_api_handler.config.validation import model_settings
from huggingface_api_handler.errors import InferenceError, MediaError
from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.pricing.reported_usage import ReportedUsage
from huggingface_api_handler.inference.protocols.base import Batching, Decoded
from huggingface_api_handler.inference.protocols.openai_images import OpenAIImages
from huggingface_api_handler.inference.transport.client import Response
from huggingface_api_handler.tasks import TASKS, Media
from tests.conftest import Reply, Service

PROTOCOL = OpenAIImages()
TASK = TASKS["text-to-image"]
PNG = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
B64 = b64encode(PNG).decode()
URI = f"data:image/png;base64,{B64}"
USING = {"task": "text-to-image", "column": "t", "target": "y", "model": "flux"}
PLAIN = {"model": "flux", "prompt": "a cat", "n": 1, "response_format": "b64_json"}
KEY = "sk-QwErTy1234567890"


def sent(**arguments: Any) -> Any:
    return json.loads(PROTOCOL.encode(TASK, ["a cat"], model_settings({**USING, **arguments})).data)


def decoded(answer: Any) -> Decoded:
    return PROTOCOL.decode(TASK, Response(200, CIMultiDict(), orjson.dumps(answer)), 1)


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        ({}, PLAIN),
        ({"width": 512, "height": 256}, {**PLAIN, "size": "512x256"}),
        (
            {"negative_prompt": "dog", "guidance_scale": 3.5, "num_inference_steps": 4, "seed": 7},
            {**PLAIN, "negative_prompt": "dog", "guidance_scale": 3.5, "num_inference_steps": 4, "seed": 7},
        ),
        ({"model": "gpt-image-1"}, {"model": "gpt-image-1", "prompt": "a cat", "n": 1}),
        ({"model": "openai/gpt-image-1-mini"}, {"model": "openai/gpt-image-1-mini", "prompt": "a cat", "n": 1}),
        ({"model": "dall-e-3"}, {**PLAIN, "model": "dall-e-3"}),
    ],
)
def test_a_text_is_asked_as_openai_asks(arguments: dict[str, Any], body: dict[str, Any]) -> None:
    assert sent(**arguments) == body


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"scheduler": "EulerDiscrete"}, "OpenAI's images takes no parameter 'scheduler'"),
        ({"width": 512}, "give width and height both"),
        ({"height": 512}, "give width and height both"),
    ],
)
def test_what_such_a_server_does_not_take_is_refused(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        sent(**arguments)


@pytest.mark.parametrize("item", [{"b64_json": B64}, {"b64_json": B64, "revised_prompt": "x"}, {"url": URI}])
def test_an_image_in_the_answer_is_told_by_its_bytes(item: Any) -> None:
    assert decoded({"created": 1, "data": [item]}).parts == [Media(PNG, "image/png")]


def test_the_image_itself_is_read_too() -> None:
    answer = PROTOCOL.decode(TASK, Response(200, CIMultiDict({"Content-Type": "image/png"}), PNG), 1)
    assert answer.parts == [Media(PNG, "image/png")]


def test_tokens_are_reported() -> None:
    usage = {"total_tokens": 4000, "input_tokens": 50, "output_tokens": 3950}
    assert decoded({"data": [{"b64_json": B64}], "usage": usage}).usage == ReportedUsage(4000, 50, 3950)


@pytest.mark.parametrize("answer", [None, [], B64, {}, {"data": []}, {"data": [{}]}, {"data": B64}, {"image": B64}])
def test_another_answer_is_refused_and_not_guessed(answer: Any) -> None:
    assert decoded(answer).unreadable is not None


def test_nothing_is_fetched_outside_a_query() -> None:
    with pytest.raises(MediaError):
        decoded({"data": [{"url": "https://example.com/x.png"}]})


def test_it_has_its_task_its_address_and_one_input_a_request() -> None:
    assert {name for name, each in TASKS.items() if PROTOCOL.supports(each)} == {"text-to-image"}
    assert PROTOCOL.batching(TASK) is Batching.NEVER
    for base in ("http://h", "http://h/v1", "http://h/v1/images/generations"):
        assert PROTOCOL.url(base, "m", TASK) == "http://h/v1/images/generations"


def drawn(service: Service, count: int = 1, **engine: Any) -> Any:
    frame = pd.DataFrame({"t": [f"cat {number}" for number in range(count)]})
    return predict(frame, {**USING, "on_error": "null"}, {"endpoint": f"{service.url}/v1", "api_key": KEY, **engine})


def test_rows_are_drawn_and_a_bad_one_fails_alone(service: Service) -> None:
    service.answer = lambda body, *_: (
        Reply({"error": {"message": "Unknown parameter: 'response_format'."}}, 400)
        if body["prompt"] == "cat 1"
        else {"data": [{"b64_json": B64}]}
    )
    out = drawn(service, 3)
    assert list(out["y"]) == [URI, None, URI]
    assert out["y_error"][1] == "rejected input 400: Unknown parameter: 'response_format'."
    assert out["y_explain"][0] == {"content_type": "image/png", "bytes": len(PNG)}
    assert service.paths == ["/v1/images/generations"] * 3


def test_an_image_at_the_servers_own_address_is_fetched_without_the_key(service: Service) -> None:
    got: list[dict[str, str]] = []

    def answer(body: Any, headers: dict[str, str], path: str) -> Any:
        if path == "/files/x.png":
            got.append(headers)
            return Reply(PNG, 200, {"Content-Type": "application/octet-stream"})
        return {"data": [{"url": f"{service.url}/files/x.png"}]}

    service.answer = answer
    out = drawn(service)
    assert list(out["y"]) == [URI]
    assert "authorization" in service.headers[0]
    assert len(got) == 1
    assert KEY not in str(got)
    assert out.attrs["usage"]["requests"] == 2


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://169.254.169.254/latest/meta-data", "http:// is not fetched"),
        ("https://169.254.169.254/latest/meta-data", "169.254.169.254"),
        ("https://127.0.0.1/x.png", "127.0.0.1"),
        ("https://[::1]/x.png", "::1"),
        ("https://user:pw@example.com/x.png", "user name or password"),
        ("https://example.com:8443/x.png", "port 8443"),
    ],
)
def test_no_private_address_is_reached_by_way_of_an_answer(service: Service, url: str, reason: str) -> None:
    service.answer = lambda *_: {"data": [{"url": url}]}
    out = drawn(service)
    assert list(out["y"]) == [None]
    assert out["y_error"][0].startswith("rejected input 200: the answer names a file that cannot be had: ")
    assert reason in out["y_error"][0]
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply({"error": "gone"}, 404), "its server answered HTTP 404"),
        (Reply(b"<html><body>log in</body></html>", 200, {"Content-Type": "image/png"}), "no image"),
        (Reply(b"", 200, {"Content-Type": "image/png"}), "no image"),
    ],
)
def test_an_image_that_cannot_be_fetched_is_not_drawn_and_paid_again(
    service: Service, reply: Reply, reason: str
) -> None:
    service.answer = lambda body, headers, path: (
        reply if path == "/x.png" else {"data": [{"url": f"{service.url}/x.png"}]}
    )
    out = drawn(service)
    assert reason in out["y_error"][0]
    assert len(service.asked) == 1


def test_a_server_that_goes_away_before_the_image_was_fetched_is_the_rows_reason(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any, **__: Any) -> Any:
        raise ConnectionResetError

    monkeypatch.setattr("huggingface_api_handler.inference.runtime.request_sender.get_for_job", broken)
    service.answer = lambda *_: {"data": [{"url": f"{service.url}/x.png"}]}
    out = drawn(service)
    assert "its server could not be asked (ConnectionResetError)" in out["y_error"][0]
    assert len(service.asked) == 1


def test_a_wrong_address_of_images_is_shown_too(service: Service) -> None:
    service.answer = lambda *_: Reply({"error": "Not Found"}, 404)
    with pytest.raises(InferenceError, match=f"Asked at {service.url}/v1/images/generations"):
        predict(pd.DataFrame({"t": ["a cat"]}), USING, {"endpoint": f"{service.url}/v1"})
