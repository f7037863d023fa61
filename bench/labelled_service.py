"""An inference service in this process that was told every label, and counts what it is asked.

It says what it is at ``/<model>/info`` and answers ``/<model>/predict`` as Text Embeddings Inference does, so that
lists need no trial and the inputs that it counts are those that the query wanted.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

import orjson

LARGEST_BATCH = 32
"""Inputs in a request, as Text Embeddings Inference takes by default."""
CONFIDENCE = 0.9

Labels = Mapping[str, Mapping[str, str]]
"""By model: the label of each text."""


class LabelledService:
    """What a running service counts.

    Args:
        labels: What it answers.
        url: Where it is; a model is at the path of its name.

    Attributes:
        requests: How many requests came, of each model.
        inputs: How often each text was asked about, of each model.
    """

    def __init__(self, labels: Labels, url: str) -> None:
        self.labels, self.url = labels, url
        self.requests: Counter[str] = Counter()
        self.inputs: dict[str, Counter[str]] = {model: Counter() for model in labels}
        self._lock = threading.Lock()

    def reset(self) -> None:
        """Count from nothing again."""
        with self._lock:
            self.requests.clear()
            self.inputs = {model: Counter() for model in self.labels}

    def sent(self) -> int:
        """How many inputs were asked about, those asked twice counted twice."""
        return sum(counts.total() for counts in self.inputs.values())

    def info(self, model: str) -> Any:
        """What it says of itself."""
        names = dict(enumerate(sorted(set(self.labels[model].values()))))
        return {
            "model_id": model,
            "model_type": {"classifier": {"id2label": {str(key): name for key, name in names.items()}}},
            "max_input_length": None,
            "max_client_batch_size": LARGEST_BATCH,
        }

    def predict(self, model: str, inputs: str | list[list[str]]) -> Any:
        """Answer a request: for one text its labels, for several a list of labels each."""
        texts = [inputs] if isinstance(inputs, str) else [text for (text,) in inputs]
        with self._lock:
            self.requests[model] += 1
            self.inputs[model].update(texts)
        answers = [[{"label": self.labels[model][text], "score": CONFIDENCE}] for text in texts]
        return answers[0] if isinstance(inputs, str) else answers


Running = TypeVar("Running", bound=LabelledService)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet, or the client waits for the second
    service: LabelledService

    def do_GET(self) -> None:
        model, _, path = self.path.strip("/").partition("/")
        known = path == "info" and model in self.service.labels
        self._reply(200 if known else 404, self.service.info(model) if known else {"error": "not found"})

    def do_POST(self) -> None:
        asked = orjson.loads(self.rfile.read(int(self.headers["content-length"])))
        model, _, path = self.path.strip("/").partition("/")
        if path != "predict":
            self._reply(404, {"error": "not found"})
            return
        try:
            self._reply(200, self.service.predict(model, asked["inputs"]))
        except KeyError as error:
            self._reply(422, {"error": f"nobody told the label of {error}", "error_type": "Validation"})

    def _reply(self, status: int, body: Any) -> None:
        content = orjson.dumps(body)
        self.send_response(status)
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
def running_labelled_service(labels: Labels) -> Iterator[LabelledService]:
    """Run a service on a free loopback port for the length of the block.

    Args:
        labels: What it answers.
    """
    with running(partial(LabelledService, labels)) as service:
        yield service


@contextlib.contextmanager
def running(make: Callable[[str], Running]) -> Iterator[Running]:
    """Run a service of this kind on a free loopback port for the length of the block.

    Args:
        make: Makes it of its address.
    """
    with _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {})) as server:
        service = make(f"http://127.0.0.1:{server.server_address[1]}")
        server.RequestHandlerClass.service = service  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield service
        finally:
            server.shutdown()
