"""Chat through ``predict``, of a server that answers in every form that servers are known to."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.errors import InferenceError
from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.flow_control.retry import RetryPolicy
from tests.conftest import Reply, Service

CHAT = {"task": "chat-completion", "column": "text", "target": "answer"}


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RetryPolicy, "_backoff_s", lambda policy, attempt: 0.001)


def completion(content: Any, finish_reason: Any = "stop", choice: Any = None, **more: Any) -> Any:
    message = {"role": "assistant", "content": content, **more}
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish_reason, **(choice or {})}]}


def ask(service: Service, texts: list[str], **using: Any) -> pd.DataFrame:
    return predict(pd.DataFrame({"text": texts}), {**CHAT, **using}, {"endpoint": service.url})


def said(body: Any) -> str:
    return str(body["messages"][0]["content"])


def stream(*texts: str, end: str = "stop", mark: bool = True) -> bytes:
    events: list[Any] = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
        for delta, reason in [*(({"content": text}, None) for text in texts), ({}, end)]
    ]
    events.append({"choices": [], "usage": {"total_tokens": 9}})
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode() + b"data: [DONE]\n\n" * mark


def test_no_stream_is_asked_for_and_the_model_comes_first(service: Service) -> None:
    service.answer = lambda *_: completion("4")
    ask(service, ["a"])
    assert next(iter(service.asked[0])) == "model"
    assert service.asked[0]["stream"] is False


def test_a_stream_that_comes_all_the_same_is_joined(service: Service) -> None:
    service.answer = lambda body, *_: Reply(
        stream("Answer ", "to ", said(body)), 200, {"Content-Type": "text/event-stream"}
    )
    out = ask(service, [f"row {number}" for number in range(30)])
    assert list(out["answer"]) == [f"Answer to row {number}" for number in range(30)]
    assert len(service.asked) == 30
    assert out["answer_explain"][0] == {"finish_reason": "stop", "tokens": 9}
    assert out.attrs["usage"]["tokens"] == 30 * 9


def test_a_stream_is_told_by_its_bytes_and_a_mark_after_json_is_ignored(service: Service) -> None:
    whole = json.dumps(completion("whole")).encode() + b"\n\ndata: [DONE]\n\n"
    service.answer = lambda body, *_: Reply({"a": b": ping\n\n" + stream("joined"), "b": whole}[said(body)], 200, {})
    assert list(ask(service, ["a", "b"])["answer"]) == ["joined", "whole"]


def test_a_stream_that_was_cut_off_is_tried_again(service: Service) -> None:
    whole = stream("The ", "answer")
    replies = iter([whole[:90], whole[: whole.index(b"stop") - 40], whole])
    service.answer = lambda body, *_: Reply(next(replies), 200, {"Content-Type": "text/event-stream"})
    out = ask(service, ["a"])
    assert (out["answer"][0], len(service.asked)) == ("The answer", 3)
    service.answer = lambda body, *_: Reply(whole[:90], 200, {"Content-Type": "text/event-stream"})
    with pytest.raises(InferenceError, match="cut off"):
        ask(service, ["b"])


PASSING: list[Any] = [
    completion("The ans", "error", {"error": {"code": 502, "message": "Provider returned error"}}),
    completion("", "error", {"error": {"code": "502", "message": "Provider returned error"}}),
    completion("The ans", "error", {"error": {"message": "Provider returned error"}}),
    completion("The ans", "error"),
    completion(None, None, {"error": "Provider returned error"}),
    b'data: {"choices": [{"delta": {"content": "The"}}]}\n\ndata: {"error": {"code": 502, "message": "gone"}, '
    b'"choices": [{"delta": {"content": ""}, "finish_reason": "error"}]}\n\n',
]


@pytest.mark.parametrize("reply", PASSING)
def test_an_error_in_a_choice_is_no_answer_and_tried_again(service: Service, reply: Any) -> None:
    failed = set()

    def answer(body: Any, *_: Any) -> Any:
        if said(body) == "row 7" and "row 7" not in failed:
            failed.add("row 7")
            return Reply(reply, 200)
        return completion(said(body))

    service.answer = answer
    texts = [f"row {number}" for number in range(12)]
    assert list(ask(service, texts)["answer"]) == texts
    assert len(service.asked) == 13


def test_an_error_in_a_choice_that_stays_is_its_rows_with_its_words(service: Service) -> None:
    passing = completion("The ans", "error", {"error": {"code": 500, "message": "Provider returned error"}})
    refused = completion("", "error", {"error": {"code": 400, "message": "Prompt was flagged"}})
    service.answer = lambda body, *_: {"a": passing, "b": refused}.get(said(body), completion("4"))
    out = ask(service, ["c", "a", "b", "d", "e", "f", "g", "h", "i", "j"])
    assert list(out["answer"]) == ["4", None, None, *["4"] * 7]
    assert out["answer_error"][1] == "temporary failure 500: Provider returned error (after 5 attempts)"
    assert out["answer_error"][2] == "rejected input 400: Prompt was flagged"
    assert len(service.asked) == 8 + 5 + 1


def test_a_rate_limit_in_a_choice_pauses_and_loses_no_row(service: Service) -> None:
    replies = iter([completion(None, "error", {"error": {"code": 429, "message": "slow down"}})])
    service.answer = lambda body, *_: next(replies, completion(said(body)))
    assert list(ask(service, ["a"])["answer"]) == ["a"]


def test_the_word_error_in_an_answer_is_no_error(service: Service) -> None:
    text = 'The log says "error": {"code": 502}'
    tokens = {"logprobs": {"content": [{"token": "error", "logprob": -0.1}]}, "error": None}
    service.answer = lambda body, *_: {**completion(text, "stop", tokens), "error": None}
    assert ask(service, ["a"])["answer"][0] == text


def test_rows_without_text_say_why_and_the_others_are_answered(service: Service) -> None:
    replies = {
        "length": completion(None, "length", reasoning_content="Let me see"),
        "refusal": completion(None, "stop", refusal="I cannot help with that."),
        "tools": completion("", "tool_calls", tool_calls=[{"function": {"name": "look_up", "arguments": "{}"}}]),
        "empty": completion("", "stop"),
        "none": {"choices": []},
        "think": completion("<think>Spam?</think>\n\nham"),
        "parts": completion([{"type": "thinking", "thinking": "Spam?"}, {"type": "text", "text": "ham"}]),
    }
    service.answer = lambda body, *_: replies.get(said(body), completion("4"))
    out = ask(service, ["first", *replies]).set_index(pd.Index(["first", *replies]))
    reasons = out["answer_error"]
    assert "raise max_tokens" in reasons["length"]
    assert "the model refused: I cannot help with that." in reasons["refusal"]
    assert "the model called the tool 'look_up' instead of answering" in reasons["tools"]
    assert "its list of choices is empty" in reasons["none"]
    assert out["answer"]["empty"] == ""
    assert out["answer"]["think"] == out["answer"]["parts"] == "ham"
    assert out["answer_explain"]["think"]["reasoning"] == out["answer_explain"]["parts"]["reasoning"] == "Spam?"
    assert len(service.asked) == 8


def test_a_joined_stream_is_stored_as_the_completion_it_stands_for(service: Service) -> None:
    service.answer = lambda body, *_: Reply(stream("<think>Hm</think>", "4"), 200)
    first = ask(service, ["a"], cache=True)
    second = ask(service, ["a"], cache=True)
    assert len(service.asked) == 1
    assert list(second["answer"]) == list(first["answer"]) == ["4"]
    assert second["answer_explain"][0]["reasoning"] == "Hm"
