"""What ordinary servers answer, and the right value of each row, through what is public only.

Each case failed on version 0.1.0, where this file runs too. The tests of the modules say more of each promise.
"""

from __future__ import annotations

import base64
import json
import re
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
from aiohttp import web

from tests.support.fast_client import SPEED, FastClient
from tests.support.web_server import WebServer

WITHIN_S = 25.0
"""After which a query has failed. Those of 0.1.0 that end at all take longer."""

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
WAV = b"RIFF" + struct.pack("<I", 40) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16) + b"data" + struct.pack("<I", 4) + bytes(4)  # fmt: skip


class Asked(NamedTuple):
    """One request as a server sees it."""

    path: str
    query: str
    body: Any
    headers: dict[str, str]
    number: int
    seconds: float

    @property
    def texts(self) -> list[str]:
        """The texts of hf-inference's form."""
        inputs = self.body["inputs"]
        return inputs if isinstance(inputs, list) else [inputs]

    @property
    def said(self) -> str:
        """The last message of a chat."""
        return str(self.body["messages"][-1]["content"])


JSON: Mapping[str, str] = {"Content-Type": "application/json"}


class Answer(NamedTuple):
    """What a server answers."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = JSON

    @property
    def data(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class Imitation(WebServer):
    """Answers as a case says. ``seconds`` are those of the client's clock since the first request."""

    def __init__(self) -> None:
        self.case: Case | None = None
        self.posts = 0
        self.begun: float | None = None
        super().__init__()

    async def _handle(self, request: web.Request) -> web.Response:
        assert self.case is not None
        raw = await request.read()
        if self.begun is None:
            self.begun = time.monotonic()
        is_json = "json" in request.headers.get("Content-Type", "")
        self.posts += request.method == "POST"
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = Asked(
            request.path, request.query_string, json.loads(raw) if raw and is_json else raw, headers, self.posts,
            (time.monotonic() - self.begun) * SPEED,
        )  # fmt: skip
        answer = (self.case.get if request.method == "GET" else self.case.post)(asked)
        if not isinstance(answer, Answer):
            answer = Answer(answer)
        return web.Response(body=answer.data, status=answer.status, headers=answer.headers)


def not_found(_: Asked) -> Answer:
    return Answer({"detail": "Not Found"}, 404)


@dataclass
class Case:
    """One situation.

    Attributes:
        name: With the letter of its kind first.
        using: The arguments of the model.
        columns: The table.
        post: What the server answers to a POST.
        want: The right value of rows by index, or a pattern for the reason where there is none. ``...`` stands for all
            rows that are not named.
        most: Requests that it may take.
        raises: A pattern for the error of the query, where it has to fail.
        path: Of the endpoint.
        get: What the server answers to a GET.
        engine: Arguments of the engine.
    """

    name: str
    using: dict[str, Any]
    columns: dict[str, list[Any]]
    post: Callable[[Asked], Any]
    want: dict[Any, Any] = field(default_factory=dict)
    most: int | None = None
    raises: str | None = None
    path: str = ""
    get: Callable[[Asked], Any] = not_found
    engine: dict[str, Any] = field(default_factory=dict)
    more: Callable[[dict[str, list[Any]]], bool] | None = None


class Reason(NamedTuple):
    """A row without an answer, and what its reason must say."""

    pattern: str


def rows(count: int, **odd: str) -> list[str]:
    """Texts of one length; ``odd`` by index, as ``r7``."""
    texts = [f"an ordinary row {number:04d}" for number in range(count)]
    for index, text in odd.items():
        texts[int(index[1:])] = text
    return texts


def chat(content: Any, finish: str | None = "stop", **message: Any) -> dict[str, Any]:
    return {
        "object": "chat.completion",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }


def echo(asked: Asked) -> Any:
    return chat(asked.said.upper())


def label(_text: str) -> list[dict[str, Any]]:
    return [{"label": "POSITIVE", "score": 0.9}, {"label": "NEGATIVE", "score": 0.1}]


