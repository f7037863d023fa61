"""Media that a model made is told by its bytes, whatever its content type says, and is read in every usual shape."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

import pandas as pd
import pytest
from multidict import CIMultiDict

from huggingface_api_handler.errors import InferenceError, UnreadableAnswer
from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.media.wav import to_wav
from huggingface_api_handler.inference.protocols import codec
from huggingface_api_handler.inference.protocols.hf_inference import HF_INFERENCE
from huggingface_api_handler.inference.protocols.media_answers import MediaLink, find_media, split_media
from huggingface_api_handler.inference.transport.client import Response
from huggingface_api_handler.tasks import TASKS, Media
from tests.conftest import Reply, Service

PNG = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00data\x00\x00\x00\x00"  # fmt: skip
FLAC = b"fLaC\x00\x00\x00\x22"
WEBM = b"\x1aE\xdf\xa3\x01\x00\x00\x00\x00\x00\x00\x1fB\x86\x81\x01B\x82\x84webm"
MP4 = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2"
AVIF = b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00avifmif1miaf"
HTML = b"<!DOCTYPE html><html><head><title>Log in</title></head></html>"
IMAGE = TASKS["text-to-image"]
UNNAMED = ["application/octet-stream", "binary/octet-stream", "text/plain", "application/json", "", "image", "x"]


def response(body: bytes, content_type: str | None) -> Response:
    headers: dict[str, str] = {} if content_type is None else {"Content-Type": content_type}
    return Response(200, CIMultiDict(headers), body)


@pytest.mark.parametrize("content_type", [*UNNAMED, None])
@pytest.mark.parametrize(("body", "told"), [(PNG, "image/png"), (WAV, "audio/wav"), (FLAC, "audio/flac")])
def test_media_without_a_type_is_told_by_its_bytes(body: bytes, told: str, content_type: str | None) -> None:
    for task in ("text-to-image", "text-to-speech", "text-to-video"):
        assert codec.parse(TASKS[task], response(body, content_type)) == Media(body, told)


@pytest.mark.parametrize(
    ("body", "declared", "told"),
    [
        (PNG, "image/jpeg", "image/png"),
        (PNG, "IMAGE/PNG; charset=binary", "image/png"),
        (WAV, "audio/x-wav", "audio/wav"),
        (MP4, "audio/mp4", "audio/mp4"),
        (MP4, "video/mp4", "video/mp4"),
        (MP4, "application/octet-stream", "video/mp4"),
        (WEBM, "audio/webm", "audio/webm"),
        (AVIF, "image/avif", "image/avif"),
        (b"\x01\x02" * 50, "audio/L16;rate=24000", "audio/l16"),
        (b"\x00" * 50, "audio/pcm", "audio/pcm"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml", "image/svg+xml"),
    ],
)
def test_the_bytes_count_and_else_the_type(body: bytes, declared: str, told: str) -> None:
    assert codec.parse(IMAGE, response(body, declared)) == Media(body, told)


@pytest.mark.parametrize("content_type", ["image/png", "audio/wav", "video/mp4", "application/octet-stream", None])
@pytest.mark.parametrize(
    "body",
    [
        HTML,
        b"  \n<html><body>busy</body></html>",
        b'{"error": "busy"}',
        b'\xef\xbb\xbf{"error": "busy"}',
        b' ["x"]',
        b'"iVBORw0KGgo="',
        b"Internal Server Error",
        b"<?xml version='1.0'?><Error/>",
        b"null",
        b"",
    ],
)
def test_text_is_no_media_whatever_its_type_says(body: bytes, content_type: str | None) -> None:
    for task in ("text-to-image", "text-to-speech"):
        assert not codec.is_media(TASKS[task], response(body, content_type))


def test_base64_in_json_is_not_taken_for_a_format_by_chance() -> None:
    assert not codec.is_media(IMAGE, response(b'"AAAftypisom"', None))


def test_only_a_task_that_makes_media_is_answered_with_it() -> None:
    assert not codec.is_media(TASKS["text-classification"], response(PNG, "image/png"))


@pytest.mark.parametrize("content_type", ["application/octet-stream", "binary/octet-stream", "text/plain"])
@pytest.mark.parametrize(
    ("task", "body", "type_"), [("text-to-image", PNG, "image/png"), ("text-to-speech", WAV, "audio/wav")]
)
def test_no_paid_generation_is_asked_again_because_its_type_was_unnamed(
    service: Service, task: str, body: bytes, type_: str, content_type: str
) -> None:
    service.answer = lambda *_: Reply(body, 200, {"Content-Type": content_type})
    using = {"task": task, "column": "t", "target": "y", "model": "m"}
    out = predict(pd.DataFrame({"t": ["a cat"]}), using, {"endpoint": service.url})
    assert list(out["y"]) == [f"data:{type_};base64,{b64encode(body).decode()}"]
    assert out["y_explain"][0] == {"content_type": type_, "bytes": len(body)}
    assert len(service.asked) == 1


def test_a_web_page_is_no_image_and_is_named(service: Service) -> None:
    service.answer = lambda *_: Reply(HTML, 200, {"Content-Type": "image/png"})
    using = {"task": "text-to-image", "column": "t", "target": "y", "model": "m"}
    with pytest.raises(InferenceError, match="a web page instead of an answer"):
        predict(pd.DataFrame({"t": ["a cat"]}), using, {"endpoint": service.url, "max_attempts": 1})


B64 = b64encode(PNG).decode()
IMAGE_FOUND = Media(PNG, "image/png")
FLOATS = {"audio": [[0.0, 0.5, -0.5]], "sampling_rate": 16000}


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (B64, IMAGE_FOUND),
        (f"data:image/png;base64,{B64}", IMAGE_FOUND),
        (f"data:image/jpeg;base64,{B64}", IMAGE_FOUND),
        (f"{B64[:20]}\n{B64[20:]}\n", IMAGE_FOUND),
        ([B64], IMAGE_FOUND),
        ({"image": B64}, IMAGE_FOUND),
        ([{"image": B64}], IMAGE_FOUND),
        ({"image": f"data:image/png;base64,{B64}"}, IMAGE_FOUND),
        ({"images": [B64]}, IMAGE_FOUND),
        ({"images": [B64, "x"]}, IMAGE_FOUND),
        ({"images": [{"url": f"data:image/png;base64,{B64}", "width": 1}]}, IMAGE_FOUND),
        ({"created": 1, "data": [{"b64_json": B64, "revised_prompt": "a cat"}]}, IMAGE_FOUND),
        ({"data": [{"b64_json": B64, "url": None}]}, IMAGE_FOUND),
        ({"b64_json": B64}, IMAGE_FOUND),
        ({"image": {"url": f"data:image/png;base64,{B64}"}}, IMAGE_FOUND),
        ({"depth": B64, "predicted_depth": [[0.5]]}, IMAGE_FOUND),
        ({"predicted_depth": [[0.5]], "depth": B64}, IMAGE_FOUND),
        ({"video": b64encode(MP4).decode()}, Media(MP4, "video/mp4")),
        ({"audio": b64encode(WAV).decode(), "sampling_rate": 16000}, Media(WAV, "audio/wav")),
        (FLOATS, Media(to_wav([0.0, 0.5, -0.5], 16000), "audio/wav")),
        ([FLOATS], Media(to_wav([0.0, 0.5, -0.5], 16000), "audio/wav")),
        ({"image": b64encode(AVIF).decode(), "content-type": "image/avif"}, Media(AVIF, "image/avif")),
        ({"image": b64encode(AVIF).decode()}, Media(AVIF, "application/octet-stream")),
        (f"data:image/avif;base64,{b64encode(AVIF).decode()}", Media(AVIF, "image/avif")),
        ({"data": [{"url": "https://h/x.png"}]}, MediaLink("https://h/x.png")),
        ({"images": [{"url": " HTTP://h/x.png"}]}, MediaLink("HTTP://h/x.png")),
    ],
)
def test_media_is_found_in_every_usual_shape(answer: Any, found: Any) -> None:
    assert find_media(answer) == found


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("busy", "the server answers with a text instead of media"),
        ("Internal", "the server answers with a text instead of media"),
        ("not base64!", "is not base64"),
        ({"image": "not base64!"}, "is not base64"),
        ({"image": ""}, "is empty"),
        ("", "is empty"),
        ("data:image/png", "is empty"),
        ({}, "not one of a task that makes media"),
        ({"images": []}, "not one of a task that makes media"),
        ({"data": []}, "not one of a task that makes media"),
        ({"data": [None]}, "not one of a task that makes media"),
        ({"image": None}, "not one of a task that makes media"),
        ({"label": B64}, "not one of a task that makes media"),
        ([B64, B64], "not one of a task that makes media"),
        (None, "not one of a task that makes media"),
        (3, "not one of a task that makes media"),
        ({"data": {"data": {"data": {"data": {"data": {"data": {"data": B64}}}}}}}, "not one of a task"),
        ({"audio": [[0.5, None]], "sampling_rate": 16000}, "not all numbers"),
        ({"audio": [[0.5]]}, "not one of a task that makes media"),
    ],
)
def test_what_holds_no_media_is_refused_and_not_guessed(answer: Any, reason: str) -> None:
    with pytest.raises(UnreadableAnswer, match=reason):
        find_media(answer)


def test_the_address_of_a_file_is_not_fetched_from_a_server_that_need_not_send_it() -> None:
    with pytest.raises(UnreadableAnswer, match="the address of a file, which is not fetched"):
        split_media({"image": "http://169.254.169.254/latest"}, 1)


def test_an_image_is_asked_for_as_an_image() -> None:
    asking = {name for name, task in TASKS.items() if HF_INFERENCE.headers(task) == {"accept": "image/png"}}
    assert asking == {"text-to-image", "image-to-image", "image-text-to-image"}
    assert not any(HF_INFERENCE.headers(task) for name, task in TASKS.items() if name not in asking)


def test_the_header_goes_out_and_base64_alone_is_read_all_the_same(service: Service) -> None:
    service.answer = lambda *_: B64
    using = {"task": "text-to-image", "column": "t", "target": "y", "model": "m"}
    out = predict(pd.DataFrame({"t": ["a cat"]}), using, {"endpoint": service.url, "protocol": "huggingface"})
    assert list(out["y"]) == [f"data:image/png;base64,{B64}"]
    assert out["y_explain"][0] == {"content_type": "image/png", "bytes": len(PNG)}
    assert service.headers[0]["accept"] == "image/png"


def test_a_sound_in_numbers_is_a_file_that_is_stored_as_such(service: Service) -> None:
    service.answer = lambda *_: FLOATS
    using = {"task": "text-to-speech", "column": "t", "target": "y", "model": "m", "cache": True}
    wav = b64encode(to_wav([0.0, 0.5, -0.5], 16000)).decode()
    for _ in range(2):
        out = predict(pd.DataFrame({"t": ["hi"]}), using, {"endpoint": service.url, "protocol": "huggingface"})
        assert list(out["y"]) == [f"data:audio/wav;base64,{wav}"]
        assert out["y_explain"][0] == {"content_type": "audio/wav", "bytes": 50}
    assert len(service.asked) == 1


def test_a_sound_of_too_many_numbers_is_refused_with_what_to_do() -> None:
    body = b'{"audio": [[' + b"0.5," * 600_000 + b'0.5]], "sampling_rate": 16000}'
    reason = codec.reason_to_refuse(TASKS["text-to-speech"], response(body, "application/json"), 1)
    assert reason is not None
    assert reason.endswith("Send shorter texts, or ask a server that sends its bytes")
