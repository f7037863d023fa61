"""A key in use is in no sentence, log line, trace, stored byte or printed object, whatever comes back for it.

The servers here are on loopback, the one place besides https that a key may go to.
"""

from __future__ import annotations

import base64
import dataclasses
import faulthandler
import gzip
import json
import logging
import os
import pickle
import signal
import socket
import ssl
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp
import httpx
import pandas as pd
import pytest
import trustme
from huggingface_hub.inference._providers import get_provider_helper
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from huggingface_api_handler import redaction
from huggingface_api_handler.config.credentials import resolve_api_key
from huggingface_api_handler.config.settings import EngineSettings
from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.errors import HuggingFaceAPIError, InferenceError, InputError, MediaError, UnreadableAnswer
from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.failures import Failure, FailureKind, classify_exception
from huggingface_api_handler.inference.flow_control.retry import RetryPolicy
from huggingface_api_handler.inference.protocols import hub_providers, preflight
from huggingface_api_handler.inference.protocols.base import Body
from huggingface_api_handler.inference.protocols.routing import resolve_route
from huggingface_api_handler.inference.runtime.context import Query
from huggingface_api_handler.inference.runtime.session import default_session
from huggingface_api_handler.inference.storage.open_stores import close_stores
from huggingface_api_handler.inference.storage.scope import Scope
from huggingface_api_handler.inference.telemetry.usage import Usage
from huggingface_api_handler.inference.transport import client
from huggingface_api_handler.redaction import preview
from tests.conftest import Reply, Service
from tests.support.refusals import classify

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = str(ROOT / "huggingface_api_handler")
KEY = "hf_LeakCanary" + "Zq9" * 8
OTHER = "gsk/Leak+Canary==/Zq9Zq9Zq9Zq9"
"""A key that is not Hugging Face's, and is written otherwise in URLs and in the JSON of some servers."""
PART = "Zq9Zq9"
USING = {"task": "text-classification", "column": "text", "target": "y", "model": "m"}
FRAME = pd.DataFrame({"text": [f"row {number}" for number in range(20)]})
LOGGERS = [
    "",
    "aiohttp.client",
    "asyncio",
    "urllib3",
    "httpx",
    "httpcore",
    "huggingface_hub",
    "huggingface_api_handler",
]


