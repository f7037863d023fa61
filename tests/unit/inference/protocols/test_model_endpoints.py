"""A model's own endpoint: judged by the address that is connected to, as a cell's URL is.

Names are looked up by a name server of the test's, and a listener on loopback counts what reaches it.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.errors import InferenceError, InputError
from huggingface_api_handler.inference import Session, predict, public_addresses
from huggingface_api_handler.inference.protocols import discovery, preflight
from huggingface_api_handler.inference.transport import client
from tests.conftest import Reply, Service

FRAME = pd.DataFrame({"text": ["a", "b"]})
USING = {"task": "text-classification", "column": "text", "target": "y", "model": "m"}
NO_CACHE = {"cache": False}
CREDENTIALS = {"Code": "Success", "AccessKeyId": "ASIAX", "SecretAccessKey": "s3cr3t", "Token": "t0ken"}


def scores(body: Any, *_: Any) -> Any:
    texts = body["inputs"] if isinstance(body["inputs"], list) else [body["inputs"]]
    return [[{"label": "A", "score": 0.9}] for _ in texts]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """The name server: for each name its addresses, one look-up after another, the last of them for ever."""
    answers: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def lookup(host: Any, port: Any, *arguments: Any, **named: Any) -> Any:
        if host not in answers:
            return real(host, port, *arguments, **named)
        address = answers[host].pop(0) if len(answers[host]) > 1 else answers[host][0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return answers


@pytest.fixture
def session() -> Any:
    with Session() as opened:
        yield opened


def all_that_asks(using: dict[str, Any], engine: dict[str, Any], session: Session) -> list[str]:
    """What CREATE MODEL, SELECT and DESCRIBE say."""
    checked = engine_settings(engine)
    said = []
    acts: list[Callable[[], object]] = [
        lambda: discovery.discover(checked, model_settings(using, checked), session.http),
        lambda: predict(FRAME, using, engine, session=session),
        lambda: preflight.describe_model(checked, model_settings(using, checked), session.http),
    ]
    for act in acts:
        try:
            said.append(str(act()))
        except (InputError, InferenceError) as error:
            said.append(str(error))
    return said


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254"])
def test_a_name_that_leads_inwards_is_refused_before_anything_is_sent(
    service: Service, names: dict[str, list[str]], session: Session, address: str
) -> None:
    names["inward.example"] = [address]
    using = {**USING, "endpoint": f"http://inward.example:{service.port}/latest/meta-data"}
    for said in all_that_asks(using, NO_CACHE, session):
        assert "inward.example leads to no public address" in said
        assert "allow_private_endpoints = true" in said
    assert service.asked == service.fetched == []


def test_a_name_that_leads_inwards_only_the_second_time_gains_nothing(
    service: Service, names: dict[str, list[str]], session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    names["rebinding.example"] = ["127.0.0.9", "127.0.0.1"]
    real = public_addresses.non_public_reason
    monkeypatch.setattr(public_addresses, "non_public_reason", lambda a: None if a == "127.0.0.9" else real(a))
    using = {**USING, "endpoint": f"http://rebinding.example:{service.port}/x"}
    with pytest.raises(InferenceError, match=r"cannot reach|no public address"):
        predict(FRAME, using, {**NO_CACHE, "max_wait": 0.1}, session=session)
    assert service.asked == service.fetched == [], "the second address was judged too, and not connected to"


def test_the_file_that_an_answer_names_is_fetched_from_public_addresses_too(
    service: Service, names: dict[str, list[str]], session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    names["public.example"] = ["127.0.0.1"]
    monkeypatch.setattr(public_addresses, "non_public_reason", lambda address: None)
    real, got = session.http.get, []

    def get(url: str, headers: Any, timeout: float, **how: Any) -> Any:
        got.append((url, how["public_only"]))
        return real(url, headers, timeout, **how)

    monkeypatch.setattr(session.http, "get", get)
    base = f"http://public.example:{service.port}"
    service.answer = lambda *_: {"data": [{"url": f"{base}/x.png"}]}
    using = {**USING, "task": "text-to-image", "model": "m", "endpoint": f"{base}/v1/images/generations"}
    predict(FRAME.head(1), {**using, "on_error": "null"}, NO_CACHE, session=session)
    assert got[-1] == (f"{base}/x.png", True)


def test_a_public_address_is_asked_and_its_words_are_shown(
    service: Service, names: dict[str, list[str]], session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    names["public.example"] = ["127.0.0.1"]
    monkeypatch.setattr(public_addresses, "non_public_reason", lambda address: None)
    using = {**USING, "endpoint": f"http://public.example:{service.port}/x"}
    service.answer = scores
    assert list(predict(FRAME, using, NO_CACHE, session=session)["y"]) == ["A", "A"]
    service.answer = lambda *_: Reply({"error": "the model is asleep"}, 404)
    with pytest.raises(InferenceError, match="the model is asleep"):
        predict(pd.DataFrame({"text": ["c"]}), using, NO_CACHE, session=session)


def test_no_proxy_looks_a_judged_name_up_again(
    service: Service, names: dict[str, list[str]], session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    names["inward.example"] = ["10.1.2.3"]
    monkeypatch.setenv("http_proxy", service.url)
    client.proxy_url.cache_clear()
    using = {**USING, "endpoint": "http://inward.example/x"}
    assert all("no public address" in said for said in all_that_asks(using, NO_CACHE, session))
    assert service.asked == service.fetched == []
    client.proxy_url.cache_clear()


def test_where_only_a_proxy_leads_out_it_is_said_what_to_do(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    client.proxy_url.cache_clear()
    using = {**USING, "endpoint": "http://no-such-host.invalid/x"}
    with pytest.raises(InferenceError, match="asked without the proxy of this machine"):
        predict(FRAME, using, {**NO_CACHE, "max_attempts": 1}, session=session)
    client.proxy_url.cache_clear()


def test_an_engine_may_allow_private_endpoints(service: Service, names: dict[str, list[str]], session: Session) -> None:
    names["tei.company.example"] = ["127.0.0.1"]
    service.answer = scores
    engine = {**NO_CACHE, "allow_private_endpoints": True}
    for host in ("127.0.0.1", "tei.company.example"):
        using = {**USING, "endpoint": f"http://{host}:{service.port}"}
        assert list(predict(FRAME, using, engine, session=session)["y"]) == ["A", "A"]


def test_the_engines_own_endpoint_may_be_at_a_private_address(
    service: Service, names: dict[str, list[str]], session: Session
) -> None:
    """TEI or vLLM on the company's network, and MindsDB in Docker with the host's name."""
    service.answer = scores
    for host in ("tei.company.example", "host.docker.internal", "127.0.0.1"):
        names[host] = ["127.0.0.1"]
        engine = {**NO_CACHE, "endpoint": f"http://{host}:{service.port}"}
        for using in (USING, {**USING, "endpoint": f"http://{host}:{service.port}/other"}):
            assert list(predict(FRAME, using, engine, session=session)["y"]) == ["A", "A"]
        assert "server" not in preflight.describe_model(
            engine_settings(engine), model_settings(USING, engine_settings(engine)), session.http
        )


def test_from_python_without_an_engine_the_endpoint_is_the_callers_own(service: Service, session: Session) -> None:
    service.answer = scores
    out = predict(FRAME, {**USING, "endpoint": service.url, "cache": False}, session=session)
    assert list(out["y"]) == ["A", "A"]
    with pytest.raises(InputError, match="allow_private_endpoints"):
        predict(FRAME, {**USING, "endpoint": service.url}, {"api_key": "hf_x"}, session=session)


def test_describe_shows_a_few_short_fields_and_nothing_else_of_an_answer(service: Service, session: Session) -> None:
    key = "hf_DescribedToNobody00"
    answer = {
        **CREDENTIALS,
        "id": "o/m",
        "model_id": "x" * 5000,
        "sha": {"deep": "s3cr3t"},
        "tags": ["a", ["s3cr3t"], *("t" * 999 for _ in range(99))],
        "library_name": json.loads('"\\u0068f_DescribedToNobody00"'),
        "max_input_length": 512,
        "private": False,
    }
    service.answer = lambda *_: answer
    engine = engine_settings({"endpoint": service.url, "api_key": key})
    described = preflight.describe_model(engine, model_settings(USING, engine), session.http)
    assert set(described) == {
        "model", "address", "key sent", "id", "model_id", "tags", "library_name", "max_input_length", "private",
    }  # fmt: skip
    assert len(json.dumps(described)) < 6000
    assert described["max_input_length"] == 512
    assert "s3cr3t" not in str(described) and "ASIAX" not in str(described)
    assert key not in str(described)


def test_describe_asks_nothing_above_the_engines_path_with_its_key(service: Service, session: Session) -> None:
    seen: list[tuple[str, str]] = []

    def answer(_: Any, headers: dict[str, str], path: str) -> Any:
        seen.append((path, headers.get("authorization", "")))
        return {}

    service.answer = answer
    engine = engine_settings({"endpoint": f"{service.url}/team-a/pipeline/x", "api_key": "hf_mine"})
    preflight.describe_model(engine, model_settings(USING, engine), session.http)
    assert seen == [("/team-a", "")]
