"""How long an input of a model may be: told by its server or the Hub at CREATE, and by nobody who is not to be believed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from huggingface_hub.inference._providers import _common

from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.protocols import discovery, hub_models, hub_providers
from huggingface_api_handler.inference.protocols.discovery import DetectedServers
from huggingface_api_handler.inference.protocols.model_lengths import from_files, from_server
from huggingface_api_handler.inference.protocols.preflight import describe_model
from huggingface_api_handler.inference.protocols.routing import Route, resolve_route
from huggingface_api_handler.inference.runtime.session import default_session
from huggingface_api_handler.tasks import TASKS
from huggingface_api_handler.tasks.chunking import text_chunking
from tests.conftest import Reply, Service
from tests.support.hub import StandInHub, lead_to

SST2 = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
ENGINE = {"api_key": "hf_AskedWithThis"}
NOT_FOUND = Reply({"error": "not found"}, 404)


@pytest.fixture(autouse=True)
def tasks_that_cut_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    chunking = text_chunking(lambda parts, _item, _settings: parts[0].answer)
    for name in ("text-classification", "feature-extraction", "sentence-similarity", "summarization"):
        monkeypatch.setitem(TASKS, name, replace(TASKS[name], chunking=TASKS[name].chunking or chunking))
    monkeypatch.setitem(TASKS, "image-classification", replace(TASKS["image-classification"], chunking=None))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInHub]:
    running = StandInHub()
    lead_to(running, monkeypatch)
    hardcoded: dict[str, Any] = {}
    monkeypatch.setattr(_common, "HARDCODED_MODEL_INFERENCE_MAPPING", hardcoded)
    monkeypatch.setattr(hub_providers, "HARDCODED_MODEL_INFERENCE_MAPPING", hardcoded)
    yield running
    running.close()


def create(engine: dict[str, Any], **using: Any) -> discovery.Discovery:
    settings = engine_settings(engine)
    model = model_settings({"task": "text-classification", "column": "t", **using}, settings)
    return discovery.discover(settings, model, default_session().http)


def route_after(found: Any, engine: dict[str, Any], **using: Any) -> Route:
    """The route of a query in another process, which restores what was stored."""
    settings = engine_settings(engine)
    model = model_settings({"task": "text-classification", "column": "t", **using}, settings)
    servers = DetectedServers()
    servers.restore(json.loads(json.dumps(found)), settings)
    route = resolve_route(settings, model)
    return default_session().http.submit(servers.detect(default_session().http, route, model.definition)).result()


def models(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"object": "list", "data": list(entries)}


TEI = {"model_id": "m", "model_type": {"classifier": {}}, "max_client_batch_size": 4, "max_input_length": 512}
TGI = {"model_id": "m", "max_input_tokens": 1024, "max_total_tokens": 2048}


@pytest.mark.parametrize(
    ("path", "info", "tokens"),
    [
        ("/info", TEI, 512),
        ("/info", {**TEI, "auto_truncate": True}, 512),
        ("/info", TGI, 1024),
        ("/info", {"model_id": "m", "max_input_length": 1000, "max_total_tokens": 2048}, 1000),
        ("/models", {"id": "m", "task": "text-classification", "max_input_length": 256}, 256),
        ("/models", {"models": [{"id": "other", "max_input_length": 128}, {"id": "m", "max_input_length": 256}]}, 256),
        ("/v1/models", models({"id": "other", "max_model_len": 64}, {"id": "m", "max_model_len": 8192}), 8192),
        ("/v1/models", models({"id": "served-as", "root": "m", "max_model_len": 8192}, {"id": "x"}), 8192),
        ("/v1/models", models({"id": "of another name", "max_model_len": 4096}), 4096),
        ("/v1/models", models({"id": "m", "context_window": 131072}), 131072),
        ("/v1/models", models({"id": "m", "context_length": 32768}), 32768),
        ("/v1/models", models({"id": "m", "max_input_length": 256}), 256),
        ("/v1/models", models({"id": "m", "meta": {"n_ctx": 2048}}), 2048),
        ("/v1/models", models({"id": "m", "meta": {"n_ctx": 2048, "n_ctx_train": 512}}), 512),
        ("/v1/models", models({"id": "m", "meta": {"n_ctx_train": 512}}), None),
        ("/v1/models", models({"id": "a", "max_model_len": 64}, {"id": "b", "max_model_len": 128}), None),
        ("/v1/models", models({"id": "m"}), None),
        ("/v1/models", {"data": ["m", None, 3]}, None),
        ("/info", {"max_input_length": "512"}, None),
        ("/info", {"max_input_length": True}, None),
        ("/info", {"max_input_length": 512.0}, None),
        ("/info", {"max_input_length": 7}, None),
        ("/info", {"max_input_length": -512}, None),
        ("/info", {"max_input_length": 10_000_001}, None),
        ("/info", {"meta": "n_ctx"}, None),
        ("/info", {}, None),
    ],
)
def test_each_server_says_it_in_its_own_place(path: str, info: dict[str, Any], tokens: int | None) -> None:
    length = from_server(path, info, "m")
    assert (length and length.tokens) == tokens


@pytest.mark.parametrize(
    ("files", "tokens"),
    [
        ({"config.json": {"model_type": "bert", "max_position_embeddings": 512}}, 512),
        ({"config.json": {"model_type": "roberta", "max_position_embeddings": 514}}, 512),
        ({"config.json": {"model_type": "xlm-roberta", "max_position_embeddings": 8194}}, 8192),
        ({"config.json": {"model_type": "mpnet", "max_position_embeddings": 514}}, 512),
        ({"config.json": {"model_type": "t5", "n_positions": 512}}, 512),
        ({"config.json": {"model_type": "led", "max_encoder_position_embeddings": 16384}}, 16384),
        ({"config.json": {"max_position_embeddings": 512}, "tokenizer_config.json": {"model_max_length": 128}}, 128),
        ({"config.json": {"max_position_embeddings": 512}, "tokenizer_config.json": {"model_max_length": int(1e30)}}, 512),
        ({"config.json": {"max_position_embeddings": 512}, "sentence_bert_config.json": {"max_seq_length": 256}}, 256),
        ({"tokenizer_config.json": {"model_max_length": 1_000_000}}, None),
        ({"config.json": {"max_position_embeddings": -1}}, None),
        ({"config.json": {"max_position_embeddings": [512]}}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_the_least_of_what_a_models_configuration_names_is_taken(files: dict[str, Any], tokens: int | None) -> None:
    length = from_files(files)
    assert (length and length.tokens) == tokens


@pytest.mark.parametrize(
    ("told", "suffix", "using", "tokens", "asked"),
    [
        ({"/info": TEI}, "", {}, 512, ["/info"]),
        ({"/v1/models": models({"id": "m", "owned_by": "vllm", "max_model_len": 512})}, "", {}, 512, ["/info", "/v1/models"]),
        ({"/info": TGI}, "", {"task": "summarization"}, 1024, ["/info"]),
        # a server of many models says it of each
        ({"/models/m": {"id": "m", "max_input_length": 256}}, "/models", {}, 256, ["/models/m"]),
        ({"/models/m": {"id": "m"}}, "/models", {}, None, ["/models/m"]),
        ({}, "/models", {}, None, ["/models/m"]),
        # no text of such a task is cut
        ({"/models/m": {"id": "m", "max_input_length": 256}}, "/models", {"task": "image-classification"}, None, []),
        # the local server at its root, and what says nothing
        ({"/info": {"max_input_length": 256}}, "", {}, 256, ["/info", "/v1/models", "/models"]),
        ({"/models": {"models": [{"id": "m", "max_input_length": 256}]}}, "", {}, 256, ["/info", "/v1/models", "/models"]),
        ({}, "", {}, None, ["/info", "/v1/models", "/models"]),
        ({"/v1/models": models({"id": "m", "max_model_len": 512})}, "/v1", {"task": "feature-extraction"}, None, []),
    ],
)  # fmt: skip
def test_create_stores_what_the_server_says_and_no_query_asks_again(
    service: Service,
    told: dict[str, Any],
    suffix: str,
    using: dict[str, Any],
    tokens: int | None,
    asked: list[str],
) -> None:
    service.info = told.get("/info")
    service.lists = {"/v1/models": None, "/models": None, "/models/m": None}
    service.lists.update({path: answer for path, answer in told.items() if path != "/info"})
    engine = {"endpoint": f"{service.url}{suffix}"}
    found = create(engine, model="m", **using)
    assert service.fetched == asked
    assert found.get("length", {}).get("max_input_tokens") == tokens
    if tokens is None:
        return
    service.fetched.clear()
    assert route_after(found, engine, model="m", **using).max_input_tokens == tokens
    assert service.fetched == [] or not {"tei", "server"} & found.keys()  # what was not recognised is asked as before


def test_from_python_no_question_is_added(service: Service) -> None:
    service.lists["/models/m"] = {"id": "m", "max_input_length": 256}
    service.answer = lambda body, _headers, _path: [[{"label": "a", "score": 1.0}]] if body else NOT_FOUND
    using = {"task": "text-classification", "column": "t", "target": "y", "model": "m"}
    assert predict(pd.DataFrame({"t": ["a"]}), using, {"endpoint": f"{service.url}/models"})["y"][0] == "a"
    assert service.fetched == []


def test_a_first_detection_from_python_tells_the_length_too(service: Service) -> None:
    service.info = TEI
    assert route_after({}, {"endpoint": service.url}, model="m").max_input_tokens == 512
    assert service.fetched == ["/info"]


@pytest.mark.parametrize(
    "stored",
    [
        {"url": "U", "model": "m", "task": "text-classification", "max_input_tokens": "512", "source": "x"},
        {"url": "U", "model": "m", "task": "text-classification", "max_input_tokens": 3, "source": "x"},
        {"max_input_tokens": None},
        {},
    ],
)
def test_what_another_version_stored_does_no_harm(service: Service, stored: dict[str, Any]) -> None:
    engine = {"endpoint": f"{service.url}/models"}
    stored = {**stored, **({"url": engine["endpoint"]} if "url" in stored else {})}
    assert route_after({"length": stored}, engine, model="m").max_input_tokens is None
    assert route_after({}, engine, model="m").max_input_tokens is None


def test_the_length_of_a_model_of_hugging_face_is_that_of_its_configuration(hub: StandInHub) -> None:
    hub.files[SST2, "config.json"] = {"model_type": "distilbert", "max_position_embeddings": 512}
    hub.files[SST2, "tokenizer_config.json"] = {"model_max_length": 384}
    found = create(ENGINE, model=SST2)
    assert found["length"]["max_input_tokens"] == 384
    assert found["length"]["source"] == "model_max_length of tokenizer_config.json"
    assert {token for _, token in hub.tokens} == {ENGINE["api_key"]}
    asked = list(hub.fetched)
    assert len(asked) == 4  # two files, each led to where it is kept
    assert route_after(found, ENGINE, model=SST2).max_input_tokens == 384
    assert hub.fetched == asked


def test_vectors_are_of_as_many_tokens_as_sentence_transformers_reads(hub: StandInHub) -> None:
    name = next(name for name, model in hub.models.items() if model["pipeline_tag"] == "sentence-similarity")
    hub.files[name, "config.json"] = {"model_type": "bert", "max_position_embeddings": 512}
    hub.files[name, "sentence_bert_config.json"] = {"max_seq_length": 256}
    hub.keeps_files_elsewhere = False
    found = create(ENGINE, model=name, task="feature-extraction")
    assert found["length"]["max_input_tokens"] == 256


def test_a_provider_that_is_named_serves_the_same_model(hub: StandInHub) -> None:
    hub.files[SST2, "config.json"] = {"model_type": "distilbert", "max_position_embeddings": 512}
    found = create(ENGINE, model=SST2, provider="hf-inference")
    assert found["length"]["max_input_tokens"] == 512
    assert route_after(found, ENGINE, model=SST2, provider="hf-inference").max_input_tokens == 512


def test_a_hub_that_does_not_say_it_costs_nothing_else(hub: StandInHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.files[SST2, "config.json"] = b"{" * 2_000_000
    hub.files[SST2, "tokenizer_config.json"] = b"[1, 2"
    assert create(ENGINE, model=SST2).keys() == {"hub"}
    hub.is_down = True
    monkeypatch.setattr(hub_models, "_memory", hub_models._Memory())
    hub.fetched.clear()
    assert create(ENGINE, model=SST2)["hub"].get("problem")
    assert hub.fetched == []  # what says nothing of the model is not asked for its files


def test_a_file_that_is_kept_at_another_host_is_not_fetched(hub: StandInHub, service: Service) -> None:
    hub.files[SST2, "config.json"] = {"max_position_embeddings": 512}
    real = hub._file
    hub._file = lambda request: (  # type: ignore[method-assign]
        _led_to(f"{service.url}/config.json") if "/resolve/main/" in request.path else real(request)
    )
    assert "length" not in create(ENGINE, model=SST2)
    assert service.fetched == []


def _led_to(url: str) -> Any:
    from aiohttp import web

    return web.Response(status=302, headers={"Location": url})


def test_describe_tells_the_length_and_who_says_it(hub: StandInHub, service: Service) -> None:
    hub.files[SST2, "config.json"] = {"model_type": "distilbert", "max_position_embeddings": 512}
    assert described(create(ENGINE, model=SST2), ENGINE, model=SST2) == "512 (max_position_embeddings of config.json)"
    service.info = TEI
    engine = {"endpoint": service.url}
    assert described(create(engine, model="m"), engine, model="m") == "512 (max_input_length of /info)"


def described(found: Any, engine: dict[str, Any], **using: Any) -> object:
    settings = engine_settings(engine)
    model = model_settings({"task": "text-classification", "column": "t", **using}, settings)
    servers = DetectedServers()
    servers.restore(found, settings)
    return describe_model(settings, model, default_session().http, servers)["max input tokens"]
