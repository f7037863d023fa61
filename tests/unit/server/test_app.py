"""Routes, headers and error responses of the local inference server."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from starlette.testclient import TestClient

from huggingface_api_handler import server
from huggingface_api_handler.server import create_app, registry
from huggingface_api_handler.server.models import ocr, sentiment

from .conftest import ask

SENTIMENT = "/models/distilbert/distilbert-base-uncased-finetuned-sst-2-english"


EVERY_MODEL = {
    "local/minilm-l6-v2-int8",
    "sentence-transformers/all-MiniLM-L6-v2",
    "local/sentiment",
    "distilbert/distilbert-base-uncased-finetuned-sst-2-english",
    "local/zero-shot-minilm",
    "facebook/bart-large-mnli",
    "local/entities-spacy-sm",
    "dslim/bert-base-NER",
}


# Known without their packages, which the extra `local-all` brings.
MORE_MODELS = {
    "local/whisper-base",
    "openai/whisper-large-v3",
    "local/piper-joe",
    "local/smollm2-135m-instruct",
    "meta-llama/Llama-3.1-8B-Instruct",
    "local/translation-en-pt",
    "Helsinki-NLP/opus-mt-en-pt",
    "local/translation-pt-en",
    "Helsinki-NLP/opus-mt-pt-en",
    "local/efficientnet-lite0",
    "google/vit-base-patch16-224",
    "local/ocr-rapid",
    "Salesforce/blip-image-captioning-large",
}


LOCAL_SENTIMENT = "/models/local/sentiment"


MESSAGES = [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize("prefix", ["/models", "/hf-inference/models"])
def test_both_prefixes_and_both_names_reach_the_same_model(client: TestClient, prefix: str) -> None:
    by_name = ask(client, f"{prefix}/local/sentiment", "Fine.")
    assert by_name == ask(client, f"{prefix}{SENTIMENT.removeprefix('/models')}/pipeline/text-classification", "Fine.")


def test_the_headers_of_hf_inference_are_sent(client: TestClient) -> None:
    first = client.post(SENTIMENT, json={"inputs": ["ab", "cde"]}).headers
    second = client.post(SENTIMENT, json={"inputs": "ab"}).headers
    assert first["x-compute-characters"] == "5" and second["x-compute-characters"] == "2"
    assert float(first["x-compute-time"]) >= 0
    assert first["x-request-id"] != second["x-request-id"]
    assert len(first["x-sha"]) == 64 and first["x-sha"] == second["x-sha"]


def test_every_model_says_what_it_is(client: TestClient) -> None:
    listed = {facts["id"]: facts for facts in client.get("/models").json()}
    assert set(listed) == EVERY_MODEL | MORE_MODELS
    for model_id, facts in listed.items():
        assert client.get(f"/models/{model_id}").json() == facts
        assert all(facts[name] for name in ("task", "package", "version", "license", "quality", "sha"))
        assert model_id in MORE_MODELS or "unavailable" not in facts
        assert facts["local_stand_in"] is not model_id.startswith("local/")
        assert facts["local_stand_in"] is (f"this is not {model_id}" in facts.get("note", ""))
    assert "Not an NLI model" in listed["facebook/bart-large-mnli"]["quality"]


def test_health_and_info_answer(client: TestClient) -> None:
    assert client.get("/health").status_code == 200
    info = client.get("/info").json()
    assert info["max_client_batch_size"] == 128
    tasks = {model["id"]: model["tasks"] for model in info["models"]}
    assert set(tasks) == EVERY_MODEL | MORE_MODELS
    assert tasks["local/minilm-l6-v2-int8"] == ["feature-extraction", "sentence-similarity"]


def test_an_unknown_model_is_404_in_the_recorded_words(client: TestClient) -> None:
    for path in ("/models/this-model/does-not-exist-123", "/hf-inference/models/this-model/does-not-exist-123"):
        for response in (client.post(path, json={"inputs": "x"}), client.get(path)):
            assert response.status_code == 404
            assert response.json()["error"] == "Model this-model/does-not-exist-123 does not exist"


@pytest.mark.parametrize("path", ["/", "/modles/x", "/v2/nothing"])
def test_a_wrong_path_is_told_the_endpoint_url(client: TestClient, path: str) -> None:
    response = client.post(path, json={"inputs": "x"})
    assert response.status_code == 404
    assert response.json()["error"].endswith("The endpoint URL to use is http://testserver/models")


@pytest.mark.parametrize(
    ("client_name", "form"), [("unknown/hf_hub/1.33", list), ("@huggingface/inference/4.13", dict)]
)
def test_images_are_described_in_the_form_that_each_client_reads(
    monkeypatch: pytest.MonkeyPatch, client_name: str, form: type
) -> None:
    class Reader:
        def predict(self, inputs: list[Any], parameters: Mapping[str, Any]) -> list[Any]:
            return [{"generated_text": "a cat"}]

    monkeypatch.setattr(registry, "CARDS", (dataclasses.replace(ocr.CARD, load=Reader, required_modules=()),))
    with TestClient(create_app(), headers={"user-agent": client_name}) as client:
        answer = client.post("/models/local/ocr-rapid", content=b"GIF8").json()
    assert isinstance(answer, form)
    assert answer == ({"generated_text": "a cat"} if form is dict else [{"generated_text": "a cat"}])


@pytest.mark.parametrize("named", ["no/such-model", "no/such-model:fastest"])
def test_chat_with_an_unknown_model_is_404(client: TestClient, named: str) -> None:
    response = client.post("/v1/chat/completions", json={"model": named, "messages": MESSAGES})
    assert response.status_code == 404 and response.json()["error"] == "Model no/such-model does not exist"


def test_a_model_that_does_not_chat_says_so(client: TestClient) -> None:
    response = client.post(f"{LOCAL_SENTIMENT}/v1/chat/completions", json={"messages": MESSAGES})
    assert response.status_code == 400 and "does not do chat-completion" in response.json()["error"]


def test_a_wrong_method_is_405(client: TestClient) -> None:
    response = client.put(LOCAL_SENTIMENT, json={"inputs": "x"})
    assert response.status_code == 405 and "error" in response.json()
    assert client.post("/health").status_code == 405


def test_a_body_beyond_the_limit_is_413_announced_or_not(client: TestClient) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(11):
            yield b"x" * 1_000_000

    assert client.post(LOCAL_SENTIMENT, content=b"x" * 10_000_001).status_code == 413
    assert client.post(LOCAL_SENTIMENT, content=chunks()).status_code == 413


def test_a_task_the_model_does_not_do_is_400(client: TestClient) -> None:
    response = client.post(f"{LOCAL_SENTIMENT}/pipeline/translation", json={"inputs": "x"})
    assert response.status_code == 400
    assert response.json()["error"] == "Model local/sentiment does not do translation; it does text-classification"


def test_serving_to_other_machines_needs_a_token() -> None:
    with pytest.raises(ValueError, match=r"0\.0\.0\.0 without a token"):
        server.run("0.0.0.0", 1)


def test_without_the_extra_the_import_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, package=None: None if name == "onnxruntime" else find_spec(name, package),
    )
    for name in [name for name in sys.modules if name.startswith("huggingface_api_handler.server")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ModuleNotFoundError, match=r'onnxruntime.*pip install "huggingface_api_handler\[local\]"'):
        importlib.import_module("huggingface_api_handler.server")


def test_what_nobody_foresaw_is_a_500_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def predict(self, inputs: list[Any], parameters: Mapping[str, Any]) -> list[Any]:
            raise RuntimeError("a secret detail")

    monkeypatch.setattr(registry, "CARDS", (dataclasses.replace(sentiment.CARD, load=Broken),))
    app = create_app()
    with TestClient(app, headers={"x-wait-for-model": "true"}, raise_server_exceptions=False) as client:
        response = client.post(LOCAL_SENTIMENT, json={"inputs": "x"})
    assert response.status_code == 500 and "RuntimeError" in response.json()["error"]
    assert "secret detail" not in response.text
