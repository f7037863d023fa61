"""How long an input of a model may be: told by its server or the Hub at CREATE, and by nobody who is not to be believed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.protocols import discovery, hub_models
from huggingface_api_handler.inference.protocols.discovery import DetectedServers
from huggingface_api_handler.inference.protocols.model_lengths import from_files, from_server
from huggingface_api_handler.inference.protocols.preflight import describe_model
from huggingface_api_handler.inference.protocols.routing import Route, resolve_route
from huggingface_api_handler.inference.runtime.session import Session, default_session
from tests.conftest import Reply, Service
from tests.support.hub import StandInHub, hub_of_a_test

SST2 = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
ENGINE = {"api_key": "hf_AskedWithThis"}
NOT_FOUND = Reply({"error": "not found"}, 404)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInHub]:
    yield from hub_of_a_test(monkeypatch)


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


LONG = "This is a sentence of some words. " * 100
USING = {"task": "text-classification", "column": "t", "target": "y", "model": "m", "max_chunks": 1000}


class Silent:
    """A server of many models that reads the beginning of a text, and says nothing of the rest."""

    def __init__(self, service: Service, tokens: int | None = 60) -> None:
        self.service, self.url = service, f"{service.url}/models"
        service.lists["/models/m"] = {"id": "m", "max_input_length": tokens}
        service.answer = self.reply

    def reply(self, body: Any, _headers: Any, _path: str) -> Any:
        if body is None:
            return NOT_FOUND
        answer = [{"label": "a", "score": 1.0}]
        return [answer for _ in body["inputs"]] if isinstance(body["inputs"], list) else [answer]

    def parts(self, texts: list[str], session: Session, **using: Any) -> list[int]:
        """In how many parts each text was asked: one is asked whole."""
        out = predict(pd.DataFrame({"t": texts}), {**USING, **using}, {"endpoint": self.url}, session=session)
        assert out["y_error"].isna().all()
        return [len((explain or {}).get("parts", [0])) for explain in out["y_explain"]]


def test_a_long_text_from_python_asks_for_the_length_once(service: Service) -> None:
    """Nobody asks at CREATE there, and the server would cut the text without a word."""
    server = Silent(service)
    with Session() as session:
        assert server.parts(["a"], session) == [1]
        assert service.fetched == []
        short, long = server.parts(["b", LONG], session)
        assert short == 1 and long > 10
        assert service.fetched == ["/models/m"]
        assert server.parts([f"{LONG} again", "c"], session)[0] > 10
    with Session() as another:  # the store holds it
        assert server.parts([f"{LONG} in another process"], another)[0] > 10
    assert service.fetched == ["/models/m"]


def test_the_length_is_asked_for_where_the_first_long_text_is_not_in_the_first_window(service: Service) -> None:
    server = Silent(service)
    with Session() as session:
        *short, long = server.parts([*(f"text {number}" for number in range(3000)), LONG], session)
    assert set(short) == {1} and long > 10
    assert service.fetched == ["/models/m"]


def test_where_parts_are_wanted_the_length_that_is_said_comes_before_the_one_assumed(service: Service) -> None:
    server = Silent(service)
    with Session() as session:
        (said,) = server.parts([LONG], session, long_text="chunk")
    service.lists["/models/m"] = {"id": "m"}
    service.answer = server.reply
    with Session() as session:
        predict(pd.DataFrame({"t": [LONG]}), {**USING, "model": "n"}, {"endpoint": server.url}, session=session)
        (assumed,) = server.parts([LONG.lower()], session, long_text="chunk", model="n")
    assert said > 5 * assumed


@pytest.mark.parametrize("reply", [{"id": "m"}, NOT_FOUND])
def test_a_server_that_does_not_say_the_length_is_asked_once_a_session(service: Service, reply: Any) -> None:
    server = Silent(service)
    service.lists["/models/m"] = reply
    with Session() as session:
        assert server.parts([LONG], session) == [1]
        assert server.parts([f"{LONG} again"], session) == [1]
    assert service.fetched == ["/models/m"]


def test_a_server_that_cannot_be_asked_for_the_length_is_asked_by_the_next_query(service: Service) -> None:
    server = Silent(service)
    service.lists["/models/m"] = Reply({"error": "starting"}, 503)
    with Session() as session:
        assert server.parts([LONG], session) == [1]
        service.lists["/models/m"] = {"id": "m", "max_input_length": 60}
        assert server.parts([f"{LONG} again"], session)[0] > 10


@pytest.mark.parametrize("using", [{"long_text": "error"}, {"truncation": True}, {"dry_run": True}])
def test_the_length_is_not_asked_for_where_no_text_is_cut(service: Service, using: dict[str, Any]) -> None:
    server = Silent(service)
    with Session() as session:
        predict(pd.DataFrame({"t": [LONG]}), {**USING, **using}, {"endpoint": server.url}, session=session)
    assert service.fetched == []


@pytest.mark.parametrize("tokens", [60, None])
def test_a_query_of_a_model_that_was_created_asks_for_no_length(service: Service, tokens: int | None) -> None:
    """Nor where CREATE found out that the server does not say it."""
    server, engine = Silent(service, tokens), engine_settings({"endpoint": f"{service.url}/models"})
    found = json.loads(json.dumps(create({"endpoint": server.url}, model="m")))
    assert service.fetched == ["/models/m"]
    with Session() as session:
        session.servers.restore(found, engine)
        assert (server.parts([LONG], session)[0] > 10) == (tokens is not None)
    assert service.fetched == ["/models/m"]


def test_stored_answers_to_long_texts_need_no_length(service: Service) -> None:
    server = Silent(service)
    service.lists["/models/m"] = {"id": "m"}
    for _ in range(2):
        with Session() as session:
            server.parts([LONG], session)
    assert service.fetched == ["/models/m"] and len(service.asked) == 1


def test_a_long_text_for_a_model_of_hugging_face_asks_for_its_files(hub: StandInHub) -> None:
    hub.files[SST2, "config.json"] = {"model_type": "distilbert", "max_position_embeddings": 64}
    using = {"task": "text-classification", "column": "t", "target": "y", "model": SST2}
    with Session() as session:
        predict(pd.DataFrame({"t": ["short"]}), using, ENGINE, session=session)
        assert hub.fetched == []
        for text in (LONG, f"{LONG} again"):
            out = predict(pd.DataFrame({"t": [text]}), using, ENGINE, session=session)
            assert len(out["y_explain"][0]["parts"]) > 10
    assert len(hub.fetched) == 4  # two files, each led to where it is kept


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
