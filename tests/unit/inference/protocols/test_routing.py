"""Where requests go, and that a key goes only where it belongs."""

from __future__ import annotations

from typing import Any

import pytest

from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.inference.protocols.routing import is_key_allowed_for, resolve_route

HF = "https://router.huggingface.co/hf-inference/models"
KEY = "a-key-of-the-engine"


def routed(engine: dict[str, Any], **using: Any) -> Any:
    checked = engine_settings(engine)
    given = {"task": "text-classification", "column": "t", "target": "y", **using}
    return resolve_route(checked, model_settings(given, checked))


@pytest.mark.parametrize(
    ("engine", "using", "url"),
    [
        ({}, {"model": "a/b"}, f"{HF}/a/b"),
        ({}, {"model": "a/b", "task": "feature-extraction"}, f"{HF}/a/b/pipeline/feature-extraction"),
        ({}, {"model": "a/b", "task": "sentence-similarity", "column2": "u"}, f"{HF}/a/b/pipeline/sentence-similarity"),
        ({}, {"model": "a/b:fastest", "task": "chat-completion"}, "https://router.huggingface.co/v1/chat/completions"),
        ({}, {"model": "a/b", "task": "text-generation"}, "https://router.huggingface.co/v1/chat/completions"),
        ({"endpoint": "https://x.endpoints.huggingface.cloud/"}, {}, "https://x.endpoints.huggingface.cloud"),
        ({"endpoint": "http://127.0.0.1:8900/models"}, {"model": "a/b"}, "http://127.0.0.1:8900/models/a/b"),
        ({"endpoint": "http://127.0.0.1:1/models"}, {"model": "a/b", "task": "embeddings"}, "http://127.0.0.1:1/models/a/b/pipeline/feature-extraction"),
        ({"endpoint": "http://127.0.0.1:1"}, {"task": "chat"}, "http://127.0.0.1:1/v1/chat/completions"),
        ({"endpoint": "http://127.0.0.1:1/v1"}, {"task": "chat"}, "http://127.0.0.1:1/v1/chat/completions"),
        ({"endpoint": "http://127.0.0.1:1/models"}, {"task": "chat", "model": "a/b"}, "http://127.0.0.1:1/models/a/b/v1/chat/completions"),
        ({"endpoint": "http://127.0.0.1:1"}, {"endpoint": "https://other.example/x"}, "https://other.example/x"),
        ({}, {"model": "../../../etc/passwd?x=1#y"}, f"{HF}/../../../etc/passwd%3Fx%3D1%23y"),
    ],
)  # fmt: skip
def test_urls(engine: dict[str, Any], using: dict[str, Any], url: str) -> None:
    assert routed(engine, **using).url == url


@pytest.mark.parametrize(
    ("engine", "using", "goes"),
    [
        ({"api_key": KEY}, {}, True),
        ({"api_key": KEY, "endpoint": "https://mine.example"}, {}, True),
        ({"api_key": KEY, "endpoint": "http://127.0.0.1:1"}, {}, True),
        ({"api_key": KEY}, {"endpoint": "https://x.endpoints.huggingface.cloud"}, True),
        ({"api_key": KEY}, {"endpoint": "https://elsewhere.example"}, False),
        ({"api_key": KEY}, {"endpoint": "http://127.0.0.1:1"}, False),
        ({"api_key": KEY}, {"endpoint": "http://huggingface.co"}, False),
        ({"api_key": KEY}, {"endpoint": "https://huggingface.co.evil.example"}, False),
        ({"api_key": KEY}, {"endpoint": "https://evilhuggingface.co"}, False),
        ({"api_key": KEY}, {"endpoint": "https://evil.example/huggingface.co"}, False),
        ({"api_key": KEY, "trusted_hosts": "gw.example"}, {"endpoint": "https://gw.example/tei"}, True),
        ({"api_key": KEY, "trusted_hosts": ["gw.example"]}, {"endpoint": "http://gw.example/tei"}, False),
        ({"api_key": KEY, "endpoint": "https://mine.example"}, {"endpoint": "https://router.huggingface.co/x"}, False),
        ({"api_key": KEY, "endpoint": "https://mine.example"}, {"endpoint": "https://mine.example/other"}, True),
        ({"api_key": KEY, "endpoint": "https://mine.example"}, {"endpoint": "https://mine.example:8443"}, False),
    ],
)
def test_a_key_goes_only_to_the_place_it_was_given_with(engine: dict[str, Any], using: dict[str, Any], goes: bool) -> None:  # fmt: skip
    where = routed(engine, **using)
    assert where.has_key is goes
    assert ("authorization" in where.headers) is goes
    assert KEY not in repr(where)


@pytest.mark.parametrize("sign", ["\\", "%2f", "%5c", "%23", "%40", "%00", "%EF%BC%8F", ";", "&", "#", "?", "/", "。"])
def test_a_host_that_two_parsers_could_read_two_ways_gets_no_key(sign: str) -> None:
    assert not routed({"api_key": KEY}, endpoint=f"https://evil.example{sign}.huggingface.co").has_key


def test_the_machines_own_token_stays_with_hugging_face(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_ambient")
    assert routed({}).headers["authorization"] == "Bearer hf_ambient"
    assert routed({"endpoint": "https://x.endpoints.huggingface.cloud"}).has_key
    for engine in ({"endpoint": "http://127.0.0.1:1"}, {"endpoint": "https://mine.example"}):
        assert not routed(engine).has_key
        assert "hf_ambient" not in str(routed(engine).headers)


def test_the_stored_login_is_found_last_and_stays_home_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_stored")
    assert routed({}).headers["authorization"] == "Bearer hf_stored"
    assert "hf_stored" not in str(routed({"endpoint": "http://127.0.0.1:1"}).headers)


def test_headers_say_who_pays_and_what_the_options_ask() -> None:
    headers = routed({"api_key": KEY, "bill_to": "my-org"}, options={"use_cache": False}).headers
    assert headers["x-hf-bill-to"] == "my-org"
    assert headers["x-use-cache"] == "false"
    assert headers["x-wait-for-model"] == "true"
    assert "x-wait-for-model" not in routed({}, options={"wait_for_model": False}).headers


def test_an_engine_without_endpoint_asks_hugging_face_only_over_https() -> None:
    engine = engine_settings({"api_key": KEY})
    assert is_key_allowed_for("https://router.huggingface.co/v1", engine)
    assert not is_key_allowed_for("http://router.huggingface.co/v1", engine)