def labels(asked: Asked) -> Any:
    return [label(text) for text in asked.texts]


def vector(text: str) -> list[float]:
    return [float(len(text)), float(sum(map(ord, text)) % 97), 0.5]


def refusing(word: str, refusal: Answer, answer: Callable[[Asked], Any]) -> Callable[[Asked], Any]:
    """A server that refuses whatever holds a word."""
    return lambda asked: refusal if word in json.dumps(asked.body) else answer(asked)


def sse(*events: Any) -> Answer:
    lines = "".join(f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n" for event in events)
    return Answer(lines.encode(), 200, {"Content-Type": "text/event-stream"})


def delta(content: str, finish: str | None = None) -> dict[str, Any]:
    return {
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": {"content": content}, "finish_reason": finish}],
    }


def always(answer: Any) -> Callable[[Asked], Any]:
    return lambda _: answer


def only_at(address: str, answer: Callable[[Asked], Any]) -> Callable[[Asked], Any]:
    """A server that answers at one path, or at one with its query string."""
    path, _, query = address.partition("?")
    return lambda asked: answer(asked) if (asked.path, asked.query) == (path, query) else not_found(asked)


def until(seconds: float, refusal: Answer, answer: Callable[[Asked], Any]) -> Callable[[Asked], Any]:
    return lambda asked: refusal if asked.seconds < seconds else answer(asked)


AZURE, VERSION = "/openai/deployments/g", "api-version=2024-06-01"
PNG_BASE64 = base64.b64encode(PNG).decode()
PNG_URI = f"data:image/png;base64,{PNG_BASE64}"
CHAT = {"task": "chat-completion", "column": "text"}
LABELS = {"task": "text-classification", "column": "text"}
VECTORS = {"task": "feature-extraction", "column": "text"}
PAIRS = {"task": "sentence-similarity", "column": "text", "column2": "other"}
RANKS = {"task": "text-ranking", "column": "text", "column2": "other"}
IMAGE = {"task": "text-to-image", "column": "text"}
FORBIDDEN = Answer({"error": {"code": 403, "message": "Your input was flagged"}}, 403)
PAGE = {"Content-Type": "text/html"}
BAD_GATEWAY = Answer(b"<html><head><title>502 Bad Gateway</title></head></html>", 502, PAGE)
ONE = {"text": ["hello"]}
TEI_INFO = {
    "model_id": "m",
    "model_sha": None,
    "model_type": {"embedding": {"pooling": "mean"}},
    "max_client_batch_size": 32,
}


def chat_case(name: str, answer: Any, want: Any, **more: Any) -> Case:
    """A chat of one row that is answered so."""
    wanted = {0: want}
    if isinstance(want, Reason) and "raises" not in more:
        more["raises"], wanted = want.pattern, {}
    using = {**CHAT, **more.pop("using", {})}
    return Case(name, using, ONE, lambda _: answer, wanted, path="/v1", **more)


def tei(asked: Asked) -> Any:
    if asked.path == "/embed":
        return [vector(text) for text in asked.texts]
    if asked.path == "/similarity":
        return [0.5 for _ in asked.body["inputs"]["sentences"]]
    if asked.path == "/predict":
        return [label("") for _ in asked.texts]
    return Answer(
        {
            "error": "Failed to deserialize the JSON body into the target type: data did not match any variant of untagged enum"
        },
        422,
    )


def tei_info(asked: Asked) -> Any:
    return TEI_INFO if asked.path == "/info" else not_found(asked)


def embeddings(asked: Asked) -> Any:
    if "input" not in asked.body:
        return Answer(
            {"detail": [{"type": "missing", "loc": ["body", "input"], "msg": "Field required", "input": asked.body}]},
            422,
        )
    inputs = asked.body["input"]
    inputs = [inputs] if isinstance(inputs, str) else inputs
    data = [{"object": "embedding", "index": index, "embedding": vector(text)} for index, text in enumerate(inputs)]
    return {"object": "list", "data": data[::-1], "model": "m", "usage": {"prompt_tokens": 7, "total_tokens": 7}}


def toolkit_ranking(asked: Asked) -> Any:
    """huggingface-inference-toolkit refuses a body without ``inputs``, in words that repeat it."""
    if "inputs" not in asked.body:
        return Answer({"error": f"Body needs to provide a inputs key, received: {json.dumps(asked.body)}"}, 400)
    texts = asked.body["inputs"]["texts"]
    return {"scores": [{"index": index, "score": int(text[5:]) / 8} for index, text in enumerate(texts)][::-1]}


def no_long_lists(asked: Asked) -> Any:
    if any(len(text) > 200 for text in asked.texts) and len(asked.texts) > 1:
        return Answer({"error": "input is too long"}, 413)
    if any(len(text) > 200 for text in asked.texts):
        return Answer({"error": "input is too long"}, 413)
    return labels(asked)


SIMILAR = {"text": ["the same"] * 8, "other": [f"text {number}" for number in range(8)]}
MASKED = rows(40, r3="n/a", r17="-", r30="none")
MASKED = [text if len(text) < 6 else f"{text} [MASK]" for text in MASKED]
LONG = rows(640, r5="x" * 300, r200="y" * 301, r400="z" * 302, r600="w" * 303)
SCHEMA = {"using": {"output_schema": {"topic": "str", "urgency": "int"}}}
TYPED = {"topic": "food", "urgency": 3}

CASES = [
    # One row's 403, 404, 405 or 410 is that row's.
    *(
        Case(f"A: the first row is refused with {status}", CHAT, {"text": rows(12, r0="flagme 000000000000000")},
             refusing("flagme", Answer({"error": {"message": "Your input was flagged"}}, status), echo),
             {0: Reason("flagged"), 5: "AN ORDINARY ROW 0005", 11: "AN ORDINARY ROW 0011"}, path="/v1")
        for status in (403, 404, 405, 410)
    ),
    Case("A: an HTML 403 within lists", LABELS, {"text": rows(2000, r700="flagme 0000000000000")},
         refusing("flagme", Answer(b"<html><title>Forbidden</title></html>", 403, PAGE), labels),
         {0: "POSITIVE", 700: Reason("Forbidden"), 1999: "POSITIVE"}),
    # Odd rows do not end a query before any good row was asked.
    Case("B: three rows without a mask", {"task": "fill-mask", "column": "text", "model": "bert-base-uncased"}, {"text": MASKED},
         lambda asked: Answer({"error": "No mask_token ([MASK]) found on the input"}, 400)
         if any("[MASK]" not in text for text in asked.texts)
         else [{"token_str": "sun", "score": 0.9, "token": 1, "sequence": "the sun"}],
         {3: Reason("mask"), 17: Reason("mask"), 30: Reason("mask"), 0: "the sun", 39: "the sun"}),
    # What fails at once for every row ends the query.
    Case("C: always 502", CHAT, {"text": rows(40)}, lambda _: BAD_GATEWAY, raises="502", most=100, path="/v1"),
    Case("C: always a web page", LABELS, {"text": rows(40)}, lambda _: Answer(b"<html><title>Log in</title></html>", 200, PAGE), raises=r"web page.*Log in", most=20),
    # A cold start.
    *(
        Case(f"D: away for 30 s with {name}", LABELS, {"text": rows(4)}, until(30, refusal, labels), {0: "POSITIVE", 1: "POSITIVE", 2: "POSITIVE", 3: "POSITIVE"})
        for name, refusal in {
            "a 503 that says nothing": Answer({"error": "503 Service Unavailable"}, 503),
            "an empty 503": Answer(b"", 503),
            "nginx's 503": Answer(b"<html><title>503 Service Temporarily Unavailable</title></html>", 503, PAGE),
            "a 502": BAD_GATEWAY,
        }.items()
    ),
    Case("D: Text Embeddings Inference asleep", PAIRS, SIMILAR, until(4, Answer(b"", 503), tei), {0: 0.5, 7: 0.5}, get=until(4, Answer(b"", 503), tei_info)),
    Case("D: Text Embeddings Inference at its /predict", LABELS, {"text": rows(100)}, tei, {0: "POSITIVE", 99: "POSITIVE"}, most=6, path="/predict",
         get=tei_info),
    # Hugging Face's own toolkit.
    Case("E: embeddings", VECTORS, {"text": ["hello"]}, lambda asked: {"embeddings": vector(asked.texts[0])}, {0: vector("hello")}),
    Case("E: embeddings of lists", VECTORS, {"text": rows(40)}, lambda asked: {"embeddings": [vector(text) for text in asked.texts]}, {0: vector("an ordinary row 0000"), 39: vector("an ordinary row 0039")}),
    Case("E: similarities", PAIRS, SIMILAR, lambda asked: {"similarities": [int(text[5:]) / 8 for text in asked.body["inputs"]["sentences"]]}, {0: 0.0, 7: 7 / 8}),
    Case("E: ranking", RANKS, SIMILAR, toolkit_ranking, {0: 0.0, 7: 7 / 8}, most=4),
    # What a server repeats of a row decides nothing.
    *(
        Case(f"F: a row that says {words!r} is repeated", LABELS, {"text": rows(300, r150=words)},
             refusing(words, Answer({"detail": [{"type": "string_pattern_mismatch", "loc": ["body", "inputs"], "msg": "String should match pattern", "input": words}]}, 422), labels),
             {150: Reason("pattern"), 0: "POSITIVE", 299: "POSITIVE"})
        for words in ("page does not exist", "model Z not found!!")
    ),
    # No answer that cannot be read is paid for a thousand times.
    Case("G: content null", CHAT, {"text": rows(200)}, lambda _: chat(None), raises="", most=40, path="/v1"),
    Case("G: labels in a shape of its own", LABELS, {"text": rows(200)}, lambda _: {"labels": {"a": [1]}}, raises="", most=40),
    # Chat answers.
    chat_case("H: null, cut off", chat(None, "length", reasoning_content="hm"), Reason("max_tokens")),
    chat_case("H: null, a refusal", chat(None, "stop", refusal="I cannot help with that"), Reason("I cannot help with that")),
    chat_case("H: null, tools", chat(None, "tool_calls", tool_calls=[{"type": "function", "function": {"name": "look_up", "arguments": "{}"}}]), Reason("look_up")),
    chat_case("H: empty, tools", chat("", "tool_calls", tool_calls=[{"type": "function", "function": {"name": "look_up", "arguments": "{}"}}]), Reason("look_up")),
    chat_case("H: null, a filter", chat(None, "content_filter"), Reason("filter")),
    chat_case("H: parts", chat([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "good "}, {"type": "text", "text": "day"}]), "good day"),
    chat_case("H: no choices", {"choices": [], "usage": {}}, Reason("(no|without|empty|zero) .*(choice|answer|text)")),
    chat_case("H: thinking in the text", chat("<think>\nIs it {x}?\n</think>\n\npositive"), "positive"),
    Case("H: an error within a choice", CHAT, ONE,
         lambda asked: {"choices": [{"message": {"role": "assistant", "content": "The ans"}, "finish_reason": "error", "error": {"code": 502, "message": "Provider disconnected"}}]}
         if asked.number == 1 else chat("The answer"), {0: "The answer"}, path="/v1"),
    # Typed output.
    chat_case("I: an object after thinking", chat('<think>maybe {x}?</think>{"topic":"food","urgency":3}'), TYPED, most=1, **SCHEMA),
    chat_case("I: an object before a note", chat('{"topic":"food","urgency":3}\n\nNote: {topic} is a guess.'), TYPED, most=1, **SCHEMA),
    chat_case("I: two objects", chat('{"topic":"?"}\nBetter: {"topic":"food","urgency":3}'), TYPED, most=1, **SCHEMA),
    chat_case("I: 3.0 for a whole number", chat('{"topic":"food","urgency":3.0}'), TYPED, most=1, **SCHEMA),
    chat_case("I: within another", chat('{"answer": {"topic":"food","urgency":3}}'), TYPED, most=1, **SCHEMA),
    chat_case("I: cut off", chat('{"topic":"fo', "length"), Reason("cut off.*max_tokens"), most=1, **SCHEMA),
    # Streams.
    Case("J: streams unless told not to", CHAT, ONE, lambda asked: chat("good day") if asked.body.get("stream") is False else sse(delta("good"), "[DONE]"), {0: "good day"}, path="/v1"),
    chat_case("J: streams all the same", sse(delta("good "), delta("day", "stop"), "[DONE]"), "good day", most=1),
    chat_case("J: the end of a stream after the answer", Answer(json.dumps(chat("good day")).encode() + b"\n\ndata: [DONE]\n\n"), "good day", most=1),
    # Lists are not lost to long rows.
    Case("K: four long rows", LABELS, {"text": LONG}, no_long_lists, dict.fromkeys((0, 5, 200, 400, 600, 639), "POSITIVE"), most=90),
    Case("L: truncate", {**LABELS, "truncate": True}, {"text": rows(4)}, lambda asked: tei(asked) if asked.body.get("truncate") is True else Answer({"error": "must have less than 512 tokens"}, 413), {0: "POSITIVE"},
         get=tei_info),
    # Errors within a 200.
    chat_case("M: a provider's error", {"error": {"message": "Provider returned error", "code": 400}, "user_id": "u"}, Reason("Provider returned error")),
    chat_case("M: an error object", {"object": "error", "message": "the prompt is wrong", "code": 400}, Reason("the prompt is wrong")),
    chat_case("M: a detail", {"detail": "out of memory"}, Reason("out of memory")),
    chat_case("M: beside no choices", {"error": {"message": "no capacity left", "code": 400}, "choices": []}, Reason("no capacity left")),
    Case("M: in passing", CHAT, {"text": rows(4)}, lambda asked: {"error": {"message": "Provider returned error", "code": 502}, "user_id": "u"} if asked.number % 2 else echo(asked), {0: "AN ORDINARY ROW 0000", 3: "AN ORDINARY ROW 0003"}, path="/v1"),
    Case("M: in a list", LABELS, ONE, lambda _: [{"error": "the model crashed"}], raises="the model crashed"),
    # JSON that is not strict.
    Case("N: NaN among what is not read", CHAT, ONE, lambda _: Answer(json.dumps(chat("good day")).replace('"usage"', '"logprobs": -Infinity, "usage"').encode()), {0: "good day"}, most=1, path="/v1"),
    chat_case("N: a lone surrogate", Answer(rb'{"choices": [{"message": {"role": "assistant", "content": "cut \ud83d"}, "finish_reason": "stop"}]}'), "cut \ufffd", most=1),
    chat_case("N: a byte order mark", Answer(b"\xef\xbb\xbf" + json.dumps(chat("good day")).encode()), "good day", most=1),
    chat_case("N: ISO-8859-1", Answer(json.dumps(chat("d\u00e9j\u00e0"), ensure_ascii=False).encode("latin-1"), 200, {"Content-Type": "application/json; charset=ISO-8859-1"}), "d\u00e9j\u00e0", most=1),
    Case("N: whole, and no JSON", CHAT, ONE, lambda _: Answer(b"{'choices': []}"), raises="JSON", most=1, path="/v1"),
    Case("N: a vector of NaN", VECTORS, ONE, lambda _: Answer(b"[[NaN, NaN, 0.5]]"), raises="NaN", most=2),
    # Media without a type.
    *(
        Case(f"O: an image as {kind}", IMAGE, ONE, always(Answer(PNG, 200, {"Content-Type": kind})), {0: PNG_URI}, most=1)
        for kind in ("application/octet-stream", "binary/octet-stream", "text/plain")
    ),
    Case("O: a sound as bytes", {"task": "text-to-speech", "column": "text"}, ONE, lambda _: Answer(WAV, 200, {"Content-Type": "application/octet-stream"}), most=1,
         more=lambda got: str(got["y"][0]).startswith("data:audio/")),
    Case("O: an image as b64_json", IMAGE, ONE, lambda _: {"data": [{"b64_json": PNG_BASE64}]}, {0: PNG_URI}, most=1),
    Case("O: images", IMAGE, ONE, lambda _: {"images": [PNG_BASE64]}, {0: PNG_URI}, most=1),
    Case("O: Accept", IMAGE, ONE, lambda asked: Answer(PNG, 200, {"Content-Type": "image/png"}) if "image/png" in asked.headers.get("accept", "") else json.dumps(PNG_BASE64).encode()[:9],
         {0: PNG_URI}, most=1),
    # Addresses.
    Case("P: a slash at the end", LABELS, ONE, lambda asked: labels(asked) if asked.path == "/predict/" else Answer(b"", 307, {"Location": "/predict/"}), {0: "POSITIVE"}, path="/predict/"),
    Case("P: Azure", CHAT, ONE, only_at(f"{AZURE}/chat/completions?{VERSION}", echo), {0: "HELLO"},
         path=f"{AZURE}?{VERSION}"),
    Case("P: Azure, the full address", CHAT, ONE, only_at(f"{AZURE}/chat/completions?{VERSION}", echo), {0: "HELLO"},
         path=f"{AZURE}/chat/completions?{VERSION}"),
    *(
        Case(f"P: {base}", CHAT, ONE, only_at(f"{base.rstrip('/')}/chat/completions", echo), {0: "HELLO"}, path=base)
        for base in ("/v1beta/openai", "/v1beta/openai/", "/v1/openai", "/api/v3", "/api/paas/v4", "/serving-endpoints")
    ),
    Case("P: a 404 shows what was asked", CHAT, ONE, not_found, raises="/api/chat/v1/chat/completions", path="/api/chat"),
    # Rate limits.
    Case("Q: nothing remains for 50 minutes", LABELS, {"text": rows(3)}, lambda asked: Answer([label("")], 200, {"Content-Type": "application/json", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "3000"}),
         {0: "POSITIVE", 1: Reason("3000|50 min|wait"), 2: Reason("")}, most=3),
    Case("Q: -1 remains, which is no limit", LABELS, {"text": rows(3)}, lambda asked: Answer([label("")], 200, {"Content-Type": "application/json", "X-RateLimit-Remaining": "-1", "X-RateLimit-Reset": "3000"}),
         {0: "POSITIVE", 1: "POSITIVE", 2: "POSITIVE"}, most=3),
    Case("R: 201", LABELS, {"text": rows(5)}, lambda asked: Answer(labels(asked), 201), {0: "POSITIVE", 4: "POSITIVE"}),
    Case("R: 204", LABELS, ONE, lambda asked: Answer(b"", 204), raises="204.*(empty|no content|nothing)", most=3),
    Case("S: the quota is spent", CHAT, {"text": rows(20)}, lambda _: Answer({"error": {"message": "You exceeded your current quota, please check your plan and billing details.", "type": "insufficient_quota", "code": "insufficient_quota"}}, 429),
         raises="quota", most=2, path="/v1"),
    # Smaller ones.
    Case("T: labels that are numbers", LABELS, ONE, lambda _: [[{"label": 3, "score": 0.9}, {"label": 1, "score": 0.1}]], {0: "3"}),
    Case("T: scores as text", LABELS, ONE, lambda _: [[{"label": "POSITIVE", "score": "0.9"}]], {0: "POSITIVE"}, more=lambda got: got["y_confidence"] == [0.9]),
    *(
        Case(f"T: generated_text of {task}", {"task": task, "column": "text", "model": "o/m"}, ONE, lambda _: [{"generated_text": "short"}], {0: "short"})
        for task in ("summarization", "translation")
    ),
    Case("T: 424 in passing", LABELS, {"text": rows(3)}, lambda asked: Answer({"error": "Request failed during generation"}, 424) if asked.number < 3 else labels(asked), {0: "POSITIVE", 2: "POSITIVE"}),
    Case("T: null in a vector", VECTORS, ONE, lambda _: [[None, None, 0.5]], raises="null"),
    Case("T: a header of 20 KB", LABELS, ONE, lambda asked: Answer(labels(asked), 200, {"Content-Type": "application/json", "Content-Security-Policy": "x" * 20_000}), {0: "POSITIVE"}, most=1),
    Case("T: one token's vectors stay a list", {**VECTORS, "pooling": "none"}, {"text": ["a", "a b"]}, lambda asked: [[[0.5, 0.25]]] if asked.texts == ["a"] else [[[0.5, 0.25], [0.5, 0.25]]], {0: [[0.5, 0.25]], 1: [[0.5, 0.25], [0.5, 0.25]]}),
    Case("T: Retry-After with a unit", LABELS, ONE, lambda asked: Answer({"error": "slow down"}, 429, {"Retry-After": "2s"}) if asked.seconds < 1.9 else labels(asked), {0: "POSITIVE"}, most=2),
    Case("T: JSON within JSON", LABELS, ONE, lambda _: json.dumps(json.dumps([label("")])).encode(), {0: "POSITIVE"}),
    # Servers that speak another protocol.
    *(
        Case(f"U: OpenAI's embeddings at {base or 'the root'}", VECTORS, {"text": rows(64)}, only_at("/v1/embeddings", embeddings),
             {0: vector("an ordinary row 0000"), 63: vector("an ordinary row 0063")}, most=8, path=base,
             get=lambda asked: {"object": "list", "data": [{"id": "m", "object": "model", "owned_by": "library"}]} if asked.path == "/v1/models" else not_found(asked))
        for base in ("", "/v1", "/v1/", "/v1/embeddings")
    ),
    Case("U: Cohere's and Jina's rerank", RANKS, SIMILAR, lambda asked: {"results": [{"index": index, "relevance_score": int(text[5:]) / 8} for index, text in enumerate(asked.body["documents"])][::-1]} if asked.path == "/v1/rerank" else not_found(asked),
         {0: 0.0, 7: 7 / 8}, most=2, path="/v1/rerank"),
    Case("U: completions", {"task": "text-generation", "column": "text"}, ONE, lambda asked: {"object": "text_completion", "choices": [{"index": 0, "text": f"{asked.body['prompt']}!", "finish_reason": "stop"}]} if asked.path == "/v1/completions" else not_found(asked),
         {0: "hello!"}, path="/v1/completions"),
]  # fmt: skip


