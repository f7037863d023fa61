"""Real clients against ``serve``: each call's result is what the server says when it is asked with plain HTTP."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
import sklearn.datasets
from PIL import Image, ImageDraw, ImageFont

from tests.support.results import SERVERS as RESULTS
from tests.support.results import record

from .asking import ANSWERED_WITHIN_S
from .processes import Process, environments, running
from .serving import require
from .test_servers import same

TEXT = "Wolfgang Schmidt moved from Berlin to London and loves it."
SMOL = "local/smollm2-135m-instruct"
MESSAGES = [{"role": "user", "content": "Say hello to Anna."}]
WRITE = {"max_new_tokens": 6, "do_sample": False}
CHAT = {"model": SMOL, "messages": MESSAGES, "max_tokens": 6, "temperature": 0}
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
FORM = {"type": "json_schema", "json_schema": {"name": "reply", "schema": SCHEMA}}
MINILM = "local/minilm-l6-v2-int8"
ALL_CALLS_WITHIN_S = 1200


class Raw:
    """The server, asked with plain HTTP.

    Args:
        base: Its address.
        folder: Of the media.
    """

    def __init__(self, base: str, folder: Path) -> None:
        self.base, self.folder = base, folder

    def model(self, name: str, inputs: Any, **parameters: Any) -> Any:
        """What a model says."""
        response = httpx.post(
            f"{self.base}/models/{name}", json={"inputs": inputs, "parameters": parameters}, timeout=ANSWERED_WITHIN_S
        )
        return self._read(response)

    def file(self, name: str, file: str, content_type: str) -> Any:
        """What a model says of a file."""
        content = (self.folder / file).read_bytes()
        headers = {"content-type": content_type}
        return self._read(
            httpx.post(f"{self.base}/models/{name}", content=content, headers=headers, timeout=ANSWERED_WITHIN_S)
        )

    def v1(self, path: str, body: Any) -> Any:
        """What a route of OpenAI's says."""
        return self._read(httpx.post(f"{self.base}/v1/{path}", json=body, timeout=ANSWERED_WITHIN_S))

    @staticmethod
    def _read(response: httpx.Response) -> Any:
        assert response.status_code == 200, response.text[:500]
        return response.json() if "json" in response.headers["content-type"] else response.content


def _best(found: Any) -> list[Any]:
    found = found[0] if isinstance(found[0], list) else found
    best = max(found, key=lambda one: one["score"])
    return [best["label"], best["score"]]


def _zero_shot(raw: Raw) -> list[list[Any]]:
    found = raw.model("local/zero-shot-minilm", TEXT, candidate_labels=["travel", "cooking"])
    pairs = (
        zip(found["labels"], found["scores"], strict=True)
        if isinstance(found, dict)
        else ((one["label"], one["score"]) for one in found)
    )
    return [list(pair) for pair in pairs]


def _embedded(raw: Raw, texts: list[str]) -> Any:
    body = {"model": "sentence-transformers/all-MiniLM-L6-v2", "input": texts, "encoding_format": "float"}
    return [one["embedding"] for one in raw.v1("embeddings", body)["data"]]


def _refused(raw: Raw) -> str:
    response = httpx.post(f"{raw.base}/models/no/such", json={"inputs": TEXT})
    assert response.status_code == 404
    return str(response.json()["error"])


def _chat_schema(raw: Raw) -> str:
    body = {**CHAT, "max_tokens": 30, "response_format": FORM}
    content = str(raw.v1("chat/completions", body)["choices"][0]["message"]["content"])
    assert json.loads(content)["name"]
    return content