@pytest.fixture(params=[KEY, OTHER], ids=["Hugging Face's", "another's"])
def key(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    for name in LOGGERS:
        caplog.set_level(logging.DEBUG, name)
    return caplog


class Listener:
    """Takes connections on a loopback port, keeps what was sent there, and hangs up."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection = self._socket.accept()[0]
            except OSError:
                return
            with connection:
                connection.settimeout(2)
                try:
                    self.received.append(connection.recv(65536))
                except OSError:
                    self.received.append(b"")

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def elsewhere() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


def locals_of(trace: TracebackType | None) -> str:
    """What a crash report would print of our own frames. A test's own frames hold the key, and so they may."""
    frames = [frame for frame, _ in traceback.walk_tb(trace) if frame.f_code.co_filename.startswith(PACKAGE)]
    return "\n".join(f"{name} = {value!r}" for frame in frames for name, value in frame.f_locals.items())


def error_text(error: BaseException) -> str:
    """All that can be read off an error, and off those behind it."""
    parts: list[str] = []
    current: BaseException | None = error
    while current is not None:
        printed = "".join(traceback.format_exception(current))
        parts += [
            str(current),
            repr(current),
            repr(current.args),
            repr(vars(current)),
            printed,
            locals_of(current.__traceback__),
        ]
        parts.append(pickle.dumps(current).decode("latin-1"))
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\n".join(parts)


def store_bytes(folder: Path) -> bytes:
    """Every byte of the answer store."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert files, "no store was written"
    found = b""
    for file in files:
        with suppress(FileNotFoundError):  # what tells other processes of pauses goes with the query
            found += str(file).encode() + file.read_bytes()
    return found


def everything(engine: dict[str, Any], log: pytest.LogCaptureFixture, folder: Path, using: Any = USING) -> str:
    """What a query leaves: its table and usage or its error, the log, the store before and after it is closed."""
    engine = {"cache_dir": str(folder), **engine}
    try:
        out = predict(FRAME, using, engine)
        text = out.to_csv() + repr(out.attrs) + pickle.dumps(out).decode("latin-1")
    except (InputError, InferenceError) as error:
        text = error_text(error)
    text += log.text + "".join(repr(vars(record)) for record in log.records)
    before_close = store_bytes(folder)
    close_stores()
    return text + (before_close + store_bytes(folder)).decode("latin-1")


def leaks(text: str, key: str) -> bool:
    spellings = {key, json.dumps(key)[1:-1], base64.b64encode(key.encode()).decode(), PART}
    return any(spelling in text for spelling in spellings)


def echo(headers: dict[str, str]) -> str:
    return headers.get("authorization", "none was sent")


def page(_: Any, headers: dict[str, str], __: str) -> Reply:
    items = "".join(f"<li>{name}: {value}</li>" for name, value in headers.items())
    return Reply(f"<html><title>403 {echo(headers)}</title>{items}</html>".encode(), 403, {"Content-Type": "text/html"})


REPLIES: dict[str, Callable[[Any, dict[str, str], str], Reply]] = {
    "refused, key in the sentence": lambda _, headers, __: Reply({"error": f"Invalid token {echo(headers)}"}, 401),
    "refused, key in a list of lists": lambda _, headers, __: Reply({"error": [[["bad", echo(headers)]]]}, 400),
    "refused, key under a name that nobody knows": lambda _, headers, __: Reply({"request": dict(headers)}, 400),
    "refused, as text": lambda _, headers, __: Reply(f"bad {echo(headers)}".encode(), 422),
    "refused, the key where the sentence is cut": lambda _, headers, __: Reply({"error": "x" * 480 + " " + echo(headers)}, 400),
    "refused, the key where the text is cut": lambda _, headers, __: Reply(b" " * 19_980 + echo(headers).encode(), 400),
    "refused, key in the URL": lambda _, headers, __: Reply({"error": f"GET https://me:{echo(headers)[7:]}@host/?t={echo(headers)[7:]}"}, 404),
    "a page that shows the headers": page,
    "busy, key in the sentence": lambda _, headers, __: Reply({"error": f"rate limit of {echo(headers)}"}, 429, {"Retry-After": "9999"}),
    "loading, key in the sentence": lambda _, headers, __: Reply({"error": f"Model {echo(headers)} is currently loading"}, 503, {"Retry-After": "9999"}),
    "not paid, key in the sentence": lambda _, headers, __: Reply({"error": f"{echo(headers)} has no credits"}, 402),
    "a header with the key": lambda _, headers, __: Reply({"error": "no"}, 401, {"X-Request-Id": echo(headers), "WWW-Authenticate": echo(headers)}),
    "a redirect to a host with the key in its name": lambda _, headers, __: Reply(b"", 307, {"Location": f"http://{echo(headers)[7:]}.example/"}),
    "a redirect with the key as password": lambda _, headers, __: Reply(b"", 302, {"Location": f"http://me:{echo(headers)[7:]}@elsewhere.example/"}),
    "200 and an error with the key": lambda _, headers, __: Reply({"error": f"bad {echo(headers)}"}),
    "200 and the key as label": lambda _, headers, __: Reply([[{"label": echo(headers), "score": 0.9}]]),
    "200 and the key beside the answer": lambda _, headers, __: Reply([[{"label": "A", "score": 0.9, "debug": echo(headers)}]]),
    "200 and the headers for an answer": lambda _, headers, __: Reply(dict(headers)),
    "200, zipped, with the key": lambda _, headers, __: Reply(gzip.compress(json.dumps([[{"label": echo(headers), "score": 0.9}]]).encode()), 200, {"Content-Encoding": "gzip"}),
    "200 and a header with the key": lambda body, headers, __: Reply([[{"label": "A", "score": 0.9}]] * (len(body["inputs"]) if isinstance(body["inputs"], list) else 1), 200, {"x-request-id": echo(headers), "x-sha": echo(headers), "RateLimit": echo(headers)}),
    "200 and no JSON": lambda _, headers, __: Reply(f"ok {echo(headers)}".encode()),
}  # fmt: skip


@pytest.mark.parametrize("reply", REPLIES)
def test_a_server_that_repeats_the_key_gets_it_nowhere(
    service: Service, log: pytest.LogCaptureFixture, tmp_path: Path, reply: str, key: str
) -> None:
    service.answer = REPLIES[reply]
    text = everything({"endpoint": service.url, "api_key": key}, log, tmp_path / "store")
    assert any(key in each.get("authorization", "") for each in service.headers), "the key was to be sent"
    assert not leaks(text, key)


def test_an_answer_that_repeats_the_key_is_refused_and_not_stored(service: Service, tmp_path: Path) -> None:
    def answer(body: Any, headers: dict[str, str], _: str) -> Any:
        texts = body["inputs"] if isinstance(body["inputs"], list) else [body["inputs"]]
        return [[{"label": echo(headers) if text == "row 7" else "A", "score": 0.9}] for text in texts]

    service.answer = answer
    engine = {"endpoint": service.url, "api_key": KEY, "cache_dir": str(tmp_path)}
    out = predict(FRAME, USING, engine)
    assert list(out["y"].isna()) == [text == "row 7" for text in FRAME["text"]]
    assert "repeats the key" in out["y_error"][7]
    service.asked.clear()
    predict(FRAME, USING, engine)
    assert {str(body["inputs"]) for body in service.asked} == {"row 7"}


def test_a_key_as_short_as_a_word_spoils_no_answer(service: Service) -> None:
    with pytest.raises(InputError, match="api_key: is too short for a key"):
        predict(FRAME, USING, {"endpoint": service.url, "api_key": "test"})
    assert service.asked == []


# --- no response at all, and a redirect to elsewhere -----------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("statement", ["predict", "CREATE ML_ENGINE", "DESCRIBE model"])
def test_no_key_goes_along_a_redirect(
    service: Service, elsewhere: Listener, log: pytest.LogCaptureFixture, tmp_path: Path, status: int, statement: str
) -> None:
    to = f"http://127.0.0.1:{elsewhere.port}/here?token=x"
    service.answer = lambda *_: Reply(b"", status, {"Location": to, "Refresh": f"0; url={to}"})
    arguments = {"endpoint": service.url, "api_key": KEY}
    engine, text = engine_settings(arguments), ""
    if statement == "predict":
        text = everything(arguments, log, tmp_path)
        assert "redirect" in text and "Give the final address" in text
    elif statement == "CREATE ML_ENGINE":
        text = preflight.check_engine(engine, default_session().http)
    else:
        text = str(preflight.describe_model(engine, model_settings(USING, engine), default_session().http))
    assert service.headers or service.fetched
    assert elsewhere.received == []
    assert not leaks(text + log.text, KEY)


def test_a_model_elsewhere_gets_no_key_of_the_engine(
    service: Service, log: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    service.answer = lambda *_: Reply({"error": "no"}, 401)
    using = {**USING, "endpoint": f"{service.url}/elsewhere"}
    for number, own in enumerate([{"endpoint": "http://127.0.0.1:9"}, {}]):
        engine = {**own, "api_key": KEY, "allow_private_endpoints": True}
        text = everything(engine, log, tmp_path / str(number), using)
        assert "This server wants a key, and none was sent" in text
        assert not leaks(text, KEY)
    assert len(service.headers) == 2
    assert not leaks(str(service.headers), KEY)


def test_nor_does_one_that_the_models_own_endpoint_redirects_to(
    service: Service, elsewhere: Listener, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    service.answer = lambda *_: Reply(b"", 307, {"Location": f"http://127.0.0.1:{elsewhere.port}/"})
    using = {**USING, "endpoint": service.url}
    everything({"endpoint": f"http://127.0.0.1:{elsewhere.port}", "api_key": KEY}, log, tmp_path, using)
    assert service.headers
    assert not leaks(str(service.headers), KEY)
    assert elsewhere.received == []


def test_plain_http_to_elsewhere_is_refused_before_anything_is_sent(log: pytest.LogCaptureFixture) -> None:
    with pytest.raises(InputError, match="https") as refused:
        predict(FRAME, USING, {"endpoint": "http://192.0.2.1", "api_key": KEY})
    assert not leaks(error_text(refused.value) + log.text, KEY)


def test_a_host_that_cannot_be_reached_and_one_that_hangs_up(
    elsewhere: Listener, log: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    text = everything({"endpoint": f"http://127.0.0.1:{port}", "api_key": KEY}, log, tmp_path / "a")
    assert "cannot reach" in text
    monkeypatch.setattr(RetryPolicy, "_backoff_s", lambda policy, attempt: 0.001 * 2.0 ** (attempt - 1))
    text += everything(
        {"endpoint": f"http://127.0.0.1:{elsewhere.port}", "api_key": KEY, "timeout": 2}, log, tmp_path / "b"
    )
    assert any(KEY.encode() in received for received in elsewhere.received), "the key was to be sent"
    assert not leaks(text, KEY)


def test_a_server_that_never_answers(
    log: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RetryPolicy, "_backoff_s", lambda policy, attempt: 0.001 * 2.0 ** (attempt - 1))
    monkeypatch.setattr("huggingface_api_handler.inference.protocols.discovery.QUESTION_TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        engine = {"endpoint": f"http://127.0.0.1:{silent.getsockname()[1]}", "api_key": KEY, "timeout": 0.05}
        text = everything(engine, log, tmp_path, {**USING, "max_requests": 3})
    assert "no answer in time" in text or "did not answer" in text or "max_requests" in text
    assert not leaks(text, KEY)


def test_a_certificate_that_nobody_vouches_for(log: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    received: list[bytes] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                plain = server.accept()[0]
            except OSError:
                return
            with plain:
                try:
                    received.append(context.wrap_socket(plain, server_side=True).recv(65536))
                except OSError:
                    received.append(b"")

    threading.Thread(target=serve, daemon=True).start()
    try:
        engine = {"endpoint": f"https://127.0.0.1:{server.getsockname()[1]}", "api_key": KEY}
        text = everything(engine, log, tmp_path)
    finally:
        server.close()
    assert received and not any(received), "nothing may be said to a host whose name is not proven"
    assert "certificate" in text.lower()
    assert not leaks(text, KEY)


# --- exceptions of HTTP libraries, which hold URLs and headers -------------------------------------------------------

LEAKY_URL = f"https://me:{KEY}@host.example/v1?token={KEY}"
LEAKY_HEADERS = {"Authorization": f"Bearer {KEY}"}


class RequestsError(OSError):
    """As those of requests: the request, with its headers, hangs on it."""

    def __init__(self) -> None:
        super().__init__(f"HTTPSConnectionPool: Max retries exceeded with url: {LEAKY_URL} (headers {LEAKY_HEADERS})")
        self.request = httpx.Request("POST", LEAKY_URL, headers=LEAKY_HEADERS)


def aiohttp_error() -> Exception:
    headers = CIMultiDictProxy(CIMultiDict(LEAKY_HEADERS))
    info = aiohttp.RequestInfo(URL(LEAKY_URL), "POST", headers, URL(LEAKY_URL))
    return aiohttp.ClientResponseError(info, (), status=500, message=str(LEAKY_HEADERS), headers=CIMultiDict(LEAKY_HEADERS))  # fmt: skip


def httpx_error() -> Exception:
    request = httpx.Request("POST", LEAKY_URL, headers=LEAKY_HEADERS)
    response = httpx.Response(500, request=request, headers=LEAKY_HEADERS, text=str(LEAKY_HEADERS))
    return httpx.HTTPStatusError(f"500 for {LEAKY_URL} {LEAKY_HEADERS}", request=request, response=response)


def chained() -> Exception:
    try:
        try:
            raise RequestsError
        except RequestsError as error:
            raise aiohttp_error() from error
    except aiohttp.ClientResponseError as error:
        return error


LEAKY: dict[str, Callable[[], Exception]] = {
    "aiohttp": aiohttp_error,
    "aiohttp, a payload": lambda: aiohttp.ClientPayloadError(f"{LEAKY_URL} {LEAKY_HEADERS}"),
    "aiohttp, a wrong URL": lambda: aiohttp.InvalidURL(LEAKY_URL, str(LEAKY_HEADERS)),
    "httpx": httpx_error,
    "httpx, no connection": lambda: httpx.ConnectError(f"{LEAKY_URL} {LEAKY_HEADERS}"),
    "requests": RequestsError,
    "one behind another": chained,
    "a defect": lambda: RuntimeError(LEAKY_URL, LEAKY_HEADERS),
    "Unicode": lambda: UnicodeEncodeError("ascii", f"Bearer {KEY}", 0, 1, KEY),
}


@pytest.mark.parametrize("leaky", LEAKY)
def test_an_exception_of_an_http_library_is_told_by_its_class(
    log: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leaky: str
) -> None:
    async def post(*_: Any) -> client.Response:
        raise LEAKY[leaky]()

    monkeypatch.setattr(default_session().http, "post", post)
    monkeypatch.setattr(RetryPolicy, "_backoff_s", lambda policy, attempt: 0.001 * 2.0 ** (attempt - 1))
    engine = {"endpoint": "http://127.0.0.1:9", "api_key": KEY}
    text = everything(engine, log, tmp_path, {**USING, "max_requests": 7})
    assert not leaks(text, KEY)
    assert "me:" not in text


@pytest.mark.parametrize("leaky", LEAKY)
def test_so_are_those_met_at_create_and_describe(
    log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, leaky: str
) -> None:
    async def get(*_: Any) -> client.Response:
        raise LEAKY[leaky]()

    def model_info(*_: Any, **__: Any) -> Any:
        raise LEAKY[leaky]()

    monkeypatch.setattr(default_session().http, "get", get)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", model_info)
    engine = engine_settings({"endpoint": "http://127.0.0.1:9", "api_key": KEY})
    messages = [
        preflight.check_engine(engine, default_session().http),
        preflight.check_engine(engine_settings({"api_key": KEY}), default_session().http),
    ]
    messages.append(str(preflight.describe_model(engine, model_settings(USING, engine), default_session().http)))
    with pytest.raises(InputError) as unknown:
        preflight.task_of("m", engine)
    messages.append(error_text(unknown.value))
    assert not leaks("".join(messages) + log.text, KEY)


@pytest.mark.parametrize("leaky", LEAKY)
@pytest.mark.parametrize("step", ["model_info", "_prepare_mapping_info", "get_response"])
def test_so_are_those_of_a_providers_helper(
    log: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leaky: str, step: str
) -> None:
    from huggingface_hub.hf_api import InferenceProviderMapping

    helper = type(get_provider_helper("fal-ai", "text-to-image", "m"))

    def broken(*_: Any, **__: Any) -> Any:
        raise LEAKY[leaky]()

    async def post(*_: Any) -> client.Response:
        return client.Response(200, CIMultiDict({"content-type": "application/json"}), b'{"images": []}')

    mapping = InferenceProviderMapping(provider="fal-ai", hf_model_id="m", providerId="fal-ai/m", status="live", task="text-to-image")  # fmt: skip
    if step == "model_info":
        monkeypatch.setattr(hub_providers, step, broken)
    else:
        monkeypatch.setattr(helper, "_prepare_mapping_info", lambda *_: mapping)
        monkeypatch.setattr(helper, step, broken)
    monkeypatch.setattr(default_session().http, "post", post)
    monkeypatch.setattr(RetryPolicy, "_backoff_s", lambda policy, attempt: 0.001 * 2.0 ** (attempt - 1))
    using = {"task": "text-to-image", "column": "text", "target": "y", "model": "m", "provider": "fal-ai", "max_requests": 7}  # fmt: skip
    text = everything({"api_key": KEY}, log, tmp_path, using) if step == "get_response" else ""
    if step != "get_response":
        with pytest.raises(HuggingFaceAPIError) as refused:
            predict(FRAME, using, {"api_key": KEY, "cache_dir": str(tmp_path)})
        text = error_text(refused.value) + log.text
    assert not leaks(text, KEY)


# --- what describes itself ---------------------------------------------------------------------------------------------


def test_describe_shows_what_a_server_says_without_the_key(service: Service) -> None:
    settings = engine_settings({"endpoint": service.url, "api_key": KEY})
    service.answer = lambda _, headers, __: {"model_id": "m", "saw": dict(headers), "as": echo(headers)}
    described = preflight.describe_model(settings, model_settings(USING, settings), default_session().http)
    assert described["model_id"] == "m" and described["key sent"] is True
    assert not leaks(str(described), KEY)


def test_nothing_of_ours_prints_a_key() -> None:
    engine = engine_settings({"endpoint": "http://127.0.0.1:9", "api_key": KEY})
    model = model_settings(USING, engine)
    route = resolve_route(engine, model)
    assert KEY in route.headers["authorization"]
    helper = get_provider_helper("fal-ai", "text-to-image", "m")
    api_key = resolve_api_key(engine)
    assert api_key is not None
    provider = hub_providers.HubProvider("fal-ai", "m", helper, api_key, dict(route.headers))
    things = [
        engine, model, route, dataclasses.replace(route, protocol=provider), provider, api_key,
        Body(KEY.encode()), Usage("t", "m", route.host), Query(model, engine, route, Usage("t", "m", route.host), default_session(), Scope("s")),
        EngineSettings.model_validate({"api_key": KEY}), engine.model_dump(mode="json"), engine.model_dump_json(), engine.model_copy(),
    ]  # fmt: skip
    for thing in things:
        for text in (repr(thing), str(thing), f"{thing}"):
            assert not leaks(text, KEY), type(thing)
    for harmless in (model, Usage("t", "m", route.host), Failure(FailureKind.FATAL, f"bad {KEY}"), InputError(KEY)):
        assert not leaks(pickle.dumps(harmless).decode("latin-1"), KEY)


@pytest.mark.parametrize("error", [InputError, InferenceError, MediaError, UnreadableAnswer])
def test_no_error_of_ours_carries_a_key_whoever_words_it(error: type[Exception], key: str) -> None:
    escaped = "".join(f"\\u{ord(sign):04X}" for sign in key)
    texts = (key, f"Bearer {key}", json.dumps({"h": key}), f"https://u:{key}@h/", repr({"authorization": key}), escaped)
    for text in (*texts, json.dumps(json.dumps({"h": key}).replace("/", "\\/"))):
        with redaction.secret_in_use(redaction.Secret(key)):
            raised = error(f"it said {text}")
            said = preview(text) + Failure(FailureKind.INPUT_REJECTED, text).reason
        assert str(raised).startswith("it said ")
        assert not leaks(error_text(raised) + said, key)
        assert escaped not in error_text(raised)


def test_what_looks_like_a_key_is_masked_though_nobody_gave_it() -> None:
    body = json.dumps({"error": f"token {KEY} of https://me:pass-word@host/ is bad"}).encode()
    message = classify(400, CIMultiDict(), body).message
    assert message == "token ... of https://...@host/ is bad"
    assert classify_exception(RuntimeError(KEY), host="h").message == "the connection to h broke (RuntimeError)"


@pytest.mark.parametrize(
    "name", ["hf_sentiment_classifier", "hf_classification", "hf_api_engine", "xhf_Abcdefghijk1", "//host/a@b"]
)
def test_names_that_only_begin_like_a_key_stay_readable(name: str) -> None:
    assert redaction.redact(name) == name
    assert name in preview(name)


CRASH = f"""
import faulthandler, os, signal, sys, threading, time
import pandas as pd
from huggingface_api_handler.inference import predict
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job ignores
faulthandler.enable()
faulthandler.register(signal.SIGUSR1, all_threads=True)
def crash():
    os.kill(os.getpid(), signal.SIGUSR1)
    time.sleep(0.5)  # one trace is not begun while another is written
    os.kill(os.getpid(), int(sys.argv[2]))
threading.Timer(0.5, crash).start()
predict(pd.DataFrame({{"text": ["a"] * 3}}), {USING!r}, {{"endpoint": sys.argv[1], "api_key_env": "HF_LEAKY", "cache": False}})
"""


@pytest.mark.skipif(not hasattr(faulthandler, "register"), reason="POSIX signals")
@pytest.mark.parametrize("end", [signal.SIGABRT, signal.SIGSEGV, signal.SIGINT])
def test_a_crash_prints_no_key(end: signal.Signals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_LEAKY": KEY, "PYTHONASYNCIODEBUG": "1", "PYTHONDEVMODE": "1"}  # fmt: skip
        command = [sys.executable, "-c", CRASH, url, str(int(end))]
        done = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60)
    output = (done.stdout + done.stderr).decode("utf-8", "replace")
    assert done.returncode != 0
    assert "thread" in output.lower() and "predict" in output
    assert not leaks(output, KEY)
