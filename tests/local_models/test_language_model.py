"""Chat and text generation by the small language model."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from .conftest import ask

NAME = "local/smollm2-135m-instruct"
STAND_IN = "meta-llama/Llama-3.1-8B-Instruct"
MODELS = (NAME,)
FRANCE = [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}]


def chat(client: TestClient, path: str = "/v1/chat/completions", **body: Any) -> dict[str, Any]:
    response = client.post(path, json={"model": NAME, "messages": FRANCE, **body})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def content(answer: dict[str, Any]) -> str:
    return str(answer["choices"][0]["message"]["content"])


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v1/chat/completions", NAME),
        ("/v1/chat/completions", f"{STAND_IN}:fastest"),
        (f"/models/{STAND_IN}/v1/chat/completions", "tgi"),
        (f"/hf-inference/models/{NAME}/v1/chat/completions", None),
    ],
)
def test_every_way_to_the_chat_says_paris_in_the_recorded_shape(client: TestClient, path: str, model: object) -> None:
    answer = chat(client, path, model=model, max_tokens=40)
    assert set(answer) == {"object", "id", "created", "model", "system_fingerprint", "choices", "usage"}
    assert answer["object"] == "chat.completion" and answer["model"] in (NAME, STAND_IN)
    [choice] = answer["choices"]
    assert set(choice) == {"index", "message", "logprobs", "finish_reason"}
    assert choice["message"]["role"] == "assistant" and "Paris" in choice["message"]["content"]
    assert choice["finish_reason"] == "stop"
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_max_tokens_ends_the_answer(client: TestClient) -> None:
    answer = chat(client, max_tokens=3)
    assert answer["choices"][0]["finish_reason"] == "length" and answer["usage"]["completion_tokens"] == 3


def test_stop_ends_the_answer_before_it(client: TestClient) -> None:
    assert "Paris" not in content(chat(client, stop=["Paris"]))
    assert content(chat(client, stop=" Paris")) == content(chat(client, stop=[" Paris"]))


def test_a_seed_repeats_a_sampled_answer(client: TestClient) -> None:
    story = [{"role": "user", "content": "Tell a story."}]
    asked: dict[str, Any] = {"messages": story, "temperature": 1.5, "max_tokens": 20}
    first, again, other = (content(chat(client, **asked, seed=seed)) for seed in (1, 1, 2))
    assert first == again != other


def test_without_a_temperature_the_answer_repeats_whatever_came_between(client: TestClient) -> None:
    first = content(chat(client))
    chat(client, messages=[{"role": "user", "content": "Something else"}], max_tokens=5)
    assert content(chat(client)) == first


def test_a_json_schema_is_kept_to(client: TestClient) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    for wanted in (
        {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
        {"type": "json", "value": schema},
    ):
        assert set(json.loads(content(chat(client, response_format=wanted, max_tokens=60)))) == {"city"}


def test_parts_of_text_are_joined(client: TestClient) -> None:
    parts = [{"type": "text", "text": FRANCE[0]["content"]}]
    assert content(chat(client, messages=[{"role": "user", "content": parts}])) == content(chat(client))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"messages": []}, 400),
        ({"messages": "hi"}, 400),
        ({"messages": [{"role": "user"}]}, 400),
        ({"messages": [{"role": "robot", "content": "x"}]}, 400),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400),
        ({"messages": [{"role": "user", "content": "word " * 5000}]}, 422),
        ({"stream": True}, 400),
        ({"n": 2}, 400),
        ({"tools": [{}]}, 400),
        ({"temperature": -1}, 400),
        ({"temperature": "hot"}, 400),
        ({"max_tokens": 0}, 400),
        ({"stop": [1]}, 400),
        ({"seed": -1}, 400),
        ({"response_format": {"type": "xml"}}, 400),
        ({"unknown": 1}, 400),
        ({"model": 3}, 400),
    ],
)
def test_what_cannot_be_done_is_refused(client: TestClient, body: dict[str, object], status: int) -> None:
    response = client.post("/v1/chat/completions", json={"model": NAME, "messages": FRANCE, **body})
    assert response.status_code == status and response.json()["error"]


def test_no_messages_is_422_as_recorded(client: TestClient) -> None:
    response = client.post("/v1/chat/completions", json={"model": NAME})
    assert response.status_code == 422 and "missing field `messages`" in response.json()["error"]


def test_text_generation_goes_on_from_the_prompt(client: TestClient) -> None:
    [answer] = ask(client, STAND_IN, "The capital of France is", max_new_tokens=4)
    assert set(answer) == {"generated_text"} and answer["generated_text"].startswith(" Paris")
    [full] = ask(client, NAME, "The capital of France is", max_new_tokens=4, return_full_text=True, details=True)
    assert full["generated_text"] == "The capital of France is" + answer["generated_text"]
    assert full["details"]["finish_reason"] == "length" and full["details"]["generated_tokens"] == 4
    assert ask(client, NAME, ["The capital of France is"], max_new_tokens=4, do_sample=False) == [answer]


@pytest.mark.parametrize("parameters", [{"max_new_tokens": -1}, {"watermark": True}, {"top_p": 2}, {"details": "yes"}])
def test_bad_generation_parameters_are_400(client: TestClient, parameters: dict[str, object]) -> None:
    response = client.post(f"/models/{NAME}", json={"inputs": "x", "parameters": parameters})
    assert response.status_code == 400 and response.json()["error"]
