"""A Hugging Face service on a bad day, in a process of its own: raw HTTP/1.1, since half of what it does is not HTTP.

``python -m tests.faults.service`` prints two ports: its own, and that of a second listener, to which it redirects
and where no connection may ever arrive. The path of a request holds its ``Plan``; GET ``/<plan>/state`` tells what
the plan did, ``asked`` and ``answered`` how often each input was.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import socket
import struct
import sys
import time
import zlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from typing import Any

from tests.faults.plan import Plan

BOMB_BYTES = 1 << 30
_DRIP = b"x" * 65_536
_ESTIMATES: tuple[Any, ...] = (600, 1e9, 0.001, 0, -5, "soon", None, True, 10**400, float("inf"), float("nan"))
_DATE_THAT_IS_NONE = "Mon, 31 Feb 99999 00:00:00 GMT"


@dataclass
class State:
    """What a plan did: requests by what they met, what each input asked alone was told, answers given of each."""

    plan: Plan
    requests: int = 0
    batches: int = 0
    met: Counter[str] = field(default_factory=Counter)
    led: Counter[str] = field(default_factory=Counter)
    outcomes: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    asked: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    away_until: float = 0.0

    def is_away(self) -> bool:
        """Whether the service answers nobody now."""
        if self.requests == self.plan.away_at + 1:
            self.away_until = time.monotonic() + self.plan.away_s
        return time.monotonic() < self.away_until

    def as_dict(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "batches": self.batches,
            "met": dict(self.met),
            "outcomes": {text: kinds for text, kinds in self.outcomes.items() if kinds != ["answered"]},
            "asked": len(self.asked),
            "answered": len(self.answered),
            "answered_again": {text: count for text, count in self.answered.items() if count > 1},
            "elsewhere": Elsewhere.connections,
        }


states: dict[str, State] = {}


class Elsewhere(asyncio.Protocol):
    """The place that redirects name. It counts who comes."""

    connections = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Elsewhere.connections += 1


class Connection(asyncio.Protocol):
    """One client connection; requests on it come one after the other."""

    port_elsewhere = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.received = transport, bytearray()
        self.loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            lines = bytes(self.received[:end]).decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            whole = end + 4 + int(headers.get("content-length", 0))
            if len(self.received) < whole:
                return
            body = bytes(self.received[end + 4 : whole])
            del self.received[:whole]
            method, path, _ = lines[0].split(" ")
            self.handle(method, path.strip("/").split("/"), body)

    def handle(self, method: str, path: list[str], body: bytes) -> None:
        state = states.setdefault(path[0], State(Plan.of(path[0])))
        if method != "POST":
            readers = {"state": state.as_dict, "asked": lambda: state.asked, "answered": lambda: state.answered}
            value = readers.get("/".join(path[1:]), lambda: None)()
            return self.reply(404 if value is None else 200, {"error": "Not Found"} if value is None else value)
        inputs = json.loads(body)["inputs"]
        texts = inputs if isinstance(inputs, list) else [inputs]
        state.requests += 1
        state.batches += len(texts) > 1
        state.asked.update(texts)
        lead, plan = texts[0], state.plan
        if state.is_away():
            state.met["away"] += 1
            return self.fail(plan, plan.away, texts, plan.number(lead, state.requests))
        if len(texts) > 1 and not plan.takes_batches:
            state.met["no batches"] += 1
            return self.reply(400, {"error": ["Input should be a valid string: received `inputs`"]})
        if len(texts) > plan.largest:
            state.met["too large"] += 1
            message = f"batch size {len(texts)} > maximum allowed batch size {plan.largest}"
            return self.reply(413, {"error": message, "error_type": "Validation"})
        attempt = state.led[lead]
        kind = None
        if state.requests > plan.quiet and not (plan.spares_answered and state.answered[lead]):
            state.led[lead] += 1
            kind = plan.fault(lead, attempt, together=len(texts) > 1)
        refused = next((refusal for text in texts if (refusal := plan.refusal(text))), None)
        met = kind or ("poisoned" if refused else "answered")
        state.met[met] += 1
        if len(texts) == 1:
            state.outcomes[lead].append(met)
        if kind is not None:
            return self.fail(plan, kind, texts, plan.number(lead, attempt))
        if refused is not None:
            body = refused.body
            return self.reply(refused.status, body.encode() if isinstance(body, str) else body)
        state.answered.update(texts)
        return self.reply(200, [plan.answer(text) for text in texts])

    def fail(self, plan: Plan, kind: str, texts: list[str], number: int) -> None:
        right = [plan.answer(text) for text in texts]
        whole = json.dumps(right).encode()
        half = len(whole) // 2
        if kind.startswith("429"):
            return self.reply(429, {"error": "Too many requests"}, self.announced(kind.removeprefix("429 "), number))
        if kind == "503 loading":
            body = {"error": "Model m is currently loading", "estimated_time": _ESTIMATES[number % len(_ESTIMATES)]}
            return self.reply(503, body)
        if kind in ("500", "503", "504"):
            return self.reply(int(kind), {"error": "boom"} if number % 2 else b"")
        if kind == "502 page":
            page = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
            return self.reply(502, page, {"Content-Type": "text/html"})
        if kind == "reset before headers":
            return self.reset()
        if kind == "reset in headers":
            return self.reset_after(b"HTTP/1.1 200 OK\r\nContent-Ty")
        if kind == "reset after headers":
            return self.reset_after(head(200, len(whole)) + whole[:half])
        if kind == "closed early":
            self.transport.write(head(200, len(whole)) + whole[:half])
            return self.transport.close()
        if kind == "stall":  # the client ends it
            return self.transport.write(head(200, len(whole)) + whole[:half])
        if kind in ("endless", "endless at full speed"):
            return self.pour(kind == "endless")
        if kind == "bomb":
            return self.reply(200, bomb(), {"Content-Encoding": "gzip"})
        if kind == "redirect":
            where = f"http://127.0.0.1:{Connection.port_elsewhere}/models/m"
            return self.reply((301, 302, 303, 307, 308)[number % 5], b"", {"Location": where})
        return self.reply(200, self.wrong(kind, right, whole, number))

    @staticmethod
    def announced(form: str, number: int) -> dict[str, str]:
        """``Retry-After`` in every form, the honest ones of a second at most."""
        forms = {
            "zero": "0",
            "seconds": "1",
            "date": email.utils.formatdate(time.time() + 1, usegmt=True),
            "past": "Thu, 01 Jan 1970 00:00:00 GMT",
            "negative": "-30",
            "huge": ("1e12", "99999999999999999999", "inf", "1e400")[number % 4],
            "words": ("soon", "nan", "a while, please", "1,5")[number % 4],
            "no date": _DATE_THAT_IS_NONE,
        }
        return {"Retry-After": forms[form]} if form in forms else {}

    @staticmethod
    def wrong(kind: str, right: list[Any], whole: bytes, number: int) -> Any:
        """A body with status 200 that is no answer."""
        if kind == "truncated":
            return whole[: 1 + number % (len(whole) - 1)]
        if kind == "invalid JSON":
            return (b"Service unavailable", b"", b"\xff\xfe\x00", b"ok", b"[[{}]", b"NaN,")[number % 6]
        if kind == "wrong shape":
            return ({"result": "ok"}, None, 7, "POSITIVE", [None] * len(right), [[]] * len(right), [[1.5]])[number % 7]
        if kind == "too few":
            return right[:-1]
        if kind == "too many":
            return [*right, right[0]]
        if kind == "flattened":
            return [label for labels in right for label in labels]
        if kind == "error in 200":
            return {"error": "CUDA out of memory"}
        raise ValueError(kind)

    def reply(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.transport.write(head(status, len(content), headers) + content)

    def reset(self) -> None:
        """A connection that breaks, rather than one that ends."""
        peer = self.transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def reset_after(self, data: bytes) -> None:
        self.transport.write(data)
        self.loop.call_later(0.002, self.reset)  # or the reset would overtake the data

    def pour(self, slowly: bool) -> None:
        self.transport.write(head(200, None) + b'10001\r\n["' + _DRIP[1:] + b"\r\n")

        async def drips() -> None:
            while not self.transport.is_closing():
                if slowly or self.transport.get_write_buffer_size() == 0:
                    self.transport.write(b"10000\r\n" + _DRIP + b"\r\n")
                await asyncio.sleep(0.02 if slowly else 0)

        self.pouring = self.loop.create_task(drips())


def head(status: int, length: int | None, headers: dict[str, str] | None = None) -> bytes:
    """The first bytes of a response of ``length`` bytes, or of one in chunks."""
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", size]
    lines += [f"{name}: {value}" for name, value in {"Content-Type": "application/json", **(headers or {})}.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@cache
def bomb() -> bytes:
    """``BOMB_BYTES`` of JSON that travel as a thousandth of that."""
    packer = zlib.compressobj(9, wbits=31)
    start = packer.compress(b'["') + packer.flush(zlib.Z_FULL_FLUSH)
    megabyte = packer.compress(b" " * (1 << 20)) + packer.flush(
        zlib.Z_FULL_FLUSH
    )  # stands by itself, so it can be repeated
    return start + megabyte * (BOMB_BYTES >> 20)


async def serve() -> None:
    """Serve until standard input ends, which it does with the process that started this one."""
    loop = asyncio.get_running_loop()
    elsewhere = await loop.create_server(Elsewhere, "127.0.0.1", 0)
    Connection.port_elsewhere = elsewhere.sockets[0].getsockname()[1]
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], Connection.port_elsewhere, flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve())
