"""What an endpoint is found to be, at CREATE and from Python: by imitations that tell of themselves as the real ones do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.errors import InferenceError
from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.protocols import discovery
from huggingface_api_handler.inference.protocols.discovery import DetectedServers
from huggingface_api_handler.inference.runtime.session import default_session
from tests.conftest import Reply, Service

KEY = "a-key-of-the-engine-1"
TEXTS = [f"text number {number}" for number in range(6)]
FRAME = pd.DataFrame({"t": TEXTS, "q": ["one query"] * len(TEXTS)})
EMBEDDINGS = {"task": "embeddings", "model": "m", "column": "t", "target": "y"}
CLASSIFICATION = {**EMBEDDINGS, "task": "text-classification"}
RANKING = {**EMBEDDINGS, "task": "text-ranking", "column": "q", "column2": "t"}
GENERATION = {**EMBEDDINGS, "task": "text-generation"}

TEI = {"model_id": "m", "model_type": {"embedding": {"pooling": "cls"}}, "max_client_batch_size": 4}
TGI = {"model_id": "m", "max_input_tokens": 1024, "max_total_tokens": 2048, "router": "text-generation-router"}
NOT_FOUND = Reply({"detail": "Not Found"}, 404)


def models(owner: str, **more: Any) -> dict[str, Any]:
    return {"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": owner, **more}]}


def number_of(text: str) -> float:
    return float(text.rsplit(" ", 1)[-1]) / 10


def speak(operations: dict[str, Callable[[Any], Any]]) -> Callable[..., Any]:
    def answer(body: Any, _headers: dict[str, str], path: str) -> Any:
        return operations[path](body) if path in operations and body is not None else NOT_FOUND

    return answer


def embed(body: Any) -> Any:
    data = [
        {"object": "embedding", "index": at, "embedding": [number_of(text), 1.0]}
        for at, text in enumerate(body["input"])
    ]
    return {"object": "list", "data": data[::-1], "model": "m", "usage": {"prompt_tokens": 1, "total_tokens": 1}}


def rerank(body: Any) -> Any:
    scored = [{"index": at, "relevance_score": number_of(text)} for at, text in enumerate(body["documents"])]
    return {"results": sorted(scored, key=lambda item: -item["relevance_score"])}


def vllm_classify(body: Any) -> Any:
    data = [
        {
            "index": at,
            "label": "YES",
            "probs": [number_of(text), 1 - number_of(text)],
            "num_classes": 2,
        }
        for at, text in enumerate(body["input"])
    ]
    return {"object": "list", "data": data}


def infinity_classify(body: Any) -> Any:
    data = [[{"label": "YES", "score": number_of(text)}, {"label": "NO", "score": 0.0}] for text in body["input"]]
    return {"object": "classify", "data": data, "model": "m", "usage": {"prompt_tokens": 1, "total_tokens": 1}}


def complete(body: Any) -> Any:
    return {"choices": [{"index": 0, "text": f" after {body['prompt']}", "finish_reason": "length"}]}


def chat(body: Any) -> Any:
    message = {"role": "assistant", "content": f" after {body['messages'][-1]['content']}"}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": {"total_tokens": 3}}


def generate(body: Any) -> Any:
    return [{"generated_text": f" after {body['inputs']}"}]


def vectors(body: Any) -> Any:
    texts = body["inputs"] if isinstance(body["inputs"], list) else [body["inputs"]]
    return [[number_of(text), 1.0] for text in texts]


@pytest.mark.parametrize(
    ("told", "suffix", "operations", "using", "asked", "at"),
    [
        ({"/info": TEI}, "", {"/embed": vectors}, EMBEDDINGS, ["/info"], "/embed"),
        ({"/info": TEI}, "/embed", {"/embed": vectors}, EMBEDDINGS, ["/info"], "/embed"),
        ({"/info": TEI}, "/predict", {"/embed": vectors}, EMBEDDINGS, ["/info"], "/embed"),
        ({"/info": TEI}, "/v1", {"/rerank": lambda body: [{"index": at, "score": number_of(text)} for at, text in enumerate(body["texts"])]}, RANKING, ["/info"], "/rerank"),
        ({"/info": TEI}, "/v1", {"/v1/embeddings": embed}, EMBEDDINGS, [], "/v1/embeddings"),
        ({"/info": TGI, "/v1/models": models("m")}, "", {"/": generate, "/v1/completions": complete}, GENERATION, ["/info"], "/"),
        ({"/info": TGI}, "/generate", {"/generate": generate}, GENERATION, [], "/generate"),
        ({"/v1/models": models("vllm", root="m", max_model_len=512)}, "", {"/v1/embeddings": embed}, EMBEDDINGS, ["/info", "/v1/models"], "/v1/embeddings"),
        ({"/v1/models": models("vllm")}, "", {"/classify": vllm_classify}, CLASSIFICATION, ["/info", "/v1/models"], "/classify"),
        ({"/v1/models": models("vllm")}, "/v1", {"/classify": vllm_classify}, CLASSIFICATION, ["/info", "/v1/models"], "/classify"),
        ({"/v1/models": models("vllm")}, "/classify", {"/classify": vllm_classify}, CLASSIFICATION, ["/v1/models"], "/classify"),
        ({"/v1/models": models("vllm")}, "", {"/v1/rerank": rerank}, RANKING, ["/info", "/v1/models"], "/v1/rerank"),
        ({"/v1/models": models("sglang")}, "/v1", {"/v1/classify": vllm_classify}, CLASSIFICATION, ["/info", "/v1/models"], "/v1/classify"),
        ({"/v1/models": models("llamacpp", meta={"n_ctx": 1})}, "", {"/v1/embeddings": embed}, EMBEDDINGS, ["/info", "/v1/models"], "/v1/embeddings"),
        ({"/v1/models": models("llamacpp")}, "", {"/v1/completions": complete}, GENERATION, ["/info", "/v1/models"], "/v1/completions"),
        ({"/v1/models": models("library")}, "", {"/v1/embeddings": embed}, EMBEDDINGS, ["/info", "/v1/models"], "/v1/embeddings"),
        ({"/v1/models": models("openai")}, "", {"/v1/rerank": rerank}, RANKING, ["/info", "/v1/models"], "/v1/rerank"),
        ({"/models": models("infinity", backend="torch")}, "", {"/embeddings": embed}, EMBEDDINGS, ["/info", "/v1/models", "/models"], "/embeddings"),
        ({"/models": models("infinity")}, "", {"/classify": infinity_classify}, CLASSIFICATION, ["/info", "/v1/models", "/models"], "/classify"),
        ({"/models": models("infinity")}, "/classify", {"/classify": infinity_classify}, CLASSIFICATION, ["/v1/models"], "/classify"),
        ({"/models": models("infinity")}, "/embeddings", {"/embeddings": embed}, EMBEDDINGS, [], "/embeddings"),
        ({"/models": models("infinity")}, "/rerank", {"/rerank": rerank}, RANKING, ["/info"], "/rerank"),
        ({"/v1/models": models("infinity")}, "/v1", {"/v1/classify": infinity_classify}, CLASSIFICATION, ["/info", "/v1/models"], "/v1/classify"),
        ({"/v1/models": models("infinity")}, "", {"/v1/embeddings": embed}, EMBEDDINGS, ["/info", "/v1/models"], "/v1/embeddings"),
        # Hugging Face's own toolkit says nothing of itself
        ({}, "", {"/": vectors}, EMBEDDINGS, ["/info", "/v1/models", "/models"], "/"),
        ({}, "/predict", {"/predict": vectors}, EMBEDDINGS, ["/info"], "/predict"),
        ({}, "/predict/", {"/predict/": vectors}, EMBEDDINGS, ["/info"], "/predict/"),
        ({}, "", {"/": generate}, GENERATION, ["/info", "/v1/models"], "/"),
        # A list of the local server's models is none of OpenAI's
        ({"/models": {"models": [{"id": "m"}]}}, "", {"/": vectors}, EMBEDDINGS, ["/info", "/v1/models", "/models"], "/"),
        ({"/v1/models": {"object": "list", "data": ["m"]}}, "", {"/": generate}, GENERATION, ["/info", "/v1/models"], "/"),
    ],
)  # fmt: skip
def test_each_server_is_recognised_and_asked_in_its_own_protocol(
    service: Service,
    told: dict[str, Any],
    suffix: str,
    operations: dict[str, Callable[[Any], Any]],
    using: dict[str, Any],
    asked: list[str],
    at: str,
) -> None:
    service.info = told.get("/info")
    service.lists.update({path: answer for path, answer in told.items() if path != "/info"})
    service.answer = speak(operations)
    for _ in range(2):
        out = predict(FRAME, {**using, "cache": False}, {"endpoint": f"{service.url}{suffix}"})
        assert list(out["y_error"]) == [None] * len(TEXTS)
        if using is GENERATION:
            assert list(out["y"]) == [f" after {text}" for text in TEXTS]
        elif using is EMBEDDINGS:
            assert [vector[0] for vector in out["y"]] == [number_of(text) for text in TEXTS]
        elif using is RANKING:
            assert list(out["y"]) == [number_of(text) for text in TEXTS]
    assert service.fetched == asked  # once a process
    assert set(service.paths) == {at}


def test_what_create_found_is_restored_without_asking_again(service: Service) -> None:
    service.lists["/models"] = models("infinity")
    service.answer = speak({"/embeddings": embed})
    engine = engine_settings({"endpoint": service.url})
    found = discovery.discover(engine, model_settings(EMBEDDINGS, engine), default_session().http)
    assert found == {"server": {"url": service.url, "kind": "infinity", "base": service.url}}
    service.fetched.clear()
    default_session().servers = DetectedServers()
    default_session().servers.restore(found, engine_settings({}))
    out = predict(FRAME, EMBEDDINGS, {"endpoint": service.url})
    assert [vector[0] for vector in out["y"]] == [number_of(text) for text in TEXTS]
    assert service.fetched == []


def test_a_kind_that_another_version_stored_is_asked_anew(service: Service) -> None:
    service.info = TEI
    service.answer = speak({"/embed": vectors})
    default_session().servers.restore(
        {"server": {"url": service.url, "kind": "of-tomorrow", "base": service.url}}, engine_settings({})
    )
    predict(FRAME, EMBEDDINGS, {"endpoint": service.url})
    assert service.fetched == ["/info"]


@pytest.mark.parametrize("engine", [{"protocol": "openai"}, {}], ids=["said", "shown"])
def test_nothing_is_stored_of_a_server_that_needs_no_asking(service: Service, engine: dict[str, Any]) -> None:
    checked = engine_settings({"endpoint": f"{service.url}/v1", **engine})
    assert discovery.discover(checked, model_settings(EMBEDDINGS, checked), default_session().http) == {}
    assert service.fetched == []


@pytest.mark.parametrize(
    ("starting", "asked"),
    [
        ([503], ["/info", "/info", "/v1/models", "/models"]),
        ([502, 502], ["/info", "/info", "/v1/models", "/models"]),
        ([None, 503], ["/info", "/v1/models", "/v1/models", "/models"]),
        ([None, None, 503], ["/info", "/v1/models", "/models", "/models"]),
    ],
)
def test_a_server_that_starts_is_asked_again_and_only_where_it_did_not_answer(
    starting: list[int | None], asked: list[str], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_api_handler.inference.flow_control.outage._FIRST_TRIAL_PAUSE_S", 0.001)
    waiting = list(starting)

    def turn() -> Reply | None:
        status = waiting.pop(0) if waiting else None
        return None if status is None else Reply({"error": "starting"}, status)

    service.info = lambda: turn() or NOT_FOUND
    service.lists["/v1/models"] = lambda: turn() or NOT_FOUND
    service.lists["/models"] = lambda: turn() or models("infinity")
    operations = speak({"/embeddings": embed})
    service.answer = lambda *request: turn() or operations(*request)
    out = predict(FRAME, {**EMBEDDINGS, "cache": False}, {"endpoint": service.url})
    assert [vector[0] for vector in out["y"]] == [number_of(text) for text in TEXTS]
    assert service.fetched == asked
    assert set(service.paths) == {"/", "/embeddings"}


def test_a_wrong_key_is_told_by_the_operation_itself(service: Service) -> None:
    service.lists["/v1/models"] = lambda: Reply({"error": "Unauthorized"}, 401)
    service.answer = lambda _body, _headers, path: (
        Reply({"error": "Unauthorized"}, 401) if path.startswith("/v1") else NOT_FOUND
    )
    with pytest.raises(InferenceError, match="key"):
        predict(FRAME, EMBEDDINGS, {"endpoint": service.url, "api_key": KEY})
    assert service.paths == ["/v1/embeddings"]
    assert service.fetched == ["/info", "/v1/models"]
    # What it says to one key says nothing of another.
    service.lists["/v1/models"] = models("vllm")
    service.answer = speak({"/v1/embeddings": embed})
    out = predict(FRAME, EMBEDDINGS, {"endpoint": service.url, "api_key": "another-key-of-it-2"})
    assert out["y"].notna().all()


def test_a_dry_run_asks_nothing_and_counts_by_what_is_known(service: Service) -> None:
    dry = {**EMBEDDINGS, "dry_run": True}
    engine = {"endpoint": service.url}
    assert predict(FRAME, dry, engine)["requests"][0] == len(TEXTS)  # not known yet
    default_session().servers.restore({"tei": {"url": service.url, "largest_batch": 4}}, engine_settings({}))
    assert predict(FRAME, dry, engine)["requests"][0] == 2
    assert predict(FRAME, dry, {"endpoint": f"{service.url}/v1"})["requests"][0] == 1
    assert predict(FRAME, {**RANKING, "dry_run": True}, {**engine, "protocol": "infinity"})["requests"][0] == 1
    assert service.fetched == service.paths == []


@pytest.mark.parametrize("status", [404, 405, 501])
@pytest.mark.parametrize("engine", [{}, {"protocol": "openai"}], ids=["found", "said"])
def test_text_generation_is_asked_as_chat_where_there_are_no_completions(
    service: Service, status: int, engine: dict[str, Any]
) -> None:
    service.lists["/v1/models"] = models("library")
    operations = speak({"/v1/chat/completions": chat})
    service.answer = lambda body, headers, path: (
        Reply({"detail": "Not Found"}, status) if path == "/v1/completions" else operations(body, headers, path)
    )
    for _ in range(2):
        out = predict(FRAME, {**GENERATION, "max_new_tokens": 9}, {"endpoint": service.url, **engine})
        assert list(out["y"]) == [f" after {text}" for text in TEXTS]
    assert service.paths.count("/v1/completions") == 1
    assert {asked["max_tokens"] for asked in service.asked} == {9}


def test_a_model_that_there_is_not_is_no_reason_to_ask_another_way(service: Service) -> None:
    service.answer = lambda *_: Reply({"error": {"message": "The model `m` does not exist.", "code": 404}}, 404)
    with pytest.raises(InferenceError, match="does not exist"):
        predict(FRAME, GENERATION, {"endpoint": f"{service.url}/v1"})
    assert set(service.paths) == {"/v1/completions"}


def test_a_server_with_neither_says_where_it_was_asked_and_the_query_ends(service: Service) -> None:
    service.answer = lambda *_: NOT_FOUND
    with pytest.raises(InferenceError, match="/v1/chat/completions"):
        predict(FRAME, GENERATION, {"endpoint": f"{service.url}/v1"})
    assert service.paths == ["/v1/completions", "/v1/chat/completions"]


def test_a_404_shows_what_was_asked_without_what_may_be_a_key_and_the_protocol_that_was_assumed(
    service: Service,
) -> None:
    service.answer = lambda *_: NOT_FOUND
    with pytest.raises(InferenceError) as failed:
        predict(FRAME, EMBEDDINGS, {"endpoint": f"{service.url}/some/path?code=secret"})
    words = str(failed.value)
    assert f"Asked at {service.url}/some/path" in words and "secret" not in words
    assert "taken for protocol = 'huggingface'" in words
    with pytest.raises(InferenceError) as failed:
        predict(FRAME, EMBEDDINGS, {"endpoint": f"{service.url}/v1", "protocol": "openai"})
    assert f"Asked at {service.url}/v1/embeddings" in str(failed.value)
    assert "taken for" not in str(failed.value)


def test_a_body_that_lacks_a_field_names_the_protocol_that_was_assumed(service: Service) -> None:
    detail = [{"type": "missing", "loc": ["body", "text"], "msg": "Field required"}]
    service.answer = lambda body, *_: Reply({"detail": detail}, 422) if body else NOT_FOUND
    with pytest.raises(InferenceError, match=r"Field required.*taken for protocol = 'huggingface'"):
        predict(FRAME, EMBEDDINGS, {"endpoint": f"{service.url}/x"})


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("/predict/", "redirects to /predict/;"),
        ("/predict/?token=secret", "redirects to /predict/;"),
        ("https://elsewhere.example/x?token=secret", "redirects to elsewhere.example;"),
        ("//elsewhere.example/x", "redirects;"),
    ],
)
def test_a_redirect_shows_where_it_leads_and_what_was_asked(service: Service, location: str, shown: str) -> None:
    service.answer = lambda body, *_: Reply({}, 307, {"Location": location}) if body else NOT_FOUND
    with pytest.raises(InferenceError) as failed:
        predict(FRAME, {**EMBEDDINGS, "task": "token-classification"}, {"endpoint": f"{service.url}/predict"})
    assert shown in str(failed.value)
    assert f"Asked at {service.url}/predict" in str(failed.value)
    assert "secret" not in str(failed.value)


def test_stored_answers_are_found_whether_the_address_has_a_slash_or_not(service: Service) -> None:
    service.answer = speak({"/predict/": vectors, "/predict": vectors})
    for endpoint in ("/predict", "/predict/"):
        out = predict(FRAME, EMBEDDINGS, {"endpoint": f"{service.url}{endpoint}"})
        assert out["y"].notna().all()
    assert set(service.paths) == {"/predict"}


@pytest.mark.parametrize(
    ("engine_suffix", "model_suffix", "keyless"),
    [
        ("", None, set()),
        ("/v1", None, set()),
        ("/embed", None, set()),
        ("/v1/embeddings", None, set()),
        ("/v1", "/v1/embeddings", set()),
        ("/x/v1/chat", "/x/v1/chat/completions", {"/x/info", "/x/v1/models", "/x/models"}),
        ("/x", "/y", {"/y/info", "/y/v1/models", "/y/models", "/y"}),
        ("/x/predict", "/y/predict", {"/y/info", "/y/predict"}),
        ("/x/v1", "/x/secrets", {"/x/secrets/info", "/x/secrets/v1/models", "/x/secrets/models", "/x/secrets"}),
    ],
)  # fmt: skip
def test_the_key_goes_to_the_server_of_the_engines_endpoint_and_nowhere_beside(
    service: Service, engine_suffix: str, model_suffix: str | None, keyless: set[str]
) -> None:
    with_key: set[str] = set()
    without: set[str] = set()

    def answer(_body: Any, headers: dict[str, str], path: str) -> Any:
        (with_key if headers.get("authorization") == f"Bearer {KEY}" else without).add(path)
        return NOT_FOUND

    service.answer = answer
    service.lists.clear()
    using = CLASSIFICATION if model_suffix is None else {**CLASSIFICATION, "endpoint": f"{service.url}{model_suffix}"}
    with pytest.raises(InferenceError):
        predict(FRAME, using, {"endpoint": f"{service.url}{engine_suffix}", "api_key": KEY})
    assert without == keyless
    assert not keyless & with_key
