"""A chat completion that comes as a stream of events is the one that would have come at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from huggingface_api_handler.inference.protocols.event_stream import (
    events_of,
    is_event_stream,
    join_events,
    without_end_mark,
)
from huggingface_api_handler.inference.transport.client import Response

RECORDED = Path(__file__).parents[3] / "recorded" / "chat-completion.jsonl"
STREAMS = [
    line["response"]["event_stream"]
    for line in map(json.loads, RECORDED.read_text("utf-8").splitlines())
    if line["status"] == 200 and "event_stream" in line["response"]
]


def events(*parts: Any, end: str = "data: [DONE]\n\n", line: str = "\n") -> bytes:
    return "".join(f"data: {json.dumps(part)}{line}{line}" for part in parts).encode() + end.encode()


def delta(content: Any = None, finish_reason: Any = None, index: int = 0, **more: Any) -> dict[str, Any]:
    message = more if content is None else {"content": content, **more}
    return {"object": "chat.completion.chunk", "choices": [{"index": index, "delta": message, "finish_reason": finish_reason}]}  # fmt: skip


def join(body: bytes) -> Any:
    return join_events(body, orjson.loads)


def message_of(body: bytes) -> Any:
    return join(body)["choices"][0]["message"]


@pytest.mark.parametrize("stream", STREAMS)
def test_recorded_streams_are_joined(stream: str) -> None:
    joined = join(stream.encode())
    pieces = [json.loads(line[5:]) for line in stream.splitlines() if line.startswith("data:") and "[DONE]" not in line]
    (choice,) = joined["choices"]
    assert choice["message"]["content"] == "".join(piece["choices"][0]["delta"]["content"] or "" for piece in pieces)
    assert choice["finish_reason"] == pieces[-1]["choices"][0]["finish_reason"]
    assert is_event_stream(Response(200, {}, stream.encode()))


def test_there_are_recorded_streams() -> None:
    assert len(STREAMS) > 5


def test_text_reasoning_logprobs_and_usage_are_joined() -> None:
    first, second = delta("", role="assistant"), delta(reasoning_content="So ")
    third, fourth = delta(reasoning_content="4."), delta("The answer ")
    fourth["choices"][0]["logprobs"] = {"content": [{"token": "The", "logprob": -0.1}]}
    fifth = delta("is 4", "stop")
    fifth["choices"][0]["logprobs"] = {"content": [{"token": " answer", "logprob": -0.2}]}
    usage = {"object": "chat.completion.chunk", "choices": [], "usage": {"total_tokens": 9}}
    assert join(events(first, second, third, fourth, fifth, usage)) == {
        "object": "chat.completion",
        "usage": {"total_tokens": 9},
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": "The answer is 4", "reasoning_content": "So 4."},
                "logprobs": {"content": [{"token": "The", "logprob": -0.1}, {"token": " answer", "logprob": -0.2}]},
            }
        ],
    }


def test_choices_tool_calls_and_parts_are_joined_each_for_itself() -> None:
    two = join(events(delta("a", index=1), delta("b"), delta("c", "stop", index=1), delta("d", "length")))
    assert [choice["message"]["content"] for choice in two["choices"]] == ["bd", "ac"]
    calls = [
        delta(tool_calls=[{"index": 0, "id": "1", "function": {"name": "look", "arguments": ""}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": '{"a"'}}, {"index": 1, "function": {"name": "go"}}]),
        delta(None, "tool_calls", tool_calls=[{"index": 0, "function": {"arguments": ": 1}"}}]),
    ]
    functions = [call["function"] for call in message_of(events(*calls))["tool_calls"]]
    assert functions == [{"name": "look", "arguments": '{"a": 1}'}, {"name": "go"}]
    parts = message_of(events(delta([{"type": "thinking", "thinking": "Hm"}]), delta("4"), delta("2", "stop")))
    assert parts["content"] == [{"type": "thinking", "thinking": "Hm"}, "4", "2"]


@pytest.mark.parametrize("line", ["\n", "\r\n", "\r"])
def test_streams_are_read_in_every_spelling(line: str) -> None:
    body = f": ping{line}{line}event: message{line}id: 1{line}".encode() + events(
        delta("4"), delta("2", "stop"), line=line
    )
    assert message_of(body)["content"] == "42"
    assert message_of(b"\xef\xbb\xbf" + body)["content"] == "42"
    split = b'data: {"choices": [{"delta":\ndata: {"content": "4"}, "finish_reason": "stop"}]}'
    assert message_of(split)["content"] == "4"


def test_a_whole_message_may_be_the_only_event() -> None:
    whole = {"choices": [{"message": {"role": "assistant", "content": "4"}, "finish_reason": "stop"}]}
    assert join(events(whole))["choices"][0]["message"] == {"role": "assistant", "content": "4"}


@pytest.mark.parametrize(
    "body",
    [
        events(delta("The ans"), end=""),
        events(delta("The ans"), end='data: {"choices": [{"del'),
        events(delta("a", "stop"), delta("b", index=1), end=""),
        events({"usage": {}}, end="data: [DONE]\n\n"),
        b": ping\n\n: ping\n\n",
        b"data: [DONE]\n\n",
        events([1]),
        b"data: not JSON\n\n",
    ],
)
def test_a_stream_without_its_end_is_no_answer(body: bytes) -> None:
    assert is_event_stream(Response(200, {}, body))
    with pytest.raises(ValueError):
        join(body)


def test_a_stream_that_says_why_it_ended_needs_no_mark() -> None:
    assert message_of(events(delta("4", "stop"), end=""))["content"] == "4"
    assert message_of(events(delta("4")))["content"] == "4"


def test_joining_takes_no_square_of_the_pieces() -> None:
    """Each piece is looked at once: the text of so many, joined one by one, would be copied 100 GB."""
    long = "x" * 1_000_000
    body = events(delta(long), *[delta("y")] * 100_000, delta("", "stop"))
    assert len(message_of(body)["content"]) == 1_100_000


def test_only_what_begins_as_a_stream_is_one() -> None:
    for body in (b"{}", b' {"data": 1}', b"<html>data: 1", b"[]", b"", b"database"):
        assert not is_event_stream(Response(200, {"content-type": "text/event-stream"}, body))
    assert is_event_stream(Response(200, {}, b"\n\ndata: {}"))
    assert without_end_mark(b'{"text": "data: [DONE]"}') is None
    assert without_end_mark(b"[DONE]") is None
    assert list(events_of(b"data: a\n\ndata:b\ndata: c\n\n")) == [b"a", b"b\nc"]
