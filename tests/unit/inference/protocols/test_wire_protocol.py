"""A new kind of server is one protocol and one line; a new task that reads a text is one value."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pandas as pd
import pytest
from multidict import CIMultiDict

from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.errors import UnreadableAnswer
from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.echoes import ServerError
from huggingface_api_handler.inference.failures import Failure
from huggingface_api_handler.inference.flow_control.batching import can_batch
from huggingface_api_handler.inference.flow_control.route_profile import RouteProfile
from huggingface_api_handler.inference.pricing.reported_usage import ReportedUsage
from huggingface_api_handler.inference.protocols import discovery, servers
from huggingface_api_handler.inference.protocols.base import (
    Batching,
    Body,
    Decoded,
    WireProtocol,
)
from huggingface_api_handler.inference.protocols.discovery import DetectedServers
from huggingface_api_handler.inference.protocols.hf_inference import HF_INFERENCE
from huggingface_api_handler.inference.protocols.routing import Route, resolve_route
from huggingface_api_handler.inference.protocols.servers import KINDS, ServerKind
from huggingface_api_handler.inference.protocols.tei import Tei
from huggingface_api_handler.inference.runtime.context import Query
from huggingface_api_handler.inference.runtime.session import default_session
from huggingface_api_handler.inference.telemetry.usage import Usage
from huggingface_api_handler.inference.transport.client import Response
from huggingface_api_handler.tasks import TASKS, Input, Prediction, Settings, Task
from tests.conftest import Reply, Service

PROTOCOLS: list[WireProtocol] = list({each.name: each for kind in KINDS for each in kind.protocols}.values())


class Vectors:
    """Speaks much as OpenAI's embeddings, with a header and words for errors of its own."""

    name = "openai-embeddings"
    max_batch_size = 4
    blocks = False

    def supports(self, task: Task) -> bool:
        return task.name == "feature-extraction"

    def url(self, base: str, model: str, task: Task) -> str:
        return base

    def headers(self, task: Task) -> Mapping[str, str]:
        return {"x-vectors": "yes"}

    def batching(self, task: Task) -> Batching:
        return Batching.NATIVE

    def encode(self, task: Task, inputs: Sequence[Input], settings: Settings) -> Body:
        return Body(orjson.dumps({"model": settings.model, "input": list(inputs)}))

    def decode(self, task: Task, response: Response, count: int) -> Decoded:
        answer = orjson.loads(response.body)
        usage = ReportedUsage(tokens=answer["usage"]["total_tokens"])
        parts = [item["embedding"] for item in sorted(answer["data"], key=lambda item: item["index"])]
        if len(parts) != count:
            return Decoded([], usage, UnreadableAnswer(f"{count} inputs were answered with {len(parts)} vectors"))
        return Decoded(parts, usage)

    def fallback(self, task: Task, settings: Settings, failure: Failure, *, is_first: bool) -> None:
        return None

    def error(self, response: Response) -> ServerError | None:
        return None if response.status == 200 else ServerError(orjson.loads(response.body)["oops"])


