"""An inference service in this process whose texts say how each of two models answers them.

A text is ``number score wrong``: the large model answers 'right'; the small one 'wrong' where the last word is 1, and
that with the score. It says what it is at ``/models/<model>/info`` as Text Embeddings Inference does.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

from .labelled_service import LARGEST_BATCH

RIGHT, WRONG = "right", "wrong"


class ScoredService:
    """What a running service counts.

    Args:
        url: Of its models, each at the path of its name.

    Attributes:
        requests: How many requests came, of each model.
        inputs: How many inputs, of each model.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: Counter[str] = Counter()
        self.inputs: Counter[str] = Counter()
        self._lock = threading.Lock()

    def answer(self, model: str, texts: list[str]) -> list[list[dict[str, Any]]]:
        """The labels of each text."""
        with self._lock:
            self.requests[model] += 1
            self.inputs[model] += len(texts)
        return [[_answer(model, text)] for text in texts]


def _answer(model: str, text: str) -> dict[str, Any]:
    _, score, wrong = text.split()
    if model == "large":
        return {"label": RIGHT, "score": 1.0}
    return {"label": WRONG if wrong == "1" else RIGHT, "score": float(score)}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet, or the client waits for the second
    service: ScoredService

    def do_GET(self) -> None:
        _, model, path = self.path.strip("/").split("/", 2)
        names = {"0": RIGHT, "1": WRONG}
        info = {"model_id": model, "model_type": {"classifier": {"id2label": names}}, "max_input_length": None}
        self._reply({**info, "max_client_batch_size": LARGEST_BATCH} if path == "info" else {"error": "not found"})

    def do_POST(self) -> None:
        asked = orjson.loads(self.rfile.read(int(self.headers["content-length"])))["inputs"]
        is_one = isinstance(asked, str)
        texts = [asked] if is_one else [each if isinstance(each, str) else each[0] for each in asked]
        answers = self.service.answer(self.path.strip("/").split("/")[1], texts)
        self._reply(answers[0] if is_one else answers)

    def _reply(self, body: Any) -> None:
        content = orjson.dumps(body)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


@contextlib.contextmanager
def running_scored_service() -> Iterator[ScoredService]:
    """Run a service on a free loopback port for the length of the block."""
    with _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {})) as server:
        service = ScoredService(f"http://127.0.0.1:{server.server_address[1]}/models")
        server.RequestHandlerClass.service = service  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield service
        finally:
            server.shutdown()