@pytest.fixture(scope="module")
def client() -> Iterator[FastClient]:
    running = FastClient()
    yield running
    running.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_ordinary_servers(case: Case, client: FastClient) -> None:
    server = Imitation()
    server.case = case
    try:
        engine = {"endpoint": f"http://127.0.0.1:{server.ports[0]}{case.path}", **case.engine}
        using = {"model": "m", "target": "y", "cache": False, **case.using}
        got = client.predict(case.columns, using, engine, WITHIN_S)
    finally:
        server.close()
    if case.raises is not None:
        assert got.get("raised") == "InferenceError", got
        assert re.search(case.raises, got["message"], re.S | re.I), got["message"]
    else:
        assert "raised" not in got, got["message"]
        values, reasons = got["columns"]["y"], got["columns"]["y_error"]
        for index, want in case.want.items():
            if isinstance(want, Reason):
                assert values[index] is None
                assert re.search(want.pattern, str(reasons[index]), re.S | re.I), reasons[index]
            else:
                assert (values[index], reasons[index]) == (want, None)
        failed = [index for index, reason in enumerate(reasons) if reason is not None]
        assert failed == sorted(index for index, want in case.want.items() if isinstance(want, Reason))
        if case.more is not None:
            assert case.more(got["columns"]), got["columns"]
    if case.most is not None:
        assert server.posts <= case.most, server.posts