EXPECTED: dict[str, Callable[[Raw], Any]] = {
    "sentiment": lambda raw: _best(raw.model("local/sentiment", TEXT)),
    "zero_shot": _zero_shot,
    "entities": lambda raw: [[one["word"], one["entity_group"]] for one in raw.model("local/entities-spacy-sm", TEXT)],
    "vector": lambda raw: raw.model(MINILM, TEXT),
    "vectors": lambda raw: raw.model(MINILM, [TEXT, "Hello"]),
    "similarity": lambda raw: raw.model(MINILM, {"source_sentence": TEXT, "sentences": ["Hello", "He moved"]}),
    "translation": lambda raw: raw.model("local/translation-en-pt", "The house is small.")[0]["translation_text"],
    "speech": lambda raw: raw.model("local/piper-joe", "Hello").hex()[:8],
    "transcript": lambda raw: raw.file("local/whisper-base", "speech.wav", "audio/wav")["text"],
    "image": lambda raw: _best(raw.file("local/efficientnet-lite0", "photo.jpg", "image/jpeg")),
    "print": lambda raw: raw.file("local/ocr-rapid", "line.png", "image/png")[0]["generated_text"],
    "generation": lambda raw: raw.model(SMOL, "Once upon", **WRITE)[0]["generated_text"],
    "chat": lambda raw: raw.v1("chat/completions", CHAT)["choices"][0]["message"]["content"],
    "chat_schema": _chat_schema,
    "completion": lambda raw: raw.v1("completions", {"model": SMOL, "prompt": "Once upon", "max_tokens": 6, "temperature": 0})["choices"][0]["text"],
    "models": lambda raw: sorted(one["id"] for one in httpx.get(f"{raw.base}/v1/models").json()["data"]),
    "unknown_model": _refused,
}  # fmt: skip
"""What the server says, by the first words of the names of calls."""

_GENERATION = ("generation", "generation_stream")
CALLS: dict[str, tuple[str, tuple[str, ...]]] = {
    **dict.fromkeys(("hub1", "hub2"), ("hub.py", (
        "sentiment", "zero_shot", "entities", "vector", "vectors", "similarity", "translation", "speech", "transcript",
        "transcript_of_bytes", "image", "image_of_bytes", "print", *_GENERATION, "generation_details", "chat", "chat_v1",
        "chat_stream", "chat_schema", "unknown_model"))),
    "openai": ("openai_client.py", (
        "models", "chat", "chat_parts", "chat_stream", "chat_schema", "completion", "completion_stream", "vector", "vector_floats",
        "vectors", "transcript", "speech", "unknown_model")),
    "langchain": ("langchain_client.py", (*_GENERATION, "chat", "chat_openai", "chat_openai_stream", "vector", "vectors")),
    "node": ("node_client.mjs", (
        "sentiment", "zero_shot", "entities", "vector", "vectors", "similarity", "translation", "speech", "transcript",
        "transcript_of_bytes", "image", "print", *_GENERATION, "chat", "chat_stream", "chat_openai", "vector_openai")),
}  # fmt: skip
"""The script of each client, and its calls."""

QUICK = os.environ.get("QUICK") == "1"
LARGE = (
    ("zero_shot", "entities", "translation", "speech", "transcript", "transcript_of_bytes", "print") if QUICK else ()
)
"""Calls of models that take long to load, which a quick run leaves out."""


def calls_of(client: str) -> list[str]:
    """The calls of a client in this run."""
    return [call for call in CALLS[client][1] if call not in LARGE]


PACKAGES = {
    "hub1": "huggingface_hub", "hub2": "huggingface_hub", "openai": "openai", "langchain": "langchain-huggingface",
    "node": "@huggingface/inference",
}  # fmt: skip
RAISED = {"hub1": "HfHubHTTPError", "hub2": "HfHubHTTPError", "openai": "NotFoundError"}

SERVE = Process(
    "serve",
    (sys.executable, "-m", "huggingface_api_handler", "serve", "--port", "{port}"),
    (),
    # SmolLM2 with one thread: several wait for each other after every layer, on a busy machine ten times as long.
    variables={"PYTHONPATH": "{root}", "OMP_THREAD_LIMIT": "1"},
)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Raw]:
    folder = tmp_path_factory.mktemp("media")
    shutil.copy(Path(sklearn.datasets.__file__).parent / "images/china.jpg", folder / "photo.jpg")
    image = Image.new("RGB", (700, 120), "white")
    ImageDraw.Draw(image).text((30, 30), "Invoice number 2047", fill="black", font=ImageFont.load_default(44))
    image.save(folder / "line.png")
    with running(SERVE, folder, folder) as base:
        raw = Raw(base, folder)
        if not QUICK:
            (folder / "speech.wav").write_bytes(
                raw.model("local/piper-joe", "The weather in London is cold and rainy today.")
            )
        yield raw


