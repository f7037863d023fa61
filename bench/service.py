"""The simulated inference service: a process that behaves as its plan says and counts its requests.

A minimal HTTP/1.1 server, so that the clients are the bottleneck and not the service. ``POST /_plan`` sets another
plan and resets the counts. ``GET /_stats`` returns them. Any other POST is an inference request.
"""

from __future__ import annotations

import asyncio
import base64
import email.utils
import math
import resource
import sys
import time
import zlib
from array import array
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, TypedDict

import orjson

from .prose import SPECIAL_TOKENS, token_counter

IN_TRANSIT_S = 0.05
"""A request that arrives within this time of an announcement was sent before its client could read it."""
TIMELINE_STEP_S = 0.5
"""Each number of ``timeline`` counts the inputs of so many seconds."""
DECIMALS = 6
"""Decimals of a score."""
DIMENSIONS = 384
"""Numbers of a vector, as many as the smallest models in use have."""
_POSITIVE = b'[{"label":"POSITIVE","score":%.6f},{"label":"NEGATIVE","score":%.6f}]'
_NEGATIVE = b'[{"label":"NEGATIVE","score":%.6f},{"label":"POSITIVE","score":%.6f}]'
_REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    413: "Payload Too Large",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    503: "Service Unavailable",
}

Item = str | bytes
"""One input: a text, or the bytes of a file."""


Change = tuple[float, Mapping[str, Any]]
"""Seconds from the first request, and the new values of fields of ``Plan``."""


@dataclass(frozen=True)
class Plan:
    """How the service behaves.

    Attributes:
        latency: Seconds that a request occupies a slot, whatever its size.
        per_item: Seconds more for each input.
        jitter: Share by which that time varies, up or down, by the input.
        capacity: Slots: how many requests are processed at once.
        queue: How many requests may wait for a slot. Those beyond are rejected.
        refusal: HTTP status of that rejection.
        rate: Requests per second that are accepted, by a token bucket. None: no limit.
        burst: Size of the token bucket. None: the tokens of one second.
        announce: How a 429 tells when to come back: 'seconds' or 'date' in Retry-After, 'ratelimit', 'x-ratelimit',
            or 'nothing'.
        largest_batch: Longer lists are rejected. 1: every list is. None: none is.
        too_large: HTTP status of that rejection.
        loading: Seconds from the first request in which every request gets a 503.
        poison: A request with an input that contains this text is rejected with a 400.
        flagged: The same with a 403, as by moderation.
        max_chars: A request with a longer input is rejected with a 413.
        max_tokens: The same with an input of more tokens, as BERT's tokenizer counts them, special tokens included.
        tells_length: Who is told that length: 'all' at ``/info``, as Text Embeddings Inference does; 'refused' only in
            the rejection, with the tokens that were counted; or 'nobody', where the rejection has no number.
        counts_tokens: Whether each answer tells the tokens that were read.
        decimals: Of the scores. 0: there are two answers only.
        embeddings: Whether answers are vectors of ``DIMENSIONS`` numbers, of which the first is the score: 'lists' as
            hf-inference sends them, or 'base64' as OpenAI-compatible servers do.
        changes: What is different from some seconds after the first request on, in the order of time.
    """

    latency: float = 0.0
    per_item: float = 0.0
    jitter: float = 0.0
    capacity: int = 1_000_000
    queue: int = 1_000_000
    refusal: int = 429
    rate: float | None = None
    burst: float | None = None
    announce: str = "nothing"
    largest_batch: int | None = 1
    too_large: int = 413
    loading: float = 0.0
    poison: str | None = None
    flagged: str | None = None
    max_chars: int | None = None
    max_tokens: int | None = None
    tells_length: str = "nobody"
    counts_tokens: bool = False
    decimals: int = DECIMALS
    embeddings: str = ""
    changes: Sequence[Change] = ()

    @property
    def bucket(self) -> float:
        """Size of the token bucket."""
        return max(1.0, self.burst or self.rate or 1.0)

    def phases(self) -> list[tuple[float, Plan]]:
        """When the service begins to behave in another way, in seconds from the first request, and how from then on."""
        phases = [(0.0, replace(self, changes=()))]
        for seconds, values in self.changes:
            phases.append((seconds, replace(phases[-1][1], **values)))
        return phases


