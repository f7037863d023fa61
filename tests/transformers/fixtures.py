"""Fixtures: one server with a model for every task, whose models are built once for the run."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
import transformers
from PIL import Image
from starlette.testclient import TestClient

from huggingface_api_handler.server import create_app
from huggingface_api_handler.server.pipelines.supported_tasks import REMOVED_IN_TRANSFORMERS_5

from . import tiny

FIVE = int(transformers.__version__.partition(".")[0]) >= 5


def models_here() -> list[str]:
    """Names of the models whose task this transformers has."""
    return [name for name, (task, _) in tiny.MODELS.items() if not (FIVE and task in REMOVED_IN_TRANSFORMERS_5)]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("models")
    tiny.build(built)
    return built


@pytest.fixture(scope="session")
def client(folder: Path) -> Iterator[TestClient]:
    app = create_app(models=[f"{name}={folder / name}:{tiny.MODELS[name][0]}" for name in models_here()])
    with TestClient(app, headers={"x-wait-for-model": "true"}) as client:
        yield client


class Asker:
    def __init__(self, client: TestClient) -> None:
        self.client = client

    def __call__(self, name: str, inputs: Any, task: str = "", **parameters: Any) -> Any:
        """The answer to a request that must succeed; a test of a task that left transformers is skipped."""
        response = self.response(name, inputs, task, **parameters)
        assert response.status_code == 200, response.text
        return response.json() if "json" in response.headers["content-type"] else response

    def response(self, name: str, inputs: Any, task: str = "", **parameters: Any) -> Any:
        if name not in models_here():
            pytest.skip(f"{tiny.MODELS[name][0]} left transformers in 5.0")
        path = f"/models/{name}/pipeline/{task}" if task else f"/models/{name}"
        if isinstance(inputs, bytes) and not parameters:
            return self.client.post(path, content=inputs, headers={"content-type": "application/octet-stream"})
        if isinstance(inputs, bytes):
            inputs = base64.b64encode(inputs).decode()
        return self.client.post(path, json={"inputs": inputs, "parameters": parameters})

    def refused(self, name: str, inputs: Any, status: int = 400, task: str = "", **parameters: Any) -> str:
        response = self.response(name, inputs, task, **parameters)
        assert response.status_code == status, response.text
        return str(response.json()["error"])


@pytest.fixture(scope="session")
def ask(client: TestClient) -> Asker:
    return Asker(client)


@pytest.fixture(scope="session")
def picture() -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (40, 48, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def tone(rate: int, channels: int = 1, pitch: float = 200) -> bytes:
    """One second of a tone of `pitch` Hz as a WAV file."""
    file = io.BytesIO()
    wave = np.sin(2 * np.pi * pitch * np.arange(rate) / rate) / 2
    soundfile.write(file, np.stack([wave] * channels, axis=1), rate, format="WAV")
    return file.getvalue()


@pytest.fixture(scope="session")
def film() -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=8)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for shade in range(0, 240, 30):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), shade, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()
