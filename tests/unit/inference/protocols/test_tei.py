"""Text Embeddings Inference: its routes, and the one form of batch it reads rightly."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.protocols import discovery
from huggingface_api_handler.inference.protocols.discovery import DetectedServers
from huggingface_api_handler.inference.runtime.session import default_session
from tests.conftest import Reply, Service


def info(kind: str) -> dict[str, Any]:
    return {"model_id": "m", "model_type": {kind: {}}, "max_client_batch_size": 8, "max_input_length": 512}


def share(text: str) -> float:
    return sum(map(ord, text)) % 97 / 97


def tei(body: Any, headers: dict[str, str], path: str) -> Any:
    """What the server does, the pair of sentences included."""
    inputs = body.get("inputs")
    if path == "/embed":
        texts = [inputs] if isinstance(inputs, str) else inputs
        if len(texts) > 8:
            return Reply(
                {"error": f"batch size {len(texts)} > maximum allowed batch size 8", "error_type": "Validation"}, 413
            )
        return [[share(text), 1.0] for text in texts]
    if path == "/predict":
        if isinstance(inputs, list) and all(isinstance(item, list) for item in inputs):
            return [
                [{"label": "A", "score": share(item[0])}, {"label": "B", "score": 1 - share(item[0])}]
                for item in inputs
            ]
        text = " ".join(inputs) if isinstance(inputs, list) else inputs
        return [{"label": "A", "score": share(text)}, {"label": "B", "score": 1 - share(text)}]
    if path == "/rerank":
        scored = [{"index": index, "score": share(text)} for index, text in enumerate(body["texts"])]
        return sorted(scored, key=lambda item: -item["score"])
    if path == "/similarity":
        return [share(text) for text in inputs["sentences"]]
    return Reply({"error": "not found"}, 404)


TEXTS = [f"text number {number}" for number in range(30)]
FRAME = pd.DataFrame({"t": TEXTS, "q": ["one query"] * 30})


@pytest.fixture
def server(service: Service) -> Service:
    service.answer = tei
    service.info = info("embedding")
    return service


def test_embeddings_go_in_batches_of_the_servers_size(server: Service) -> None:
    out = predict(FRAME, {"task": "embeddings", "column": "t", "target": "y"}, {"endpoint": server.url})
    assert [vector[0] for vector in out["y"]] == [share(text) for text in TEXTS]
    assert server.paths == ["/embed"] * 4
    predict(FRAME, {"task": "embeddings", "column": "t", "target": "y", "normalize": True}, {"endpoint": server.url})
    assert server.fetched == ["/info"]


def test_classification_never_sends_the_form_that_is_read_as_a_pair(server: Service) -> None:
    out = predict(FRAME, {"task": "text-classification", "column": "t", "target": "y"}, {"endpoint": server.url})
    assert list(out["y_confidence"]) == [pytest.approx(max(share(text), 1 - share(text))) for text in TEXTS]
    assert all(
        isinstance(body["inputs"], str) or all(isinstance(item, list) for item in body["inputs"])
        for body in server.asked
    )
    assert len(server.asked) == 4


def test_ranking_and_similarity_send_a_query_with_its_texts(server: Service) -> None:
    for task, path in (("text-ranking", "/rerank"), ("sentence-similarity", "/similarity")):
        out = predict(FRAME, {"task": task, "column": "q", "column2": "t", "target": "y"}, {"endpoint": server.url})
        assert list(out["y"]) == [share(text) for text in TEXTS]
        assert server.paths[-1] == path


def test_another_server_is_not_taken_for_one(service: Service) -> None:
    others: list[Any] = [None, {"models": []}, [1], {"model_id": "m"}]
    for info in others:
        default_session().servers = DetectedServers()
        service.info = info
        service.answer = lambda body, headers, path: [{"label": "A", "score": 0.9}] if path == "/" else Reply({}, 404)
        out = predict(
            FRAME.head(1), {"task": "text-classification", "column": "t", "target": "y"}, {"endpoint": service.url}
        )
        assert list(out["y"]) == ["A"]


def test_what_answers_at_an_endpoint_is_found_at_create_and_not_asked_again(service: Service) -> None:
    service.info = {"model_id": "m", "model_type": {"embedding": {}}, "max_client_batch_size": 7}
    engine = engine_settings({"endpoint": service.url})
    using = {"task": "feature-extraction", "column": "t", "target": "y"}
    found = discovery.discover(engine, model_settings(using, engine), default_session().http)
    assert found["tei"]["largest_batch"] == 7
    default_session().servers = DetectedServers()
    default_session().servers.restore(found, engine_settings({}))
    service.answer = lambda body, *_: [[1.0, 2.0] for _ in body["inputs"]]
    predict(pd.DataFrame({"t": [f"text {n}" for n in range(14)]}), using, {"endpoint": service.url})
    assert service.fetched == ["/info"]
    assert [len(asked["inputs"]) for asked in service.asked] == [7, 7]


@pytest.mark.parametrize("asleep", [1, 3], ids=["until it is asked", "until it is asked to work"])
def test_a_server_that_sleeps_is_asked_again_what_it_is(
    asleep: int, server: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_api_handler.inference.flow_control.outage._FIRST_TRIAL_PAUSE_S", 0.001)
    turns = 0

    def sleeping() -> bool:
        nonlocal turns
        turns += 1
        return turns <= asleep

    server.info = lambda: Reply({"error": "starting"}, 503) if sleeping() else info("embedding")
    server.answer = lambda *request: Reply({"error": "starting"}, 503) if sleeping() else tei(*request)
    using = {"task": "sentence-similarity", "column": "q", "column2": "t", "target": "y"}
    for _ in range(2):
        out = predict(FRAME, {**using, "cache": False}, {"endpoint": server.url})
        assert list(out["y"]) == [share(text) for text in TEXTS]
    assert set(server.paths[asleep:]) == {"/similarity"}
    assert len(server.fetched) <= asleep + 1
