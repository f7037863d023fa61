"""What version 0.1.0 was asked, and the service that answered it: shared by the tool that makes the fixture and its tests.

`tools/make_upgrade_fixture.py` asks all of this of 0.1.0 and keeps what is then on disk, and what was answered, in
`tests/fixtures/storage_0_1_0`. The tests unpack it and ask the same of the present version. This module imports
nothing of the package, so that the tool can use it with 0.1.0.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import socket
import sqlite3
import tarfile
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

FIXTURE = Path(__file__).resolve().parents[1] / "fixtures" / "storage_0_1_0"
ARCHIVE, EXPECTED = FIXTURE / "storage.tar.gz", FIXTURE / "expected.json"

PORT = 47913
"""The address is a part of what answers are stored under, so it is the same each time."""
URL = f"http://127.0.0.1:{PORT}"
KEY_VARIABLE, KEY = "UPGRADE_FIXTURE_KEY", "a-key-of-no-service"

TTL = 1_000_000_000
"""Seconds for which answers are kept, the most that is allowed: 31 years from the day the fixture was made."""

# ---------------------------------------------------------------- folders in the archive

MINDSDB, HF_HOME, PYTHON = "mindsdb", "hf_home", "python"
SQL_STORE = f"{HF_HOME}/huggingface_api_handler/answers.sqlite"
PYTHON_STORE = f"{PYTHON}/answers.sqlite"

# ---------------------------------------------------------------- through SQL

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PIXEL_URI = f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}"
CAPITALS = '{"city": ["Paris", "Rome"], "country": ["France", "Italy"]}'

ROWS = {
    "id": [*range(1, 15)],
    "text": [
        "I love this.",
        "It broke after a day.",
        "Ünïcödé: wonderful, thank you!",
        "The box was open when it came.",
        "Nobody answers the telephone.",
        "Five stars, I would buy it again.",
        "The colour is not the one in the picture.",
        "A gift for my brother, who likes it a lot.",
        "It does what it says.",
        "Too small, and the shop does not take it back.",
        "Fast, cheap and good, all three of them.",
        "I do not know what to say about it.",
        "The second one is as good as the first.",
        "My neighbour has the same and is content.",
    ],
    "labels": ["praise, complaint", "praise, complaint, question"] * 7,
    "other": ["I like this.", "It works."] * 7,
    "language": ["German", "French"] * 7,
    "length": [*range(10, 24)],
    "width": [0.5 * number for number in range(14)],
}
"""The table `files.upgrade_rows`, whose first rows 0.1.0 was asked. The tests ask the others."""
ASKED = 10
"""Enough that a route is tried with lists, and what was learned of it is in the fixture."""

TABLE = "files.upgrade_rows"

ENGINES = {
    "upgrade_many": {"endpoint": f"{URL}/models", "cache_ttl": TTL},
    "upgrade_tei": {"endpoint": f"{URL}/tei", "cache_ttl": TTL},
    "upgrade_keyed": {"endpoint": f"{URL}/models", "cache_ttl": TTL, "api_key_env": KEY_VARIABLE},
    "upgrade_counted": {
        "endpoint": f"{URL}/models",
        "cache_ttl": TTL,
        "requests_per_hour": 3,
        "requests_per_month": 1000,
    },
}

MODELS: dict[str, dict[str, Any]] = {
    # Old spellings, which are stored as they were written.
    "sentiment": {
        "engine": "upgrade_many", "task": "sentiment-analysis", "input_column": "text",
        "model_name": "fixture/text-classification", "labels": {"POSITIVE": "good", "NEGATIVE": "bad"},
    },
    "topic": {
        "engine": "upgrade_many", "task": "zero-shot", "column": "text",
        "model": "fixture/zero-shot-classification", "candidate_labels": ["praise", "complaint"], "multi_label": True,
    },
    "topic_of_row": {
        "engine": "upgrade_many", "task": "zero-shot-classification", "column": "text",
        "model": "fixture/zero-shot-classification", "candidate_labels_column": "labels",
    },
    "alike": {
        "engine": "upgrade_many", "task": "sentence-similarity", "input_column": "text", "input_column2": "other",
        "model": "fixture/sentence-similarity",
    },
    "vector": {
        "engine": "upgrade_many", "task": "embeddings", "column": "text", "model": "fixture/feature-extraction",
        "normalize": True,
    },
    "entities": {
        "engine": "upgrade_many", "task": "ner", "column": "text", "model": "fixture/token-classification",
    },
    "size": {
        "engine": "upgrade_many", "task": "tabular-classification", "columns": ["length", "width"],
        "model": "fixture/tabular-classification",
    },
    "reply": {
        "engine": "upgrade_many", "task": "question-answering", "column": "question", "context_column": "context",
        "model": "fixture/question-answering",
    },
    "cell": {
        "engine": "upgrade_many", "task": "table-question-answering", "column": "question",
        "table_column": "facts", "model": "fixture/table-question-answering",
    },
    "said": {
        "engine": "upgrade_many", "task": "chat-completion", "cache": True, "model": "fixture/chat-completion",
        "prompt_template": "Say in {{language}}: {{text}}", "system_prompt": "Be brief.", "max_length": 20,
    },
    "fields": {
        "engine": "upgrade_many", "task": "conversational", "cache": True, "model": "fixture/chat-completion",
        "column": "text", "output_schema": {"mood": "str", "urgent": "bool"},
    },
    "seen": {
        "engine": "upgrade_many", "task": "visual-question-answering", "column": "image",
        "question_column": "question", "model": "fixture/visual-question-answering",
    },
    "drawn": {
        "engine": "upgrade_many", "task": "text-to-image", "cache": True, "column": "text",
        "model": "fixture/text-to-image",
    },
    "ranked": {"engine": "upgrade_tei", "task": "rerank", "column": "text", "column2": "other"},
    "near": {"engine": "upgrade_tei", "task": "feature-extraction", "column": "text"},
    "keyed": {
        "engine": "upgrade_keyed", "task": "text-classification", "column": "text",
        "model": "fixture/text-classification", "threshold": 0.99, "below_threshold": "unsure",
    },
    "counted": {
        "engine": "upgrade_counted", "task": "text-classification", "column": "text",
        "model": "fixture/text-classification/counted",
    },
    "unwell": {
        "engine": "upgrade_many", "task": "text-classification", "column": "text",
        "model": "fixture/text-classification/unwell",
    },
}  # fmt: skip
TARGET = "y"

_JOIN = f"SELECT t.id, m.* FROM {TABLE} AS t JOIN mindsdb.%s AS m WHERE t.id <= {ASKED}"
_QUESTION = "question = 'Where is the tower?' AND context = 'The tower is in Paris.'"

QUERIES = {
    **{
        name: _JOIN % name
        for name in ("sentiment", "topic", "topic_of_row", "alike", "vector", "entities", "size", "said", "fields",
                     "ranked", "near", "keyed")
    },
    "reply": f"SELECT * FROM mindsdb.reply WHERE {_QUESTION}",
    "cell": f"SELECT * FROM mindsdb.cell WHERE question = 'Of which country is Rome?' AND facts = '{CAPITALS}'",
    "seen": f"SELECT * FROM mindsdb.seen WHERE image = '{PIXEL_URI}' AND question = 'What is it?'",
    "drawn": "SELECT * FROM mindsdb.drawn WHERE text = 'a red dot'",
    "counted": f"SELECT t.id, m.* FROM {TABLE} AS t JOIN mindsdb.counted AS m WHERE t.id <= 2",
}  # fmt: skip
"""By model, what 0.1.0 was asked. Its answers are stored, and the second time no request is made."""

FAILING = [
    "SELECT * FROM mindsdb.unwell WHERE text = 'refuse me'",
    "SELECT * FROM mindsdb.unwell WHERE text = 'fail me'",
    f"SELECT t.id, m.y FROM {TABLE} AS t JOIN mindsdb.unwell AS m WHERE t.id <= 4 USING max_requests = 1",
    "SELECT * FROM mindsdb.unwell WHERE text = 'turn me away'",
]
"""Queries of the model `unwell` that fail, each in its way. Their receipts say how."""

ERROR_COUNTS = {"row": 1, "again": 1, "not asked": 3, "stop": 1}
"""The words that 0.1.0 wrote for these failures, and how often. No other kind of it is ever a row's."""

