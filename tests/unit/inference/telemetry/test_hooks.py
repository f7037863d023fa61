"""Hooks are told of each request once, of nothing that is secret, and cannot harm a query."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import huggingface_api_handler
from huggingface_api_handler import InferenceError, InputError, predict
from huggingface_api_handler.inference.failures import FailureKind
from huggingface_api_handler.inference.flow_control.limiter import Limiter
from huggingface_api_handler.inference.telemetry import events, hooks
from huggingface_api_handler.inference.telemetry.hooks import Hooks, InferenceHook
from tests.conftest import Reply, Service
from tests.support.hooks import METHODS, QUERY, Cancelling, Raising, Recorder, no_answer
from tests.unit.inference.runtime.test_executor import TEXTS, Run, can_batch, error, refuses_batches, score

KEY = "hf_SecretOfTheHooks0123456789"
USING = {"task": "text-classification", "column": "text", "target": "y"}


@pytest.fixture(autouse=True)
def nothing_stays_registered() -> Iterator[None]:
    yield
    hooks._registered.clear()


def table(*texts: str | None) -> pd.DataFrame:
    return pd.DataFrame({"text": list(texts)})


class Nth:
    """A service that answers each ``n``-th request with something else."""

    def __init__(self, n: int, instead: Any) -> None:
        self.n, self.instead, self.count = n, instead, 0

    def __call__(self, asked: Any) -> Any:
        self.count += 1
        return self.instead if self.count % self.n == 0 else can_batch(asked)


def at_most_eight(asked: Any) -> Any:
    inputs = asked["inputs"]
    if isinstance(inputs, list) and len(inputs) > 8:
        return error(413, f"batch size {len(inputs)} > maximum allowed batch size 8")
    return can_batch(asked)


def poisoned(asked: Any) -> Any:
    inputs = asked["inputs"]
    return (
        error(422, "bad input") if TEXTS[17] in (inputs if isinstance(inputs, list) else [inputs]) else can_batch(asked)
    )


SERVICES: dict[str, Callable[[], Callable[[Any], Any]]] = {
    "answers": lambda: can_batch,
    "no batches": lambda: refuses_batches,
    "every third fails": lambda: Nth(3, error(500)),
    "every third connection breaks": lambda: Nth(3, ConnectionResetError()),
    "every third asks to wait": lambda: Nth(3, error(429, Retry_After="2")),
    "every third asks to wait without saying how long": lambda: Nth(3, error(503, "overloaded")),
    "every fourth is cut off": lambda: Nth(4, b'[[{"label":'),
    "every fourth cannot be read": lambda: Nth(4, {"what": "is this"}),
    "every fourth has no parts": lambda: Nth(4, []),
    "at most eight": lambda: at_most_eight,
    "one poisoned": lambda: poisoned,
    "the key is wrong": lambda: lambda asked: error(401, "no"),
    "always down": lambda: lambda asked: error(500),
}


@pytest.mark.parametrize("using", [{}, {"max_requests": 7}, {"on_error": "raise"}], ids=["all", "some", "raise"])
@pytest.mark.parametrize("name", SERVICES)
def test_events_add_up_to_the_usage(name: str, using: dict[str, Any]) -> None:
    recorder = Recorder()
    run = Run(SERVICES[name](), TEXTS, hooks=Hooks([recorder], QUERY), **using)
    sent, ended = recorder.of(events.RequestSent), recorder.of(events.RequestAnswered, events.RequestFailed)
    assert len(sent) == len(ended) == run.usage.requests == len(run.sent)
    assert [event.number for event in sent] == list(range(1, len(sent) + 1))
    assert sorted((event.number, event.inputs) for event in ended) == [(event.number, event.inputs) for event in sent]
    assert [event.inputs for event in sent] == run.request_sizes
    assert sum(event.inputs > 1 for event in sent) == run.usage.batches
    assert sum(event.bytes_sent for event in sent) == run.usage.bytes_sent
    assert sum(event.bytes_received for event in ended) == run.usage.bytes_received
    assert len(recorder.of(events.RetryScheduled)) == run.usage.retries
    assert len(recorder.of(events.RoutePaused)) == run.usage.rate_limit_waits
    cancelled = [event for event in ended if getattr(event, "kind", "") == events.CANCELLED]
    assert len(ended) - len(cancelled) == sum(run.usage.latencies.values())
    kinds = {kind.value for kind in FailureKind} | {events.CANCELLED}
    assert {event.kind for event in recorder.of(events.RequestFailed)} <= kinds


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("every third fails", {events.RequestFailed, events.RetryScheduled}),
        ("every third asks to wait", {events.RequestFailed, events.RoutePaused}),
        ("at most eight", {events.RequestFailed}),
    ],
)
def test_what_went_wrong_is_told(name: str, expected: set[type]) -> None:
    recorder = Recorder()
    Run(SERVICES[name](), TEXTS, hooks=Hooks([recorder], QUERY))
    assert {type(event) for event in recorder.events} == {events.RequestSent, events.RequestAnswered, *expected}


def test_a_retry_and_a_pause_say_how_long() -> None:
    recorder = Recorder()
    replies = iter([error(500), error(429, Retry_After="7"), score("a")])
    run = Run(lambda asked: next(replies), ["a"], hooks=Hooks([recorder], QUERY))
    assert run.results.answered == 1
    (retry,), (pause,) = recorder.of(events.RetryScheduled), recorder.of(events.RoutePaused)
    assert (retry.inputs, retry.attempt, retry.status) == (1, 1, 500) and retry.delay_s > 0
    assert pause == events.RoutePaused(QUERY, 1, 7.0, 429)
    assert [event.kind for event in recorder.of(events.RequestFailed)] == ["temporary failure", "rate limited"]


def test_the_slots_of_our_limiter_are_told_and_those_of_another_are_not() -> None:
    recorder, other = Recorder(), Recorder()
    Run(can_batch, TEXTS, limiter=Limiter(), hooks=Hooks([recorder], QUERY))
    Run(can_batch, TEXTS, hooks=Hooks([other], QUERY))
    assert all(1 <= event.in_flight <= event.slots for event in recorder.of(events.RequestSent))
    assert {event.slots for event in other.of(events.RequestSent)} == {None}


def test_without_hooks_no_event_is_made(monkeypatch: pytest.MonkeyPatch, service: Service) -> None:
    def made(*_: object, **__: object) -> None:
        raise AssertionError("an event was made")

    every = [kind for _, kind in inspect.getmembers(events, inspect.isclass) if kind.__module__ == events.__name__]
    assert len(every) == len(METHODS) + 1
    for kind in every:
        monkeypatch.setattr(kind, "__new__", made)
    monkeypatch.setattr(Hooks, "__init__", made)
    replies = iter([Reply({"error": "x"}, 500), Reply({"error": "x"}, 429, {"Retry-After": "0.01"})])
    service.answer = lambda body, *_: next(replies, score(body["inputs"]))
    out = predict(table("a", "b", None), USING, {"endpoint": service.url})
    assert out.attrs["usage"]["answered"] == 2
    with pytest.raises(AssertionError, match="an event was made"):  # the test sees one where there is a hook
        predict(table("a"), USING, {"endpoint": service.url}, hooks=[InferenceHook()])


def test_predict_tells_the_hooks_it_is_given_and_those_that_are_registered(service: Service) -> None:
    service.answer = lambda body, *_: score(body["inputs"])
    given, registered = Recorder(), Recorder()
    hooks.register(registered)
    hooks.register(registered)
    out = predict(
        table("a", "b", "a", None), USING, {"endpoint": service.url, "cache": False}, hooks=[given, registered]
    )
    assert given.events == registered.events
    started, ended = given.events[0], given.events[-1]
    assert started == events.QueryStarted(started.query, rows=4, nulls=1, distinct=2)
    assert isinstance(ended, events.QueryEnded) and ended.error is None
    assert ended.usage.as_dict() == out.attrs["usage"]
    assert {event.query for event in given.events} == {started.query}
    assert started.query[1:] == ("text-classification", ended.usage.model, ended.usage.host)

    hooks.unregister(registered)
    predict(table("c"), USING, {"endpoint": service.url}, hooks=[given])
    assert given.events[-1].query.id > started.query.id and registered.events[-1] == ended


def test_stored_answers_and_empty_tables_are_queries_too(service: Service) -> None:
    service.answer = lambda body, *_: score(body["inputs"])
    recorder = Recorder()
    for texts in (("a",), ("a",), (None,)):
        predict(table(*texts), USING, {"endpoint": service.url}, hooks=[recorder])
    assert [event.usage.cache_hits for event in recorder.of(events.QueryEnded)] == [0, 1, 0]
    assert len(recorder.of(events.RequestSent)) == 1


def test_an_exception_of_the_query_is_named_in_its_last_event(service: Service) -> None:
    service.answer = lambda *_: Reply({"error": "no"}, 401)
    recorder = Recorder()
    with pytest.raises(InferenceError):
        predict(table("a", "b"), USING, {"endpoint": service.url}, hooks=[recorder])
    ended = recorder.events[-1]
    assert (ended.error, ended.usage.errors) == ("InferenceError", {"query stopped": 2})


def test_a_request_that_is_given_up_is_told_as_cancelled(service: Service) -> None:
    cancel = threading.Event()

    service.answer = no_answer
    recorder = Recorder()
    hooked = [recorder, Cancelling(cancel)]
    predict(table("a", "b"), USING, {"endpoint": service.url}, cancel=cancel, hooks=hooked)
    assert [type(event) for event in recorder.events] == [
        events.QueryStarted,
        events.RequestSent,
        events.RequestFailed,
        events.QueryEnded,
    ]
    assert (recorder.events[2].kind, recorder.events[2].status) == (events.CANCELLED, None)


def test_a_dry_run_tells_nothing() -> None:
    recorder = Recorder()
    predict(table("a"), {**USING, "dry_run": True}, {"endpoint": "http://127.0.0.1:1"}, hooks=[recorder])
    assert recorder.events == []


def test_what_is_no_hook_is_refused_before_anything_is_sent(service: Service) -> None:
    for wrong in (Recorder, object()):
        with pytest.raises(InputError, match="InferenceHook"):
            predict(table("a"), USING, {"endpoint": service.url}, hooks=[wrong])  # type: ignore[list-item]
        with pytest.raises(InputError, match="InferenceHook"):
            hooks.register(wrong)  # type: ignore[arg-type]
    assert service.asked == []


def test_hooks_run_on_one_thread_in_the_context_of_the_caller(service: Service) -> None:
    service.answer = lambda body, *_: score(body["inputs"])
    variable: ContextVar[str] = ContextVar("variable", default="unset")
    found = set()

    class Where(InferenceHook):
        def on_query_started(self, event: events.QueryStarted) -> None:
            found.add((threading.current_thread().name, variable.get()))

        def on_request_sent(self, event: events.RequestSent) -> None:
            self.on_query_started(event)  # type: ignore[arg-type]

        def on_query_ended(self, event: events.QueryEnded) -> None:
            self.on_query_started(event)  # type: ignore[arg-type]

    variable.set("the caller's")
    predict(table("a"), USING, {"endpoint": service.url}, hooks=[Where()])
    assert found == {("huggingface-api-io", "the caller's")}


@pytest.mark.parametrize("name", ["every third fails", "every third asks to wait", "one poisoned"])
def test_a_hook_that_raises_loses_no_row(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    expected = Run(SERVICES[name](), TEXTS)
    raising, recorder = Raising(ZeroDivisionError("in the hook")), Recorder()
    run = Run(SERVICES[name](), TEXTS, hooks=Hooks([raising, recorder], QUERY))
    assert list(run.results) == list(expected.results) and run.usage.requests == expected.usage.requests
    assert len(recorder.of(events.RequestSent)) == run.usage.requests  # and other hooks are told
    methods = [record.getMessage().split()[0] for record in caplog.records if "in the hook" in record.getMessage()]
    assert len(methods) == len(set(methods)) and {"on_request_sent", "on_request_answered"} <= set(methods)


def test_it_is_logged_once_for_a_hook_and_method_and_again_for_another_hook(caplog: pytest.LogCaptureFixture) -> None:
    def logged(hook: InferenceHook) -> int:
        caplog.clear()
        for _ in range(2):
            Run(can_batch, TEXTS[:2], hooks=Hooks([hook], QUERY))
        return len(caplog.records)

    first, second = Raising(ValueError("x")), Raising(ValueError("x"))
    assert [logged(first), logged(first), logged(second)] == [2, 0, 2]
    key = id(first), "on_request_sent"
    assert key in hooks._reported
    del first
    gc.collect()  # its exception holds the frames that hold it
    assert key not in hooks._reported  # so that a new hook at the same address is not taken for it


def test_the_log_masks_keys(caplog: pytest.LogCaptureFixture) -> None:
    Run(can_batch, TEXTS[:1], hooks=Hooks([Raising(ValueError(f"Bearer {KEY}"))], QUERY))
    assert caplog.records and KEY not in caplog.text


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, asyncio.CancelledError])
def test_an_interrupt_is_not_swallowed(interrupt: type[BaseException]) -> None:
    every = Hooks([Raising(interrupt())], QUERY)
    with pytest.raises(interrupt):
        every.request_cancelled(1, 1, 0.0)


def test_no_key_no_input_and_no_answer_is_in_an_event(service: Service) -> None:
    """Events of answers, retries, pauses and failures, with a server that repeats what it was sent in its errors."""
    replies: Iterator[Any] = iter([500, 429, 422])

    def answer(body: Any, headers: dict[str, str], path: str) -> Any:
        status = next(replies, 200)
        words = f"{body['inputs']} {headers['authorization']}"
        echo = {"x-request-id": "id", "Retry-After": "0.01"} if status == 429 else {"x-request-id": "id"}
        return Reply({"error": words} if status != 200 else [{"label": "a private answer", "score": 0.5}], status, echo)

    service.answer = answer
    recorder = Recorder()
    engine = {"endpoint": service.url, "api_key": KEY}
    predict(table("a private text", "another private text"), USING, engine, hooks=[recorder])
    assert {type(event) for event in recorder.events} == {
        events.QueryStarted, events.RequestSent, events.RequestAnswered, events.RequestFailed, events.RetryScheduled, events.RoutePaused, events.QueryEnded,
    }  # fmt: skip
    everything = repr(recorder.events)
    assert KEY not in everything and "private" not in everything
    assert len(METHODS) == len({type(event) for event in recorder.events})


def test_the_example_of_the_documentation_runs(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(huggingface_api_handler.__file__).parents[1] / "docs" / "observability.md").read_text("utf-8")
    example, registering = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)[:2]
    assert "http://127.0.0.1:8900" in example
    service.answer = lambda body, *_: score(body["inputs"])
    names: dict[str, Any] = {}
    exec(example.replace("http://127.0.0.1:8900", service.url), names)
    assert capsys.readouterr().out == "2 of 2 rows, 2 requests\n"
    exec(registering, names)
    assert [type(hook) for hook in hooks._registered] == [names["Watch"]]


def test_the_documentation_lists_every_method_and_what_its_event_holds() -> None:
    page = (Path(huggingface_api_handler.__file__).parents[1] / "docs" / "observability.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(on_\w+)` \|[^|]*\|(.*)\|$", page, re.M))
    assert tuple(rows) == METHODS
    for method, cells in rows.items():
        event = getattr(events, str(inspect.signature(getattr(InferenceHook, method)).parameters["event"].annotation))
        if "the same" not in cells:
            assert re.findall(r"`(\w+)`", cells) == [name for name in event._fields if name != "query"]