class Stats(TypedDict):
    """Counts since the plan was set.

    ``items`` are inputs. ``violations`` are requests that came before the time that a 429 had announced; those that
    had already been sent (see ``IN_TRANSIT_S``) are counted as ``in_transit`` instead. ``peak_active`` is the largest
    number of occupied slots. ``refused`` counts rejections by HTTP status, ``timeline`` answered inputs by time.
    ``cpu_seconds`` is the CPU time of the service.
    """

    requests: int
    items: int
    answered: int
    items_answered: int
    violations: int
    in_transit: int
    peak_active: int
    refused: dict[str, int]
    timeline: list[int]
    cpu_seconds: float


def score(item: Item, decimals: int = DECIMALS) -> float:
    """The score of 'POSITIVE' for an input, from 0 to 1. It depends on the input's bytes alone."""
    return round(zlib.crc32(item if isinstance(item, bytes) else item.encode()) / 2**32, decimals)


def _decode_media(item: Item) -> Item:
    """The PNG that came as base64 in JSON; any other input as it is."""
    return base64.b64decode(item) if isinstance(item, str) and item.startswith("iVBORw0KGgo") else item


def _only_text(item: Any) -> Item:
    """An input of a list: as it is, or in a list of its own, as ``/predict`` of Text Embeddings Inference has it."""
    text: Item = item[0] if isinstance(item, list) else item
    return text


def _count_tokens(item: Item) -> int:
    """The tokens of a text, special tokens included."""
    assert isinstance(item, str)
    return token_counter()(item) + SPECIAL_TOKENS


def _answer(item: Item, decimals: int) -> bytes:
    positive = score(item, decimals)
    if positive >= 0.5:  # the best label comes first
        return _POSITIVE % (positive, 1 - positive)
    return _NEGATIVE % (1 - positive, positive)


_REST = array("f", [math.sin(number) / 10 for number in range(1, DIMENSIONS)])
_REST_AS_TEXT = b"".join(b",%.9g" % number for number in _REST)
_REST_AS_BYTES = _REST.tobytes()


def _vectors(items: Sequence[Item], form: str) -> bytes:
    """An answer of vectors, each with the score of its input as the first number."""
    if form == "lists":
        return b"[%b]" % b",".join(b"[%.6f%b]" % (score(item), _REST_AS_TEXT) for item in items)
    data = b",".join(
        b'{"object":"embedding","index":%d,"embedding":"%b"}'
        % (index, base64.b64encode(array("f", [score(item)]).tobytes() + _REST_AS_BYTES))
        for index, item in enumerate(items)
    )
    tokens = 20 * len(items)
    usage = b'{"prompt_tokens":%d,"total_tokens":%d}' % (tokens, tokens)
    return b'{"object":"list","data":[%b],"model":"bench/model","usage":%b}' % (data, usage)


class Reply(NamedTuple):
    """A response. ``headers`` are lines that end in CRLF, besides Content-Type and Content-Length."""

    status: int
    body: bytes
    headers: bytes


def _error_reply(status: int, error: str | list[str], headers: bytes = b"", **more: str | float) -> Reply:
    return Reply(status, orjson.dumps({"error": error, **more}), headers)


def _too_long(plan: Plan, tokens: int) -> Reply:
    """The rejection of a request with an input of so many tokens."""
    if plan.tells_length == "nobody":
        return _error_reply(422, "Input validation error: the input is too long", error_type="Validation")
    words = f"Input validation error: `inputs` must have less than {plan.max_tokens} tokens. Given: {tokens}"
    return _error_reply(413, words, error_type="Validation")