# ---------------------------------------------------------------- from Python

_FRAME = {name: values[:ASKED] for name, values in ROWS.items()}
_TEXTS = {"text": _FRAME["text"][:2]}
_IMAGE: dict[str, list[Any]] = {
    "image": [PIXEL_URI, PIXEL],
    "question": ["What is it?", "Which colour?"],
    "labels": ["dot, line", "dot"],
}
_WAVE = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0@\x1f\0\0@\x1f\0\0\1\0\x08\0data\0\0\0\0"
_SOUND = {"sound": [_WAVE]}


def _call(task: str, frame: dict[str, list[Any]], using: dict[str, Any], **engine: Any) -> dict[str, Any]:
    settings = {"task": task, "model": f"fixture/{task}", "target": TARGET, **using}
    return {"using": settings, "frame": frame, "engine": {"endpoint": f"{URL}/models", "cache_ttl": TTL, **engine}}


CALLS: dict[str, dict[str, Any]] = {
    "text-classification": _call("text-classification", _FRAME, {"column": "text"}),
    "text-classification of an engine with a name": _call(
        "text-classification", _TEXTS, {"column": "text"}, name="mine"
    ),
    "text-classification with a budget": _call(
        "text-classification",
        _TEXTS,
        {"column": "text", "model": "fixture/text-classification/counted"},
        name="counted",
        requests_per_hour=3,
    ),
    "text-classification with a key": _call(
        "text-classification", _TEXTS, {"column": "text"}, api_key_env=KEY_VARIABLE
    ),
    "text-classification with parameters": _call(
        "text-classification", _TEXTS, {"column": "text", "top_k": 2, "truncation": True}
    ),
    "zero-shot-classification": _call(
        "zero-shot-classification", _TEXTS, {"column": "text", "candidate_labels": ["praise", "complaint"]}
    ),
    "zero-shot-classification by row": _call(
        "zero-shot-classification", _FRAME, {"column": "text", "candidate_labels_column": "labels"}
    ),
    "token-classification": _call("token-classification", _TEXTS, {"column": "text"}),
    "question-answering": _call(
        "question-answering", {"q": ["Where is it?"], "c": ["It is in Paris."]}, {"column": "q", "context_column": "c"}
    ),
    "fill-mask": _call("fill-mask", {"text": ["It is [MASK].", "<mask> it is."]}, {"column": "text"}),
    "summarization": _call("summarization", _TEXTS, {"column": "text", "max_length": 9}),
    "translation": _call("translation", _TEXTS, {"column": "text", "src_lang": "en", "tgt_lang": "de"}),
    "feature-extraction": _call("feature-extraction", _TEXTS, {"column": "text", "pooling": "cls"}),
    "sentence-similarity": _call("sentence-similarity", _FRAME, {"column": "text", "column2": "other"}),
    "text-ranking of Text Embeddings Inference": _call(
        "text-ranking", _FRAME, {"column": "text", "column2": "other"}, endpoint=f"{URL}/tei"
    ),
    "text-classification of Text Embeddings Inference": _call(
        "text-classification", _TEXTS, {"column": "text"}, endpoint=f"{URL}/tei"
    ),
    "text-generation": _call("text-generation", _TEXTS, {"column": "text", "cache": True, "max_new_tokens": 5}),
    "chat-completion": _call(
        "chat-completion", _TEXTS, {"column": "text", "cache": True, "system_prompt": "Be brief."}
    ),
    "chat-completion with fields": _call(
        "chat-completion", _TEXTS, {"column": "text", "cache": True, "output_schema": {"mood": "str", "urgent": "bool"}}
    ),
    "image-classification": _call("image-classification", _IMAGE, {"column": "image"}),
    "zero-shot-image-classification by row": _call(
        "zero-shot-image-classification", _IMAGE, {"column": "image", "candidate_labels_column": "labels"}
    ),
    "zero-shot-object-detection by row": _call(
        "zero-shot-object-detection", _IMAGE, {"column": "image", "candidate_labels_column": "labels"}
    ),
    "image-to-text": _call("image-to-text", _IMAGE, {"column": "image"}),
    "image-text-to-text": _call(
        "image-text-to-text", _IMAGE, {"column": "image", "prompt_column": "question", "cache": True}
    ),
    "image-text-to-text with a template": _call(
        "image-text-to-text", _IMAGE, {"column": "image", "prompt_template": "Say: {{question}}", "cache": True}
    ),
    "visual-question-answering": _call(
        "visual-question-answering", _IMAGE, {"column": "image", "question_column": "question"}
    ),
    "document-question-answering": _call(
        "document-question-answering", _IMAGE, {"column": "image", "question_column": "question"}
    ),
    "automatic-speech-recognition": _call("automatic-speech-recognition", _SOUND, {"column": "sound"}),
    "text-to-image": _call("text-to-image", _TEXTS, {"column": "text", "cache": True}),
    "image-to-image": _call("image-to-image", _IMAGE, {"column": "image", "prompt_column": "question", "cache": True}),
    "table-question-answering": _call(
        "table-question-answering",
        {"q": ["Of which country is Rome?"], "facts": [CAPITALS]},
        {"column": "q", "table_column": "facts"},
    ),
    "table-question-answering of the whole table": _call(
        "table-question-answering",
        {"q": ["Who is large?", "Who is small?"], "name": ["ann", "bob"], "size": [1, 2]},
        {"column": "q", "table_columns": ["name", "size"]},
    ),
    "tabular-classification": _call("tabular-classification", _FRAME, {"columns": ["length", "width"]}),
    "tabular-regression": _call("tabular-regression", _FRAME, {"columns": ["length", "width"]}),
}
"""What `inference.predict` of 0.1.0 was called with. Every task that reads several columns is among them."""


