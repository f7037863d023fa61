"""Spans of queries and requests, as an exporter gets them."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from typing import Any

import pandas as pd
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from huggingface_api_handler import InferenceError, predict
from huggingface_api_handler.inference.telemetry import opentelemetry
from huggingface_api_handler.inference.telemetry.hooks import Hooks
from huggingface_api_handler.inference.telemetry.opentelemetry import OpenTelemetryHook
from tests.conftest import Reply, Service
from tests.support.hooks import QUERY, Cancelling, no_answer
from tests.unit.inference.runtime.test_executor import TEXTS, Run
from tests.unit.inference.telemetry.test_hooks import SERVICES, USING

KEY = "hf_SecretOfTheSpans0123456789"


class Traced:
    """A provider of its own, and the spans that it got."""

    def __init__(self) -> None:
        self.provider = TracerProvider(shutdown_on_exit=False)
        self._exporter = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.hook = OpenTelemetryHook(self.provider)

    @property
    def requests(self) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.kind is SpanKind.CLIENT]

    @property
    def others(self) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.kind is not SpanKind.CLIENT]


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_a_query_is_a_child_of_the_callers_span_and_its_requests_are_its_children(service: Service) -> None:
    replies = iter([Reply({"error": "x"}, 500), Reply({"error": "x"}, 429, {"Retry-After": "0.01"})])
    service.answer = lambda *_: next(replies, [{"label": "POS", "score": 0.5}])
    traced = Traced()
    using = {**USING, "model": "some/model"}
    engine = {"endpoint": service.url, "api_key": KEY}
    with traced.provider.get_tracer("test").start_as_current_span("mine") as mine:
        out = predict(pd.DataFrame({"text": ["a private text", "b", None]}), using, engine, hooks=[traced.hook])
    query = next(span for span in traced.others if span.name != "mine")
    assert query.name == "text-classification some/model" and query.status.status_code is StatusCode.UNSET
    assert query.parent is not None and query.parent.span_id == mine.get_span_context().span_id
    assert query.context is not None
    assert {span.parent.span_id if span.parent else None for span in traced.requests} == {query.context.span_id}
    assert len(traced.requests) == out.attrs["usage"]["requests"] == 4

    found = attributes(query)
    assert found["gen_ai.operation.name"] == "text-classification" and found["gen_ai.request.model"] == "some/model"
    assert (found["server.address"], found["server.port"]) == ("127.0.0.1", service.port)
    assert (found["huggingface_api.rows"], found["huggingface_api.answered"]) == (3, 2)
    assert [event.name for event in query.events] == ["huggingface_api.retry", "huggingface_api.pause"]

    by_status = {attributes(span)["http.response.status_code"]: span for span in traced.requests}
    assert set(by_status) == {500, 429, 200}
    assert attributes(by_status[429])["error.type"] == "429" and not by_status[429].status.is_ok
    assert attributes(by_status[500])["huggingface_api.failure"] == "temporary failure"
    assert "error.type" not in attributes(by_status[200]) and by_status[200].status.is_ok
    everything = "".join(span.to_json() for span in [*traced.requests, *traced.others])
    assert KEY not in everything and "private" not in everything


@pytest.mark.parametrize("name", SERVICES)
def test_there_is_a_span_for_each_request(name: str) -> None:
    traced = Traced()
    run = Run(SERVICES[name](), TEXTS, hooks=Hooks([traced.hook], QUERY))
    assert len(traced.requests) == run.usage.requests
    assert traced.hook._requests == {} and traced.others == []


def test_a_query_that_raises_ends_its_span_with_the_error(service: Service) -> None:
    service.answer = lambda *_: Reply({"error": "no"}, 401)
    traced = Traced()
    with pytest.raises(InferenceError):
        predict(pd.DataFrame({"text": ["a", "b"]}), USING, {"endpoint": service.url}, hooks=[traced.hook])
    (query,) = traced.others
    assert attributes(query)["error.type"] == "InferenceError" and query.status.status_code is StatusCode.ERROR


def test_no_span_of_a_cancelled_query_stays_open(service: Service) -> None:
    cancel = threading.Event()

    service.answer = no_answer
    traced = Traced()
    hooks = [traced.hook, Cancelling(cancel)]
    predict(pd.DataFrame({"text": ["a", "b"]}), USING, {"endpoint": service.url}, cancel=cancel, hooks=hooks)
    assert traced.hook._requests == {} and traced.hook._queries == {}
    (request,) = traced.requests
    assert attributes(request)["error.type"] == "cancelled"


def test_tasks_have_the_names_of_the_conventions(service: Service) -> None:
    service.answer = lambda *_: {"choices": [{"message": {"content": "Hi."}}], "usage": {"total_tokens": 5}}
    traced = Traced()
    using = {"task": "chat-completion", "column": "text", "target": "y", "model": "m"}
    predict(pd.DataFrame({"text": ["a"]}), using, {"endpoint": service.url}, hooks=[traced.hook])
    names = Counter(span.name for span in [*traced.others, *traced.requests])
    assert names == {"chat m": 1, "POST": 1}
    assert attributes(traced.others[0])["huggingface_api.tokens"] == 5


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, opentelemetry.__name__)
    with pytest.raises(ModuleNotFoundError, match=r"huggingface_api_handler\[tracing\]"):
        __import__(opentelemetry.__name__)