class Responder(Protocol):
    """Sends the response to one request."""

    def reply(self, status: int, body: bytes, headers: bytes = b"") -> None:
        """Send it. ``headers`` are as in ``Reply``."""


class Service:
    """The state of one plan: slots, queue, token bucket, counts.

    Args:
        plan: How to behave. It may be replaced while requests are processed.
        call_later: Calls a function with arguments after so many seconds, as an event loop does.
        clock: Monotonic seconds.
        wall_clock: Seconds since the epoch, for Retry-After as a date.
    """

    def __init__(
        self,
        plan: Plan,
        call_later: Callable[..., object],
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.plan = plan
        self._phases = deque(plan.phases()[1:])
        self._call_later, self._clock, self._wall_clock = call_later, clock, wall_clock
        self._active = 0
        self._waiting: deque[tuple[Responder, list[Item], bool]] = deque()
        self._tokens, self._filled_at = plan.bucket, clock()
        self._announced: dict[bytes, tuple[float, float]] = {}  # by account: when, and the announced time
        self._first_at: float | None = None
        self._refused: Counter[int] = Counter()
        self._timeline: Counter[int] = Counter()
        self._counts: Counter[str] = Counter()
        self._cpu = resource.getrusage(resource.RUSAGE_SELF)

    def request(self, connection: Responder, account: bytes, body: bytes, *, is_json: bool) -> None:
        """Process one inference request: reject it now, or answer it after its time in a slot.

        Args:
            connection: Sends the response.
            account: The Authorization header. Announced times hold per account.
            body: JSON with ``inputs``, or OpenAI's ``input``, or the bytes of a file.
            is_json: Which of the two ``body`` is.
        """
        now = self._clock()
        if self._first_at is None:
            self._first_at = now
        self._follow_timeline(now)
        self._counts["requests"] += 1
        announced_at, until = self._announced.get(account, (0.0, 0.0))
        if now < until:
            self._counts["in_transit" if now - announced_at < IN_TRANSIT_S else "violations"] += 1
        inputs: Any = body
        if is_json:
            asked = orjson.loads(body)
            inputs = asked["inputs"] if "inputs" in asked else asked["input"]
        is_list = isinstance(inputs, list)
        items: list[Item] = [_only_text(item) for item in inputs] if is_list else [_decode_media(inputs)]
        self._counts["items"] += len(items)
        rejection = self._reject(account, items, is_list=is_list, now=now)
        if rejection is not None:
            self._refused[rejection.status] += 1
            connection.reply(*rejection)
        elif self._active < self.plan.capacity:
            self._start(connection, items, is_list)
        else:
            self._waiting.append((connection, items, is_list))

    def _follow_timeline(self, now: float) -> None:
        """Behave as the plan says of this moment."""
        while self._phases and self._first_at is not None and now >= self._first_at + self._phases[0][0]:
            seconds, plan = self._phases.popleft()
            self._fill_bucket(self._first_at + seconds)
            self.plan = plan

    def _fill_bucket(self, now: float) -> None:
        self._tokens = min(self.plan.bucket, self._tokens + (now - self._filled_at) * (self.plan.rate or 0.0))
        self._filled_at = now

    def _reject(self, account: bytes, items: list[Item], *, is_list: bool, now: float) -> Reply | None:
        """The rejection of a request, None where it is accepted."""
        plan = self.plan
        assert self._first_at is not None
        if now - self._first_at < plan.loading:
            return _error_reply(503, "Model bench/model is currently loading", estimated_time=plan.loading)
        if plan.rate is not None:
            self._fill_bucket(now)
            if self._tokens < 1:
                wait = (1 - self._tokens) / plan.rate
                return _error_reply(429, "You have reached the rate limit", self._announce(account, wait, now))
            self._tokens -= 1
        if is_list and plan.largest_batch == 1:
            return _error_reply(400, ["Error in `inputs`: Input should be a valid string"])
        if plan.largest_batch is not None and len(items) > plan.largest_batch:
            sizes = f"batch size {len(items)} > maximum allowed batch size {plan.largest_batch}"
            return _error_reply(plan.too_large, sizes, error_type="Validation")
        if plan.poison is not None and any(isinstance(item, str) and plan.poison in item for item in items):
            return _error_reply(400, ["Error in `inputs`: the input cannot be read"])
        if plan.flagged is not None and any(isinstance(item, str) and plan.flagged in item for item in items):
            return _error_reply(403, "Your input was flagged")
        if plan.max_chars is not None and any(len(item) > plan.max_chars for item in items):
            return _error_reply(413, "Input validation error: `inputs` must have less than 512 tokens")
        if plan.max_tokens is not None:
            tokens = next((count for count in map(_count_tokens, items) if count > plan.max_tokens), None)
            if tokens is not None:
                return _too_long(plan, tokens)
        if self._active >= plan.capacity and len(self._waiting) >= plan.queue:
            return _error_reply(plan.refusal, "Model is overloaded", error_type="overloaded")
        return None

    def _announce(self, account: bytes, wait: float, now: float) -> bytes:
        """The headers that announce when to come back. A request before that time is a violation."""
        seconds = math.ceil(wait)
        if self.plan.announce == "nothing":
            return b""
        if self.plan.announce == "date":  # has whole seconds, so round up
            at = math.ceil(self._wall_clock() + wait)
            announced_seconds = at - self._wall_clock()
            headers = b"Retry-After: %s\r\n" % email.utils.formatdate(at, usegmt=True).encode()
        elif self.plan.announce == "seconds":
            announced_seconds = float(seconds)
            headers = b"Retry-After: %d\r\n" % seconds
        else:
            announced_seconds = float(seconds)
            headers = self._rate_limit_headers(seconds)
        announced_at, until = self._announced.get(account, (0.0, 0.0))
        self._announced[account] = (announced_at if now < until else now, max(until, now + announced_seconds))
        return headers

    def _rate_limit_headers(self, reset_s: int) -> bytes:
        remaining, limit = int(self._tokens), int(self.plan.bucket)
        if self.plan.announce == "x-ratelimit":
            return b"X-RateLimit-Limit: %d\r\nX-RateLimit-Remaining: %d\r\nX-RateLimit-Reset: %d\r\n" % (
                limit,
                remaining,
                reset_s,
            )
        window_s = math.ceil(self.plan.bucket / (self.plan.rate or 1.0))
        return b'RateLimit: "default";r=%d;t=%d\r\nRateLimit-Policy: "default";q=%d;w=%d\r\n' % (
            remaining,
            reset_s,
            limit,
            window_s,
        )

    def _start(self, connection: Responder, items: list[Item], is_list: bool) -> None:
        plan = self.plan
        self._active += 1
        self._counts["peak_active"] = max(self._counts["peak_active"], self._active)
        seconds = plan.latency + plan.per_item * len(items)
        if plan.jitter:  # by the input, so that it is the same for every client
            seconds *= 1 + plan.jitter * (2 * score(items[0]) - 1)
        if seconds > 0:
            self._call_later(seconds, self._finish, connection, items, is_list)
        else:
            self._finish(connection, items, is_list)

    def _finish(self, connection: Responder, items: list[Item], is_list: bool) -> None:
        self._follow_timeline(self._clock())
        self._active -= 1
        self._counts["answered"] += 1
        self._counts["items_answered"] += len(items)
        self._timeline[int((self._clock() - (self._first_at or 0.0)) / TIMELINE_STEP_S)] += len(items)
        # As hf-inference does: labels of a text in a list of one list, labels of an image in a list.
        if self.plan.embeddings:
            body = _vectors(items, self.plan.embeddings)
        else:
            answers = b",".join(_answer(item, self.plan.decimals) for item in items)
            body = b"[%s]" % answers if is_list or isinstance(items[0], str) else answers
        limited = self.plan.rate is not None and self.plan.announce.endswith("ratelimit")
        headers = self._rate_limit_headers(1) if limited else b""
        if self.plan.counts_tokens:
            headers += b"x-compute-tokens: %d\r\n" % sum(map(_count_tokens, items))
        connection.reply(200, body, headers)
        if self._waiting and self._active < self.plan.capacity:
            self._start(*self._waiting.popleft())

    def stats(self) -> Stats:
        """Counts since the plan was set."""
        cpu = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "requests": self._counts["requests"],
            "items": self._counts["items"],
            "answered": self._counts["answered"],
            "items_answered": self._counts["items_answered"],
            "violations": self._counts["violations"],
            "in_transit": self._counts["in_transit"],
            "peak_active": self._counts["peak_active"],
            "refused": {str(status): count for status, count in sorted(self._refused.items())},
            "timeline": [self._timeline[index] for index in range(max(self._timeline, default=-1) + 1)],
            "cpu_seconds": cpu.ru_utime + cpu.ru_stime - self._cpu.ru_utime - self._cpu.ru_stime,
        }