def expected() -> dict[str, Any]:
    """What 0.1.0 answered: `answers` and `described` by model, `calls` by name."""
    found: dict[str, Any] = json.loads(EXPECTED.read_text(encoding="utf-8"))
    return found


def plain(frame: Any) -> dict[str, list[Any]]:
    """A DataFrame as JSON gives it back: NaN as None, arrays as lists."""
    columns = json.loads(frame.to_json(orient="split", double_precision=15))
    return {name: [row[at] for row in columns["data"]] for at, name in enumerate(columns["columns"])}


# ---------------------------------------------------------------- on disk


def unpacked(folder: Path) -> Path:
    """The fixture in `folder`, with quotas and learned routes as if 0.1.0 had stopped just now. Returns `folder`."""
    with tarfile.open(ARCHIVE) as archive:
        for member in archive:
            place = folder / member.name
            place.parent.mkdir(parents=True, exist_ok=True)
            content = archive.extractfile(member)
            assert content is not None and place.resolve().is_relative_to(folder.resolve())
            with content, place.open("wb") as out:
                shutil.copyfileobj(content, out)
    for store in (SQL_STORE, PYTHON_STORE):
        (folder / store).chmod(0o600)  # as 0.1.0 left it; the archive knows no modes
        _as_of_now(folder / store)
    return folder


