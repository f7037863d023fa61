"""hugging-py-face as a process that answers calls, the Hub that it asks of models, and the local inference server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from huggingface_api_handler.demo.mindsdb_server import running_inference_server
from huggingface_api_handler.installation.environment import subprocess_environment
from tests.conftest import Reply, Service

SCRIPT = Path(__file__).with_name("peer.py")
HUB = {
    "local/sentiment": "text-classification",
    "local/zero-shot-minilm": "zero-shot-classification",
    "local/minilm-l6-v2-int8": "feature-extraction",
    "sentence-transformers/all-MiniLM-L6-v2": "sentence-similarity",
    **{f"any/{task}": task for task in (
        "text-classification", "zero-shot-classification", "fill-mask", "summarization", "translation", "question-answering",
        "table-question-answering", "text-generation", "sentence-similarity", "feature-extraction", "conversational",
        "image-classification", "object-detection", "automatic-speech-recognition", "audio-classification",
    )},
}  # fmt: skip
"""Models and the one task that the stand-in for the Hub names for each; hugging-py-face asks before every call."""


def sent(body: Any) -> Any:
    """The JSON of a request, also of hugging-py-face's, which says no content type."""
    return json.loads(body) if isinstance(body, bytes) else body


class PeerError(Exception):
    """What hugging-py-face raised: ``kind`` is the type's name."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


class HuggingPyFace:
    """Its methods over one process: ``peer(url, "text_classification", text="...", model="...")``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def reply(
        self, url: str, method: str, frame: dict[str, list[Any]] | None = None, client: str = "NLP", **arguments: Any
    ) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"client": client, "method": method, "url": url, "frame": frame, "arguments": arguments}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"{SCRIPT.name} ended with status {self._process.wait(5)}"
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise PeerError(reply["error"], reply["message"])
        return reply

    def __call__(self, url: str, method: str, frame: dict[str, list[Any]] | None = None, **arguments: Any) -> Any:
        """The answer; of a ``*_in_df`` method, its column of predictions. Raises PeerError."""
        return self.reply(url, method, frame, **arguments)["answer"]


@pytest.fixture(scope="session")
def hub() -> Iterator[str]:
    running = Service()
    tasks = {f"/api/models/{model}": task for model, task in HUB.items()}
    running.answer = lambda body, headers, path: (
        {"id": path.removeprefix("/api/models/"), "pipeline_tag": tasks[path]}
        if path in tasks
        else Reply({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
    )
    yield running.url
    running.close()


@pytest.fixture(scope="session")
def peer(hub: str) -> Iterator[HuggingPyFace]:
    with subprocess.Popen(
        [sys.executable, str(SCRIPT)],
        env=subprocess_environment(HF_ENDPOINT=hub),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield HuggingPyFace(process)
        process.kill()


@pytest.fixture(scope="session")
def inference() -> Iterator[str]:
    """Base URL of the models of a local inference server."""
    with running_inference_server() as url:
        yield f"{url}/models"