def _about_model(plan: Plan) -> dict[str, Any]:
    """What Text Embeddings Inference says at ``/info``."""
    return {
        "model_id": "bench/model",
        "model_type": {"classifier": {"id2label": {"0": "NEGATIVE", "1": "POSITIVE"}}},
        "max_input_length": plan.max_tokens,
        "max_client_batch_size": plan.largest_batch,
    }


class Connection(asyncio.Protocol):
    """HTTP/1.1 with Content-Length, one request at a time."""

    service: Service  # one for all connections, replaced with each plan

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._buffer = bytearray()
        self._needed = 0

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        self._buffer += data
        while len(self._buffer) >= self._needed:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._buffer[: end + 2])
            lowered_head = head.lower()
            length = int(_header(lowered_head, b"content-length") or 0)
            self._needed = end + 4 + length
            if len(self._buffer) < self._needed:
                return
            body = bytes(self._buffer[end + 4 : self._needed])
            del self._buffer[: self._needed]
            self._needed = 0
            self._handle(head, lowered_head, body)

    def _handle(self, head: bytes, lowered_head: bytes, body: bytes) -> None:
        method, path = head.split(b" ", 2)[:2]
        if path == b"/_plan":
            Connection.service = Service(Plan(**orjson.loads(body)), asyncio.get_running_loop().call_later)
            self.reply(200, b"{}")
        elif path == b"/_stats":
            self.reply(200, orjson.dumps(self.service.stats()))
        elif path.startswith(b"/api/models/"):  # the Hub's answer about a model, for clients that ask it first
            model = {"id": path[len(b"/api/models/") :].decode(), "pipeline_tag": "text-classification"}
            self.reply(200, orjson.dumps(model))
        elif path == b"/info" and self.service.plan.tells_length == "all":
            self.reply(200, orjson.dumps(_about_model(self.service.plan)))
        elif path == b"/health":
            self.reply(200, b"{}")
        elif method != b"POST":
            self.reply(404, b"" if method == b"HEAD" else b'{"error":"not found"}')
        else:
            # Some clients send JSON without a content type, so look at the body.
            self.service.request(self, _header(lowered_head, b"authorization"), body, is_json=body[:1] == b"{")

    def reply(self, status: int, body: bytes, headers: bytes = b"") -> None:
        """Send a response, unless the client has gone. ``headers`` are as in ``Reply``."""
        if not self._transport.is_closing():
            self._transport.write(
                b"HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s"
                % (status, _REASONS[status].encode(), len(body), headers, body)
            )


def _header(lowered_head: bytes, name: bytes) -> bytes:
    """The value of a header, empty where it is missing."""
    at = lowered_head.find(b"\r\n" + name + b":")
    return lowered_head[at + len(name) + 3 : lowered_head.find(b"\r\n", at + 2)].strip() if at >= 0 else b""


async def _serve() -> None:
    """Print the port, then serve until the parent process closes stdin or ends."""
    loop = asyncio.get_running_loop()
    Connection.service = Service(Plan(), loop.call_later)
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve())
