"""A server whose answers are small on the wire and large here: what they take of the memory, and of others' time.

``python -m tests.faults.hostile_bodies KIND ROWS [results.json]``. The server is a process of its own. Beside the query that it
answers, another query of this process asks a server that answers at once, again and again: how long its rows take is measured.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import socketserver
import sys
import threading
import time
import zlib
from pathlib import Path
from typing import Any

import pandas as pd

from huggingface_api_handler.errors import InferenceError
from huggingface_api_handler.inference import predict

MEGABYTE = 1_000_000
RIGHT = b'[{"label":"a","score":0.5}]'


def packed(head: bytes, unit: bytes, megabytes: float, tail: bytes) -> bytes:
    """``head``, then so much of ``unit``, then ``tail``, compressed."""
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = unit * (MEGABYTE // 10 // len(unit))
    pieces = [pack.compress(head), *(pack.compress(block) for _ in range(int(megabytes * 10))), pack.compress(tail)]
    return b"".join([*pieces, pack.flush()])


KINDS: dict[str, tuple[str, int, bytes]] = {
    "64 MB of lists": ("text-classification", 200, packed(b"[", b"[],", 64, b"1]")),
    "128 MB of lists": ("text-classification", 200, packed(b"[", b"[],", 128, b"1]")),
    "30 MB of lists for a vector": ("feature-extraction", 200, packed(b"[", b"[],", 30, b"1]")),
    "30 MB of objects for a vector": ("feature-extraction", 200, packed(b"[", b'{"":0},', 30, b"1]")),
    "5 MB of numbers for a vector": ("feature-extraction", 200, packed(b"[", b"0.5,", 5, b"1]")),
    "0.9 MB of lists": ("text-classification", 200, packed(b"[", b"[[]],", 0.9, b"1]")),
    "255 MB of text": ("text-classification", 200, packed(b'[{"label":"', b"a", 255, b'","score":1}]')),
    "30 MB of text": ("chat-completion", 200, packed(b'{"choices":[{"message":{"content":"', b"a", 30, b'"}}]}')),
    "15 MB of text": ("chat-completion", 200, packed(b'{"choices":[{"message":{"content":"', b"a", 15, b'"}}]}')),
    "30 MB of an image": ("text-to-image", 200, packed(b'{"image":"', b"aaaa", 30, b'"}')),
    "255 MB of an error": ("text-classification", 500, packed(b'{"error":"', b"a", 255, b'"}')),
    "0.9 MB of an error": ("text-classification", 400, packed(b'{"error":', b'[{"error":"a"},', 0.9, b"")),
    "titles": ("text-classification", 400, packed(b"<", b"<title>", 1, b"")),
}


class _Handler(socketserver.StreamRequestHandler):
    reply = b""

    def handle(self) -> None:
        while True:
            size = 0
            while (line := self.rfile.readline()) != b"\r\n":
                if not line:
                    return
                if line.lower().startswith(b"content-length"):
                    size = int(line.partition(b":")[2])
            self.rfile.read(size)
            self.wfile.write(self.reply)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        """Say nothing of a client that hangs up."""


def serve(status: int, body: bytes, headers: bytes, ports: Any) -> None:
    """Answer everything so, until the process is ended. Its port is put into ``ports``."""
    head = b"HTTP/1.1 %d x\r\n%scontent-length: %d\r\n\r\n" % (status, headers, len(body))
    handler = type("Handler", (_Handler,), {"reply": head + body})
    with _Server(("127.0.0.1", 0), handler) as server:
        ports.put(server.server_address[1])
        server.serve_forever()


def ask(task: str, port: int, rows: int) -> list[str | None]:
    """The reason of each row, or the reason that the query ended for."""
    engine = {"endpoint": f"http://127.0.0.1:{port}", "cache": False, "max_attempts": 1}
    frame = pd.DataFrame({"text": [f"row {number}" for number in range(rows)]})
    try:
        out = predict(frame, {"task": task, "column": "text", "target": "y", "model": "m", "on_error": "null"}, engine)
    except InferenceError as error:
        return [str(error)]
    return list(out["y_error"])


def measure(kind: str, rows: int) -> dict[str, Any]:
    """Ask, and say what it took: megabytes at most, seconds, and the longest time of a row of the query beside it."""
    task, status, body = KINDS[kind]
    ports: Any = multiprocessing.get_context("fork").Queue()
    servers = [
        multiprocessing.get_context("fork").Process(target=serve, args=arguments, daemon=True)
        for arguments in [(200, RIGHT, b"", ports), (status, body, b"content-encoding: gzip\r\n", ports)]
    ]
    found = []
    for server in servers:
        server.start()
        found.append(ports.get())
    other, hostile = found
    assert ask("text-classification", other, 1) == [None]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times: list[float] = []
    done = threading.Event()

    def look_on() -> None:
        while not done.is_set():
            started = time.perf_counter()
            ask("text-classification", other, 1)
            times.append(time.perf_counter() - started)

    beside = threading.Thread(target=look_on)
    beside.start()
    time.sleep(0.5)
    quiet, started = len(times), time.perf_counter()
    reasons = ask(task, hostile, rows)
    seconds = time.perf_counter() - started
    done.set()
    beside.join()
    for server in servers:
        server.terminate()
    return {
        "kind": kind,
        "rows": rows,
        "wire_bytes": len(body),
        "megabytes": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024),
        "seconds": round(seconds, 2),
        "worst_row_beside_ms": round(1000 * max(times[quiet:], default=0)),
        "worst_row_alone_ms": round(1000 * max(times[:quiet], default=0)),
        "reasons": sorted({str(reason) for reason in reasons}),
    }


if __name__ == "__main__":
    result = measure(sys.argv[1], int(sys.argv[2]))
    print(json.dumps(result))
    if len(sys.argv) > 3:
        Path(sys.argv[3]).write_text(json.dumps(result))