@pytest.fixture
def vectors(service: Service, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(servers, "KINDS", (*KINDS, ServerKind("vectors", (Vectors(),), operations=("/v1/vectors",))))
    monkeypatch.setattr(servers, "OPERATIONS", ["/v1/vectors", *servers.OPERATIONS])
    return {"endpoint": f"{service.url}/v1/vectors"}


FRAME = pd.DataFrame({"t": [f"text {number}" for number in range(10)]})
USING = {"task": "feature-extraction", "column": "t", "target": "y", "model": "m"}


def vectors_of(asked: Any) -> Any:
    data = [{"index": at, "embedding": [float(text.split()[1]), 1.0]} for at, text in enumerate(asked["input"])]
    return {"data": data[::-1], "usage": {"total_tokens": 3 * len(data)}}


def test_a_new_kind_of_server_is_one_protocol_and_one_line(service: Service, vectors: dict[str, Any]) -> None:
    service.answer = lambda asked, *_: vectors_of(asked)
    out = predict(FRAME, USING, vectors)
    assert [vector[0] for vector in out["y"]] == [float(number) for number in range(10)]
    assert max(len(asked["input"]) for asked in service.asked) == 4
    assert out.attrs["usage"]["tokens"] == 30
    assert service.headers[0]["x-vectors"] == "yes"
    assert service.fetched == []  # nothing else could be there


def test_the_endpoint_of_one_protocol_leaves_other_tasks_to_the_others(
    service: Service, vectors: dict[str, Any]
) -> None:
    service.answer = lambda *_: [{"label": "A", "score": 0.9}]
    out = predict(FRAME.head(1), {**USING, "task": "text-classification"}, vectors)
    assert list(out["y"]) == ["A"]
    assert service.asked == [{"inputs": "text 0"}]


def test_the_words_of_a_new_protocol_are_the_rows_error(service: Service, vectors: dict[str, Any]) -> None:
    service.answer = lambda asked, *_: (
        Reply({"oops": "too warm"}, 400) if "text 3" in asked["input"] else vectors_of(asked)
    )
    out = predict(FRAME, USING, vectors)
    assert out["y"].notna().sum() == 9
    assert out["y_error"][3] == "rejected input 400: too warm"


def test_tokens_count_even_where_no_part_can_be_told_from_another(service: Service, vectors: dict[str, Any]) -> None:
    service.answer = lambda asked, *_: {**vectors_of(asked), "data": []}
    out = predict(FRAME.head(2), {**USING, "on_error": "null"}, vectors)
    assert out["y"].isna().all()
    assert out.attrs["usage"]["tokens"] > 0


@pytest.mark.parametrize("protocol", [HF_INFERENCE, Tei(8)], ids=lambda protocol: protocol.name)
def test_the_usage_of_an_unreadable_answer_is_kept(protocol: WireProtocol) -> None:
    response = Response(200, CIMultiDict({"x-compute-tokens": "31"}), b"[[0.5]]")
    decoded = protocol.decode(TASKS["feature-extraction"], response, 2)
    assert str(decoded.unreadable) == "2 inputs were answered with 1 parts"
    assert (decoded.parts, decoded.usage) == ([], ReportedUsage(tokens=31))


def test_a_task_that_reads_a_text_needs_no_entry_of_its_form() -> None:
    def read(part: Any, _item: Input, _settings: Settings) -> Prediction:
        return Prediction(part["text"])

    task = Task(name="text-reversal", description="Turns a text around", read=read)
    settings = model_settings({"task": "text-classification", "column": "t", "target": "y", "top_k": 2})
    assert HF_INFERENCE.supports(task)
    assert HF_INFERENCE.batching(task) is Batching.NEVER
    assert HF_INFERENCE.url("http://h/models", "a/b", task) == "http://h/models/a/b"
    assert json.loads(HF_INFERENCE.encode(task, ["abc"], settings).data) == {
        "inputs": "abc",
        "parameters": {"top_k": 2},
    }
    decoded = HF_INFERENCE.decode(task, Response(200, CIMultiDict(), b'{"text": "cba"}'), 1)
    assert [task.read(part, "abc", settings).value for part in decoded.parts] == ["cba"]


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_every_protocol_keeps_to_what_it_says_of_every_task(protocol: WireProtocol, task: Task) -> None:
    if not protocol.supports(task):
        return
    assert protocol.url("http://h", "a/b", task).startswith("http://h")
    assert isinstance(protocol.batching(task), Batching)
    assert not {name for name in protocol.headers(task) if name != name.lower()}
    with pytest.raises(ValueError):
        protocol.decode(task, Response(200, CIMultiDict(), b'{"cut": "of'), 1)
    for body in (b"", b"[", b"null", b'{"error": "x"}', b'{"detail": []}', b"<html>"):
        assert protocol.error(Response(500, CIMultiDict(), body)) is not None
    assert protocol.error(Response(200, CIMultiDict(), b'[{"error": "x"}]')) is not None
    assert protocol.error(Response(200, CIMultiDict(), b'[{"label": "error"}]')) is None


def test_a_route_that_showed_otherwise_gets_no_batches_whatever_its_protocol_carries() -> None:
    shown = {accepts: RouteProfile(accepts_batches=accepts) for accepts in (None, True, False)}
    assert [can_batch(Batching.NATIVE, shown[accepts]) for accepts in (None, True, False)] == [True, True, False]
    assert [can_batch(Batching.PROBE, shown[accepts]) for accepts in (None, True, False)] == [False, True, False]
    assert [can_batch(Batching.NEVER, shown[accepts]) for accepts in (None, True, False)] == [False, False, False]


def route_of(endpoint: str, task: str) -> Route:
    engine = engine_settings({"endpoint": endpoint})
    return resolve_route(engine, model_settings({"task": task, "model": "m", "column": "t"}, engine))


def test_what_was_recognised_for_one_task_serves_no_other_than_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    found = DetectedServers()
    found.restore({"tei": {"url": "http://h", "largest_batch": 8}}, engine_settings({}))
    embedding, classifying = (route_of("http://h", task) for task in ("feature-extraction", "token-classification"))
    assert found.route_to(embedding, TASKS["feature-extraction"]).url == "http://h/embed"
    assert found.route_to(classifying, TASKS["token-classification"]) is classifying
    many = route_of("http://h/models", "feature-extraction")
    assert found.route_to(many, TASKS["feature-extraction"]) is many


def test_what_is_stored_of_a_server_stays_as_it_was(service: Service) -> None:
    service.info = {"model_id": "m", "model_type": {"embedding": {}}, "max_client_batch_size": 7}
    engine = engine_settings({"endpoint": service.url})
    assert discovery.discover(engine, model_settings(USING, engine), default_session().http) == {
        "tei": {"url": service.url, "largest_batch": 7}
    }


@pytest.mark.parametrize(
    ("engine", "account"),
    [
        ({"api_key": "hf_OwnerOfAnswers"}, "Bearer hf_OwnerOfAnswers"),
        ({"api_key": "hf_OwnerOfAnswers", "endpoint": "https://mine.example"}, "Bearer hf_OwnerOfAnswers"),
        ({"api_key": "hf_OwnerOfAnswers", "provider": "auto"}, "Bearer hf_OwnerOfAnswers"),
        ({"api_key": "sk-OwnerOfAnswers", "provider": "openai"}, "sk-OwnerOfAnswers"),
        ({"endpoint": "http://127.0.0.1:1"}, ""),
    ],
)
def test_stored_answers_are_found_by_the_account_as_since_the_first_release(
    engine: dict[str, Any], account: str
) -> None:
    settings = engine_settings(engine)
    model = model_settings({"task": "chat", "column": "t", "target": "y", "model": "m"}, settings)
    route = resolve_route(settings, model)
    assert Query(model, settings, route, Usage("", "", ""), default_session())._owner() == (
        f"{settings.endpoint} {hashlib.sha256(account.encode()).hexdigest()}"
    )
    assert not account or account not in repr(route)
    assert route.account == account