def _as_of_now(store: Path) -> None:
    # Quotas are counted by the hour and the month (UTC), and what was learned is trusted for an hour.
    now = time.time()
    soon = now + 3600  # a test must not fail for running into the next hour
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.create_function("with_time", 2, lambda kept, at: json.dumps({**json.loads(kept), "at": at}).encode())
        for form in ("%Y-%m-%dT%H", "%Y-%m"):
            length = len(time.strftime(form))
            counted = connection.execute(
                "SELECT scope, used FROM quotas WHERE length(period) = ?", (length,)
            ).fetchall()
            connection.execute("DELETE FROM quotas WHERE length(period) = ?", (length,))
            periods = {time.strftime(form, time.gmtime(moment)) for moment in (now, soon)}
            rows = [(scope, period, used) for scope, used in counted for period in periods]
            connection.executemany("INSERT INTO quotas VALUES (?, ?, ?)", rows)
        connection.execute("UPDATE routes SET learned = with_time(learned, ?) WHERE learned IS NOT NULL", (now,))


# ---------------------------------------------------------------- the service


@contextmanager
def the_port_to_itself() -> Iterator[None]:
    """Wait for other tests that need the address, of this run or another of the same user, and hold it for the block."""
    lock = os.open(Path(tempfile.gettempdir()) / f"upgrade_fixture_{os.getuid()}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def refuse_a_taken_port() -> None:
    """Raise where anything listens at the address of the fixture."""
    with socket.socket() as probe:
        probe.settimeout(2)
        if probe.connect_ex(("127.0.0.1", PORT)) == 0:
            raise RuntimeError(f"something listens on 127.0.0.1:{PORT}, the address of the upgrade fixture. Stop it")


class Service(ThreadingHTTPServer):
    """Answers each task in its shape, differently for each text.

    `asked` holds (path, body, authorization) of each POST, `fetched` the path of each GET.

    `label` is the best label of every classification, and a part of every text it makes.
    """

    daemon_threads = True

    def __init__(self, label: str) -> None:
        self.label = label
        self.asked: list[tuple[str, Any, str | None]] = []
        self.fetched: list[str] = []
        refuse_a_taken_port()
        super().__init__(("127.0.0.1", PORT), _Handler)


@contextmanager
def running_service(label: str) -> Iterator[Service]:
    """A `Service` at the fixture's address for the length of the block. Raises RuntimeError where the port is taken."""
    with Service(label) as service:
        thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield service
        finally:
            service.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Service
    protocol_version = "HTTP/1.0"  # no connection outlives the service, or its thread would go on answering

    def do_GET(self) -> None:
        self.server.fetched.append(self.path)
        if self.path == "/tei/info":
            self._reply(200, {"model_id": "fixture/tei", "model_type": "reranker", "max_client_batch_size": 32})
        elif self.path == "/health" or self.path.startswith("/models/fixture/"):
            self._reply(200, {"accuracy": self.server.label})
        else:
            self._reply(404, {"error": "not here"})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        is_json = "json" in (self.headers.get("content-type") or "")
        body = json.loads(raw) if is_json else raw
        self.server.asked.append((self.path, body, self.headers.get("authorization")))
        self._reply(*_answer(self.path, body, self.server.label))

    def _reply(self, status: int, body: Any) -> None:
        is_image = isinstance(body, bytes)
        content = body if is_image else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "image/png" if is_image else "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


_FAILURES = {"refuse me": 400, "fail me": 500, "turn me away": 401}


def _answer(path: str, body: Any, label: str) -> tuple[int, Any]:
    if path.startswith("/tei/"):
        task = {
            "/tei/embed": "feature-extraction",
            "/tei/rerank": "text-ranking",
            "/tei/predict": "text-classification",
        }
        return _of_task(task.get(path, path), body, label)
    return _of_task(path.removeprefix("/models/fixture/").partition("/")[0], body, label)


def _of_task(task: str, body: Any, label: str) -> tuple[int, Any]:
    inputs = body.get("inputs", body) if isinstance(body, dict) else body
    if isinstance(inputs, str) and inputs in _FAILURES:
        return _FAILURES[inputs], {"error": f"told to {inputs}"}
    if task not in _ONE:
        return _whole(task, body, inputs, label)
    if not isinstance(inputs, list):
        return 200, _ONE[task](inputs, body, label)
    return 200, [_ONE[task](each[0] if isinstance(each, list) else each, body, label) for each in inputs]


def _number(content: Any) -> float:
    """A number in [0, 1) that is another for other content."""
    text = content if isinstance(content, bytes) else json.dumps(content, sort_keys=True).encode()
    return zlib.crc32(text) % 9973 / 9973


def _scores(inputs: Any, _body: Any, label: str) -> Any:
    best = round(0.5 + _number(inputs) / 2, 6)
    return [{"label": label, "score": best}, {"label": "NEGATIVE", "score": round(1 - best, 6)}]


def _labelled(inputs: Any, body: Any, _label: str) -> Any:
    labels = body["parameters"]["candidate_labels"]
    return {"labels": labels, "scores": [round(_number([inputs, label]), 6) for label in labels]}


def _word(key: str) -> Any:
    return lambda inputs, _body, label: {key: f"{label} {_number(inputs):.4f}"}


_ONE: dict[str, Any] = {
    "text-classification": _scores,
    "image-classification": _scores,
    "zero-shot-classification": _labelled,
    "token-classification": lambda inputs, _body, label: [
        {"entity_group": label, "word": inputs.split()[0], "score": round(_number(inputs), 6), "start": 0, "end": 1}
    ],
    "fill-mask": lambda inputs, _body, label: [{"sequence": f"{label}: {inputs}", "score": round(_number(inputs), 6)}],
    "summarization": _word("summary_text"),
    "translation": _word("translation_text"),
    "text-generation": _word("generated_text"),
    "image-to-text": _word("generated_text"),
    "automatic-speech-recognition": _word("text"),
    "feature-extraction": lambda inputs, _body, label: [round(_number([inputs, at, label]), 6) for at in range(4)],
}


def _whole(task: str, body: Any, inputs: Any, label: str) -> tuple[int, Any]:
    """The answer where it is not one for each of `inputs`."""
    seed = round(_number(body), 6)
    if task == "sentence-similarity":
        source = inputs["source_sentence"]
        return 200, [round(_number([source, each, label]), 6) for each in inputs["sentences"]]
    if task == "text-ranking":
        scores = [_number([body["query"], text, label]) for text in body["texts"]]
        order = sorted(range(len(scores)), key=lambda at: -scores[at])
        return 200, [{"index": at, "score": round(scores[at], 6)} for at in order]
    if task in ("question-answering", "document-question-answering"):
        return 200, {"answer": f"{label} {seed}", "score": seed, "start": 3, "end": 9}
    if task == "visual-question-answering":
        return 200, [{"answer": f"{label} {seed}", "score": seed}]
    if task == "table-question-answering":
        return 200, {"answer": f"{label} {seed}", "coordinates": [[0, 1]], "cells": ["Italy"], "aggregator": "NONE"}
    if task.startswith("tabular-"):
        rows = zip(*inputs["data"].values(), strict=True)
        numbers = [round(_number(list(row)), 6) for row in rows]
        return 200, [f"{label} {one}" for one in numbers] if task == "tabular-classification" else numbers
    if task == "zero-shot-image-classification":
        labels = body["parameters"]["candidate_labels"]
        return 200, [{"label": one, "score": round(_number([inputs, one]), 6)} for one in labels]
    if task == "zero-shot-object-detection":
        box = {"xmin": 0, "ymin": 0, "xmax": 1, "ymax": 1}
        return 200, [{"label": one, "score": seed, "box": box} for one in body["parameters"]["candidate_labels"]]
    if task in ("chat-completion", "image-text-to-text"):
        said = f"{label} {seed}"
        if "response_format" in body:
            said = json.dumps({"mood": said, "urgent": seed > 0.5})
        return 200, {"choices": [{"message": {"content": said}, "finish_reason": "stop"}], "usage": {"total_tokens": 7}}
    if task in ("text-to-image", "image-to-image"):
        return 200, PIXEL + label.encode()
    return 404, {"error": f"no model {task}"}
