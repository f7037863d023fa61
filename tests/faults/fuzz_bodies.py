"""Bodies that are hostile by their form: deep, large, full of escapes and of characters that steer a terminal.

``python -m tests.faults.fuzz_bodies SECONDS [results.json]``. Each row gets an answer, or a reason of at most 1,000 printable
characters, and the other rows keep theirs. What failed is kept in ``.hypothesis`` and tried first the next time.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.faults.clock import real, skip_waits

if __name__ == "__main__":
    skip_waits()

from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from huggingface_api_handler.inference.transport import client
from huggingface_api_handler.tasks import TASKS
from tests.faults.fuzz_answers import (
    ANSWERS,
    EVERY_ANSWER,
    STATUSES,
    Target,
    executions,
    frame_of,
    often,
    posts,
    through,
)

STEERING = "".join(map(chr, [0, 7, 8, 9, 10, 13, 27, 0x7F, 0x85, 0x9B, 0xA0, 0xAD, 0x200B, 0x200D, 0x200E, 0x202A, 0x202E, 0x2028, 0x2066,
                             0xD800, 0xDFFF, 0xE000, 0xFEFF, 0xFFFE, 0xFFFF, 0xE0041, 0x10FFFF]))  # fmt: skip
WORDS: st.SearchStrategy[str] = st.text(
    st.sampled_from(STEERING) | st.sampled_from("ab<>&\\\"'{}[],:") | st.characters(), max_size=12
) | st.sampled_from(
    ["<title>" * 400, "<title" * 400, "error", "label", "msg", "hf_" + "aB3" * 10, "//a:b@c", "\\u001b", "x" * 3000]
)
DEPTHS = st.sampled_from(
    [1, 2, 5, 6, 31, 32, 33, 64, 200, 253, 254, 255, 300, 330, 400, 900, 990, 1000, 1023, 1024, 1025, 5000]
)
KEYS = st.sampled_from(
    ["error", "message", "detail", "msg", "loc", "label", "score", "labels", "scores", "choices", "content", "x"]
)
UNITS = st.sampled_from(
    [
        b"[],",
        b"{},",
        b'{"":0},',
        b"0,",
        b'"",',
        b"[[]],",
        b'{"label":"a","score":0.5},',
        b" ",
        b"a",
        b"\\u0000",
        b"\xff",
    ]
)


def nested(draw: st.DrawFn) -> bytes:
    """Brackets in brackets, all closed or not, with something within and beside them."""
    depth = draw(DEPTHS)
    key = json.dumps(draw(KEYS)).encode()
    opening, closing = draw(st.sampled_from([(b"[", b"]"), (b"{%s:" % key, b"}"), (b"[{%s:" % key, b"}]"), (b"[1,", b"]"), (b"[[],", b"]")]))  # fmt: skip
    inner = json.dumps(draw(WORDS | st.sampled_from([1, None, [], {}]))).encode()
    closed = draw(st.sampled_from([depth, depth, depth, 0, depth - 1]))
    return opening * depth + inner + closing * closed


def spoken(draw: st.DrawFn) -> bytes:
    """An error of the usual shapes in any words."""
    words = draw(WORDS)
    shapes: list[Any] = [{"error": words}, {"error": {"message": words, "code": words}}, {words: words}, {"detail": [{"msg": words, "loc": [words]}]},
                         [words], {"error": [words] * 12}, words, {"error": {words: 1}}, [{"label": words, "score": 1}], {"label": words}]  # fmt: skip
    shape = draw(st.sampled_from(shapes))
    text = json.dumps(shape, ensure_ascii=draw(st.booleans()))
    return draw(
        st.sampled_from([text.encode("utf-8", "surrogatepass"), b"<html>" + words.encode("utf-8", "surrogatepass")])
    )


def repeated(draw: st.DrawFn) -> bytes:
    """One thing again and again, some megabytes at most."""
    count = draw(st.sampled_from([0, 1, 30, 1000, 40_000, 110_000, 400_000]))
    head, tail = draw(st.sampled_from([(b"[", b"1]"), (b"[[", b"1]]"), (b'{"error":"', b'"}'), (b'[{"label":"', b'","score":1}]'), (b"", b"")]))  # fmt: skip
    return head + draw(UNITS) * count + tail


@st.composite
def hostile(draw: st.DrawFn, task: str) -> bytes:
    body = draw(st.sampled_from([nested, spoken, spoken, repeated]))(draw)
    if draw(st.booleans()):
        return body
    answer = json.dumps(draw(st.sampled_from(ANSWERS.get(task, EVERY_ANSWER)))).encode()  # and within a real one
    at = draw(st.integers(0, len(answer)))
    return answer[:at] + body + answer[at + draw(st.integers(0, 3)) :]


HEADERS = st.dictionaries(
    st.sampled_from(["Location", "Content-Type", "Retry-After", "RateLimit", "RateLimit-Policy", "x-compute-time"]),
    WORDS,
    max_size=2,
)


@often
@given(st.sampled_from(sorted(TASKS)), st.data())
def hostile_body(task: str, data: st.DataObject) -> None:
    executions["hostile body"] += 1
    script = data.draw(
        st.lists(st.builds(client.Response, STATUSES, HEADERS.map(CIMultiDict), hostile(task)), min_size=1, max_size=4)
    )
    frame, using = frame_of(task)
    turn = iter(range(10**9))
    out = through(Target(task), frame, using, lambda body: script[next(turn) % len(script)])
    for reason in [] if out is None else [text for text in out["y_error"] if text is not None]:
        assert len(reason) <= 1000, len(reason)
        assert all(each.isprintable() or each in "\u200c\u200d" for each in reason), ascii(reason)


def fuzz(seconds: float) -> dict[str, Any]:
    """Try bodies for ``seconds``. Returns what was tried; raises what was found."""
    started = real()
    while real() - started < seconds:
        hostile_body()
    return {"seconds": round(real() - started), "executions": dict(executions), "requests": sum(posts.values()), "tasks": len(posts)}  # fmt: skip


if __name__ == "__main__":
    found = fuzz(float(sys.argv[1]))
    print(f"{sum(found['executions'].values())} executions, {found['requests']} requests, {found['tasks']} tasks")
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(json.dumps(found))
