"""The simulated inference service: a process of its own that behaves as its plan says, and counts what it is sent.

A lean HTTP/1.1 server, since it may not be the bottleneck of what is measured. ``POST /_plan`` gives it another plan
and zeroes the counts, ``GET /_stats`` reads them; any other POST is a request for inference.
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
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

IN_TRANSIT_S = 0.05
"""Seconds after an announcement in which arrivals still count as sent before it was read."""
TIMELINE_STEP_S = 0.5
"""Seconds of one entry of ``timeline``."""
_POSITIVE = b'[{"label":"POSITIVE","score":%.6f},{"label":"NEGATIVE","score":%.6f}]'
_NEGATIVE = b'[{"label":"NEGATIVE","score":%.6f},{"label":"POSITIVE","score":%.6f}]'
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 413: "Payload Too Large", 422: "Unprocessable Entity"} | {
    429: "Too Many Requests",
    503: "Service Unavailable",
}


@dataclass(frozen=True)
class Plan:
    """How the service behaves. Times in seconds.

    A request occupies one of ``capacity`` places for ``latency + per_item * inputs``, give or take the share
    ``jitter`` of it; ``queue`` more wait their turn, and what exceeds them is refused with ``refusal``. ``rate``
    requests a second are let in (a bucket of ``burst``, by default a second's worth); ``announce`` says how a 429 tells
    when to come back: 'seconds' or 'date' in Retry-After, 'ratelimit', 'x-ratelimit' or 'nothing'. Lists of more than
    ``largest_batch`` are refused with ``too_large``; 1 refuses all lists, None takes any. It loads for ``loading`` from
    the first request. An input that holds ``poison`` has its whole request refused.
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

    @property
    def bucket(self) -> float:
        return max(1.0, self.burst or self.rate or 1.0)


def score(item: str | bytes) -> float:
    """The score of 'POSITIVE' for an input, in [0, 1): a function of its bytes, so that every answer can be checked."""
    return round(zlib.crc32(item if isinstance(item, bytes) else item.encode()) / 2**32, 6)


def _media(item: str | bytes) -> str | bytes:
    """A PNG that came as base64 in JSON is the PNG."""
    return base64.b64decode(item) if isinstance(item, str) and item.startswith("iVBORw0KGgo") else item


def _answer(item: str | bytes) -> bytes:
    positive = score(item)
    if positive >= 0.5:  # the best label comes first
        return _POSITIVE % (positive, 1 - positive)
    return _NEGATIVE % (1 - positive, positive)


Reply = tuple[int, bytes, bytes]  # status, body, further header lines


def _error_reply(status: int, error: Any, headers: bytes = b"", **more: Any) -> Reply:
    return status, orjson.dumps({"error": error, **more}), headers


class Responder(Protocol):
    """Where an answer goes."""

    def reply(self, status: int, body: bytes, headers: bytes = b"") -> None: ...


class Service:
    """The state of one plan: places, queue, bucket, counts."""

    def __init__(
        self,
        plan: Plan,
        call_later: Callable[..., Any],
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.plan = plan
        self._call_later, self._clock, self._wall_clock = call_later, clock, wall_clock
        self._active = 0
        self._waiting: deque[tuple[Responder, list[str | bytes], bool]] = deque()
        self._tokens, self._filled_at = plan.bucket, clock()
        self._announced: dict[bytes, tuple[float, float]] = {}
        self._first_at: float | None = None
        self._refused: Counter[int] = Counter()
        self._timeline: Counter[int] = Counter()
        self._counts: Counter[str] = Counter()
        self._cpu = resource.getrusage(resource.RUSAGE_SELF)

    def request(self, connection: Responder, account: bytes, body: bytes, *, is_json: bool) -> None:
        """One POST: refused now, or answered when it has had its place for its time."""
        now = self._clock()
        if self._first_at is None:
            self._first_at = now
        self._counts["requests"] += 1
        announced_at, until = self._announced.get(account, (0.0, 0.0))
        if now < until:
            self._counts["in_transit" if now - announced_at < IN_TRANSIT_S else "violations"] += 1
        inputs: Any = orjson.loads(body)["inputs"] if is_json else body
        is_list = isinstance(inputs, list)
        items: list[str | bytes] = inputs if is_list else [_media(inputs)]
        self._counts["items"] += len(items)
        refused = self._refuse(account, items, is_list=is_list, now=now)
        if refused is not None:
            self._refused[refused[0]] += 1
            connection.reply(*refused)
        elif self._active < self.plan.capacity:
            self._start(connection, items, is_list)
        else:
            self._waiting.append((connection, items, is_list))

    def _refuse(self, account: bytes, items: list[str | bytes], *, is_list: bool, now: float) -> Reply | None:
        plan = self.plan
        assert self._first_at is not None
        if now - self._first_at < plan.loading:
            return _error_reply(503, "Model bench/model is currently loading", estimated_time=plan.loading)
        if plan.rate is not None:
            self._tokens = min(plan.bucket, self._tokens + (now - self._filled_at) * plan.rate)
            self._filled_at = now
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
        if self._active >= plan.capacity and len(self._waiting) >= plan.queue:
            return _error_reply(plan.refusal, "Model is overloaded", error_type="overloaded")
        return None

    def _announce(self, account: bytes, wait: float, now: float) -> bytes:
        """The header that tells when to come back, which is noted: nothing may arrive before."""
        seconds = math.ceil(wait)
        if self.plan.announce == "nothing":
            return b""
        if self.plan.announce == "date":  # of whole seconds, so it is told rounded up
            at = math.ceil(self._wall_clock() + wait)
            announced_seconds = at - self._wall_clock()
            header = b"Retry-After: %s\r\n" % email.utils.formatdate(at, usegmt=True).encode()
        else:
            announced_seconds = float(seconds)
            header = b"Retry-After: %d\r\n" % seconds if self.plan.announce == "seconds" else self._limits(seconds)
        announced_at, until = self._announced.get(account, (0.0, 0.0))
        self._announced[account] = (announced_at if now < until else now, max(until, now + announced_seconds))
        return header

    def _limits(self, reset: int) -> bytes:
        remaining, limit = int(self._tokens), int(self.plan.bucket)
        if self.plan.announce == "x-ratelimit":
            return b"X-RateLimit-Limit: %d\r\nX-RateLimit-Remaining: %d\r\nX-RateLimit-Reset: %d\r\n" % (
                limit,
                remaining,
                reset,
            )
        window = math.ceil(self.plan.bucket / (self.plan.rate or 1.0))
        return b'RateLimit: "default";r=%d;t=%d\r\nRateLimit-Policy: "default";q=%d;w=%d\r\n' % (
            remaining,
            reset,
            limit,
            window,
        )

    def _start(self, connection: Responder, items: list[str | bytes], is_list: bool) -> None:
        plan = self.plan
        self._active += 1
        self._counts["peak_active"] = max(self._counts["peak_active"], self._active)
        seconds = plan.latency + plan.per_item * len(items)
        if plan.jitter:  # by the input, so that two clients meet the same
            seconds *= 1 + plan.jitter * (2 * score(items[0]) - 1)
        if seconds > 0:
            self._call_later(seconds, self._finish, connection, items, is_list)
        else:
            self._finish(connection, items, is_list)

    def _finish(self, connection: Responder, items: list[str | bytes], is_list: bool) -> None:
        self._active -= 1
        self._counts["answered"] += 1
        self._counts["items_answered"] += len(items)
        self._timeline[int((self._clock() - (self._first_at or 0.0)) / TIMELINE_STEP_S)] += len(items)
        # The shape of hf-inference: a list for each text, one alone included; an image's labels come bare.
        body = b"[%s]" % b",".join(map(_answer, items)) if is_list or isinstance(items[0], str) else _answer(items[0])
        limited = self.plan.rate is not None and self.plan.announce.endswith("ratelimit")
        connection.reply(200, body, self._limits(1) if limited else b"")
        if self._waiting and self._active < self.plan.capacity:
            self._start(*self._waiting.popleft())

    def stats(self) -> dict[str, Any]:
        """Counts since the plan was given; ``cpu_seconds`` are this process's own."""
        cpu = resource.getrusage(resource.RUSAGE_SELF)
        names = ("requests", "items", "answered", "items_answered", "violations", "in_transit", "peak_active")
        return {
            **{name: self._counts[name] for name in names},
            "refused": {str(status): count for status, count in sorted(self._refused.items())},
            "timeline": [self._timeline[index] for index in range(max(self._timeline, default=-1) + 1)],
            "cpu_seconds": cpu.ru_utime + cpu.ru_stime - self._cpu.ru_utime - self._cpu.ru_stime,
        }


class Connection(asyncio.Protocol):
    """HTTP/1.1 with Content-Length, one request at a time."""

    service: Service  # of the whole process, replaced with each plan

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._buffer = bytearray()
        self._needed = 0

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= self._needed:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._buffer[: end + 2])
            lowered = head.lower()
            length = int(_header(lowered, b"content-length") or 0)
            self._needed = end + 4 + length
            if len(self._buffer) < self._needed:
                return
            body = bytes(self._buffer[end + 4 : self._needed])
            del self._buffer[: self._needed]
            self._needed = 0
            self._handle(head, lowered, body)

    def _handle(self, head: bytes, lowered: bytes, body: bytes) -> None:
        method, path = head.split(b" ", 2)[:2]
        if path == b"/_plan":
            Connection.service = Service(Plan(**orjson.loads(body)), asyncio.get_running_loop().call_later)
            self.reply(200, b"{}")
        elif path == b"/_stats":
            self.reply(200, orjson.dumps(self.service.stats()))
        elif path.startswith(b"/api/models/"):  # the Hub's word on any model, for clients that want it first
            model = {"id": path[len(b"/api/models/") :].decode(), "pipeline_tag": "text-classification"}
            self.reply(200, orjson.dumps(model))
        elif path == b"/health":
            self.reply(200, b"{}")
        elif method != b"POST":
            self.reply(404, b"" if method == b"HEAD" else b'{"error":"not found"}')
        else:
            # Some clients send JSON with no content type, so the body itself is what tells.
            self.service.request(self, _header(lowered, b"authorization"), body, is_json=body[:1] == b"{")

    def reply(self, status: int, body: bytes, headers: bytes = b"") -> None:
        if not self._transport.is_closing():
            self._transport.write(
                b"HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s"
                % (status, _REASONS[status].encode(), len(body), headers, body)
            )


def _header(lowered: bytes, name: bytes) -> bytes:
    at = lowered.find(b"\r\n" + name + b":")
    return lowered[at + len(name) + 3 : lowered.find(b"\r\n", at + 2)].strip() if at >= 0 else b""


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    Connection.service = Service(Plan(), loop.call_later)
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # whoever started it closes stdin, also by dying


if __name__ == "__main__":
    asyncio.run(_serve())