@pytest.fixture(scope="module")
def expected(raw: Raw) -> Callable[[str], Any]:
    """What the server says, asked once for all clients."""

    @cache
    def ask(name: str) -> Any:
        return EXPECTED[name](raw)

    return lambda call: ask(next(name for name in sorted(EXPECTED, key=len, reverse=True) if call.startswith(name)))


@pytest.fixture(scope="module")
def results(raw: Raw) -> Callable[[str], dict[str, Any]]:
    """What a client's script printed."""

    @cache
    def run(client: str) -> dict[str, Any]:
        folder = environments()
        assert folder is not None
        script = Path(__file__).parent / "clients" / CALLS[client][0]
        program = shutil.which("node") if script.suffix == ".mjs" else str(folder / client / "bin/python")
        assert program is not None
        command = [program, str(script), raw.base, str(raw.folder), str(folder / client)]
        # The clients are told everything: what this machine has set counts for none of them.
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        kept["LEFT_OUT"] = " ".join(LARGE)
        done = subprocess.run(
            command, check=False, env=kept, capture_output=True, text=True, timeout=ALL_CALLS_WITHIN_S
        )
        assert done.returncode == 0, done.stderr[-3000:]
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return told

    return run


@pytest.mark.parametrize(("client", "call"), [(client, call) for client in CALLS for call in calls_of(client)])
def test_a_client_gets_what_the_server_says(
    client: str, call: str, results: Callable[[str], dict[str, Any]], expected: Callable[[str], Any]
) -> None:
    require(client)
    if client == "node" and shutil.which("node") is None:
        pytest.skip("NOT TESTED: there is no node")
    told = results(client)
    assert set(told) == set(calls_of(client)), "the script and the table differ"
    got = told[call]
    if call == "unknown_model":
        assert got["raised"] == RAISED[client], got
        assert expected(call)[:40] in got["words"] or "404" in got["words"], got
    else:
        assert not (isinstance(got, dict) and "raised" in got), got
        assert same(got, expected(call)), (got, expected(call))
    record(f"client {client} {call}", {"client": client, "call": call, "version": version(client)}, RESULTS)


@cache
def version(client: str) -> str:
    """The client's package and its version."""
    folder = environments()
    assert folder is not None
    if client == "node":
        found = json.loads((folder / "node/node_modules" / PACKAGES[client] / "package.json").read_text())["version"]
    else:
        script = f"from importlib.metadata import version; print(version({PACKAGES[client]!r}))"
        python = str(folder / client / "bin/python")
        found = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True).stdout.strip()
    return f"{PACKAGES[client]} {found}"


def test_a_knowledge_base_of_mindsdb_gets_what_the_server_says(raw: Raw, expected: Callable[[str], Any]) -> None:
    """MindsDB's own client of models in a knowledge base, whose tables would need another package."""
    llm_client = pytest.importorskip("mindsdb.interfaces.knowledge_base.llm_client")
    told = {"provider": "openai", "base_url": f"{raw.base}/v1", "api_key": "none"}
    embedding = llm_client.LLMClient({**told, "model_name": "sentence-transformers/all-MiniLM-L6-v2"})
    assert same(embedding.embeddings([TEXT, "Hello"]), expected("vectors"))
    assert len(embedding.embeddings([f"text {number}" for number in range(300)])) == 300
    chat = llm_client.LLMClient({**told, "model_name": SMOL})
    assert chat.completion(MESSAGES)[0]
    record(
        "client mindsdb knowledge base",
        {"client": "mindsdb", "call": "embeddings of a knowledge base", "version": "mindsdb " + _mindsdb()},
        RESULTS,
    )


def _mindsdb() -> str:
    from importlib.metadata import version

    return version("mindsdb")


@pytest.mark.skipif(QUICK, reason="a quick run makes no sound")
def test_a_sound_of_the_local_server_is_a_wav(raw: Raw) -> None:
    with wave.open(io.BytesIO((raw.folder / "speech.wav").read_bytes())) as sound:
        assert sound.getnframes() > sound.getframerate()
