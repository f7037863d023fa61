"""A stand-in of the Hub and of Hugging Face's router, in the shapes that their documentation shows.

``tests/recorded/hub.json`` says which models there are, who serves them, and what the router says of them.
"""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from huggingface_hub.inference._providers import _common

from huggingface_api_handler.inference.protocols import hub_description, hub_providers, key_policy, routing
from tests.support.web_server import WebServer

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00\x90wS\xde"

_RECORDED = Path(__file__).resolve().parents[1] / "recorded" / "hub.json"
_JSON = "application/json"


class StandInHub(WebServer):
    """Answers the Hub's API, the router and its providers on one port, and keeps what it was asked.

    Attributes:
        models: What the Hub knows, by the model's name.
        router_models: What the router says of models for chat.
        failing: The status by which a provider fails for everybody, by its name.
        fails_after: How many requests such a provider answers before that, by its name.
        refused: Prompts for which every provider answers 404.
        files: The JSON files of models, by the model's name and the file's.
        keeps_files_elsewhere: Whether the Hub leads from the address of a file to where it keeps it, as the real one.
        fetched: The paths of the files that were asked for.
        is_down: Whether the Hub's API breaks every connection.
        usage: What an answer of chat says that it used; None where it says nothing.
        answering: The providers that the router says have answered, one after another; empty where it does not say it.
        router_questions: The models that the router was asked about, without what it was asked of them.
        questions: The paths and queries of the Hub's API that were asked.
        asked: The provider, path and body of each inference.
        tokens: The keys that came along, with the path.
    """

    def __init__(self) -> None:
        recorded = json.loads(_RECORDED.read_text("utf-8"))
        self.models: dict[str, Any] = recorded["models"]
        self.router_models: dict[str, Any] = recorded["router"]
        self.failing: dict[str, int] = {}
        self.fails_after: dict[str, int] = {}
        self.refused: set[str] = set()
        self.files: dict[tuple[str, str], Any] = {}
        self.keeps_files_elsewhere = True
        self.fetched: list[str] = []
        self.is_down = False
        self.usage: dict[str, int] | None = None
        self.answering: list[str] = []
        self.router_questions: list[str] = []
        self.questions: list[str] = []
        self.asked: list[tuple[str, str, Any]] = []
        self.tokens: list[tuple[str, str]] = []
        super().__init__()
        self.url = f"http://127.0.0.1:{self.ports[0]}"

    def forget(self, model: str, provider: str) -> None:
        """Let a provider serve a model no more, as the Hub tells from now on."""
        mapping = copy.deepcopy(self.models[model])
        del mapping["inferenceProviderMapping"][provider]
        self.models[model] = mapping

    async def _handle(self, request: web.Request) -> web.Response:
        self.tokens.append((request.path, request.headers.get("authorization", "").removeprefix("Bearer ")))
        if "/resolve/" in request.path or request.path.startswith("/api/resolve-cache/"):
            return self._file(request)
        if request.path.startswith("/api/"):
            return self._hub(request)
        if request.path.startswith("/v1/models"):
            return self._router_models(request.path.removeprefix("/v1/models").lstrip("/"))
        body = await request.json()
        provider = "router" if request.path.startswith("/v1/") else request.path.split("/")[1]
        self.asked.append((provider, request.path, body))
        if isinstance(body, dict) and body.get("prompt") in self.refused:
            return web.json_response({"error": "no such thing"}, status=404)
        count = sum(each[0] == provider for each in self.asked)
        status = self.failing.get(provider)
        if status is not None and count > self.fails_after.get(provider, 0):
            return web.json_response({"error": f"Model not supported by provider {provider}"}, status=status)
        return self._answer(provider, request.path, body)

    def _hub(self, request: web.Request) -> web.Response:
        self.questions.append(request.path_qs)
        if self.is_down:
            assert request.transport is not None
            request.transport.abort()
        name = request.path.removeprefix("/api/models").lstrip("/")
        if not name:
            return web.json_response(self._listed(request))
        if name not in self.models:
            words = {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
            return web.json_response({"error": "Repository not found"}, status=404, headers=words)
        return web.json_response({"id": name, "_id": "0" * 24, **self.models[name]})

    def _file(self, request: web.Request) -> web.Response:
        self.fetched.append(request.path)
        if self.keeps_files_elsewhere and "/resolve/main/" in request.path:
            target = "/api/resolve-cache/models" + request.path.replace("/resolve/main/", "/resolve/0123abc/")
            return web.Response(status=307, headers={"Location": target})
        model, _, rest = request.path.removeprefix("/api/resolve-cache/models").lstrip("/").partition("/resolve/")
        content = self.files.get((model, rest.partition("/")[2]))
        if content is None:
            return web.json_response({"error": "Entry not found"}, status=404)
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return web.Response(body=body, content_type=_JSON)

    def _listed(self, request: web.Request) -> list[dict[str, Any]]:
        query = request.query
        assert query["inference_provider"] == "all"
        found = [
            {"id": name, "_id": "0" * 24, "downloads": model["downloads"]}
            for name, model in self.models.items()
            if model["pipeline_tag"] == query["pipeline_tag"]
            and any(each["status"] == "live" for each in model["inferenceProviderMapping"].values())
        ]
        found.sort(key=lambda model: model[query["sort"]], reverse=True)
        return found[: int(query.get("limit", 100))]

    def _router_models(self, name: str) -> web.Response:
        self.router_questions.append(name)
        if not name:
            return web.json_response({"object": "list", "data": list(self.router_models.values())})
        if name not in self.router_models:
            return web.json_response({"error": "not found"}, status=404)
        return web.json_response(self.router_models[name])

    def _answer(self, provider: str, path: str, body: Any) -> web.Response:
        if path.endswith("/chat/completions"):
            message = {"role": "assistant", "content": body["model"]}
            used = {} if self.usage is None else {"usage": self.usage}
            headers = (
                {"x-inference-provider": self.answering[len(self.asked) % len(self.answering)]}
                if self.answering
                else {}
            )
            return web.json_response(
                {"choices": [{"message": message, "finish_reason": "stop"}], **used}, headers=headers
            )
        if "/images/" in path:
            image = base64.b64encode(PNG + provider.encode()).decode()
            return web.json_response({"data": [{"b64_json": image}]})
        model = path.partition("/models/")[2]
        if self.models.get(model, {}).get("pipeline_tag") == "text-to-image":
            return web.Response(body=PNG + provider.encode(), content_type="image/png")
        if path.endswith("/pipeline/feature-extraction"):
            return web.json_response([[0.5, 1.0]])
        return web.json_response([[{"label": provider, "score": 0.9}]])


def lead_to(hub: StandInHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all that goes to Hugging Face go to the stand-in: huggingface_hub's requests, and our own.

    Args:
        hub: The stand-in.
        monkeypatch: Sets everything back.
    """
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
    monkeypatch.setattr("huggingface_hub.constants.INFERENCE_PROXY_TEMPLATE", hub.url + "/{provider}")
    for module in (key_policy, routing, hub_description):
        monkeypatch.setattr(module, "ROUTER", hub.url)
    base = f"{hub.url}/hf-inference/models"
    monkeypatch.setattr(routing, "_HF_INFERENCE_BASE", base)


def hub_of_a_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInHub]:
    """A stand-in that all goes to, and no mapping that another test left.

    Args:
        monkeypatch: Takes all of it back.

    Yields:
        The stand-in, which ends with the test.
    """
    running = StandInHub()
    lead_to(running, monkeypatch)
    hardcoded: dict[str, Any] = {}
    monkeypatch.setattr(_common, "HARDCODED_MODEL_INFERENCE_MAPPING", hardcoded)
    monkeypatch.setattr(hub_providers, "HARDCODED_MODEL_INFERENCE_MAPPING", hardcoded)
    yield running
    running.close()
