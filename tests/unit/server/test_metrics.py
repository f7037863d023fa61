"""What `/metrics` of the local inference server counts."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from huggingface_api_handler.server import create_app, metrics, model_pool

SENTIMENT = "/models/local/sentiment"
PREFIX = "huggingface_api_server_"
CHAT = {
    "choices": [{"message": {"role": "assistant", "content": "Hi."}}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}


@pytest.fixture
def fresh() -> TestClient:
    """A server that has counted nothing yet."""
    return TestClient(create_app(), headers={"x-wait-for-model": "true"}, raise_server_exceptions=False)


def counted(client: TestClient, name: str) -> dict[tuple[str, ...], float]:
    """The values of a metric by its labels, in the order of their names."""
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
        if sample.name == PREFIX + name
    }


def test_requests_are_counted_by_task_and_status_and_inputs_where_they_are_answered(fresh: TestClient) -> None:
    statuses = [
        fresh.post(SENTIMENT, json={"inputs": ["Fine.", "Bad."]}).status_code,
        fresh.post(f"/hf-inference{SENTIMENT}", json={"inputs": "Fine."}).status_code,
        fresh.post(SENTIMENT, json={"inputs": "a", "parameters": {"top_k": "no number"}}).status_code,
        fresh.post("/models/no/such", json={"inputs": "a"}).status_code,
    ]
    assert statuses == [200, 200, 400, 404]
    requests = {("200", "text-classification"): 2.0, ("400", "text-classification"): 1.0, ("404", ""): 1.0}
    assert counted(fresh, "requests_total") == requests
    assert counted(fresh, "inputs_total") == {("text-classification",): 3.0}
    assert counted(fresh, "request_duration_seconds_count") == {("text-classification",): 3.0, ("",): 1.0}
    assert counted(fresh, "requests_in_flight") == {("text-classification",): 0.0}


def test_no_input_and_no_model_that_a_client_made_up_is_in_the_metrics(fresh: TestClient) -> None:
    fresh.post(SENTIMENT, json={"inputs": "a private text"})
    fresh.post("/models/a/private-model", json={"inputs": "a private text"})
    fresh.post("/models/local/sentiment/pipeline/private-task", json={"inputs": "a private text"})
    assert "private" not in fresh.get("/metrics").text


@pytest.mark.same_on_every_python  # the weights are in the first environment only
def test_tokens_of_chats_are_counted_and_requests_in_flight(fresh: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    in_flight: list[float] = []

    class Model:
        async def predict(self, items: Any, parameters: Any) -> Any:
            shown = fresh.app.state.metrics.response().body.decode()  # type: ignore[attr-defined]
            in_flight.extend(map(float, re.findall(r'requests_in_flight\{task="chat-completion"\} (\S+)', shown)))
            return [CHAT]

    async def get(*_: object) -> Model:
        return Model()

    monkeypatch.setattr(model_pool.ModelPool, "get", get)
    body = {"messages": [{"role": "user", "content": "Hello"}]}
    assert fresh.post("/v1/chat/completions", json=body).status_code == 200
    assert in_flight == [1.0]
    assert counted(fresh, "tokens_total") == {("chat-completion",): 7.0}
    assert counted(fresh, "requests_in_flight") == {("chat-completion",): 0.0}


def test_a_defect_of_the_server_is_counted_as_500(fresh: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def get(*_: object) -> object:
        raise RuntimeError("a defect")

    monkeypatch.setattr(model_pool.ModelPool, "get", get)
    assert fresh.post(SENTIMENT, json={"inputs": "a"}).status_code == 500
    assert counted(fresh, "requests_total") == {("500", "text-classification"): 1.0}
    assert counted(fresh, "inputs_total") == {}


def test_without_the_package_there_are_no_metrics_and_all_else_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, metrics.__name__)
    client = TestClient(create_app(), headers={"x-wait-for-model": "true"})
    response = client.get("/metrics")
    assert response.status_code == 404 and "huggingface_api_handler[metrics]" in response.json()["error"]
    assert client.post(SENTIMENT, json={"inputs": "Fine."}).status_code == 200
