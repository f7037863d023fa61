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
        ({"stream": "yes"}, 400),
        ({"n": 2}, 400),
        ({"tools": [{}]}, 400),
        ({"temperature": -1}, 400),
        ({"temperature": "hot"}, 400),
        ({"max_tokens": 0}, 400),
        ({"stop": [1]}, 400),
        ({"seed": -1}, 400),
        ({"response_format": {"type": "xml"}}, 400),
        ({"logprobs": 3}, 400),
        ({"logprobs": True, "top_logprobs": 21}, 400),
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


@pytest.mark.parametrize("parameters", [{"max_new_tokens": -1}, {"grammar": {}}, {"top_p": 2}, {"details": "yes"}])
def test_bad_generation_parameters_are_400(client: TestClient, parameters: dict[str, object]) -> None:
    response = client.post(f"/models/{NAME}", json={"inputs": "x", "parameters": parameters})
    assert response.status_code == 400 and response.json()["error"]


def test_unknown_parameters_of_generation_are_ignored_with_a_warning(client: TestClient) -> None:
    parameters = {"max_new_tokens": 2, "typical_p": 0.9, "watermark": False, "truncate": None}
    response = client.post(f"/models/{NAME}", json={"inputs": "The capital of France is", "parameters": parameters})
    assert response.json()[0]["generated_text"].startswith(" Paris")
    assert response.headers["x-warning"] == "not known here, so ignored: typical_p, watermark"


def events(client: TestClient, path: str, **body: object) -> list[Any]:
    response = client.post(path, json={**body, "stream": True})
    assert response.status_code == 200, response.text
    assert "x-warning" not in response.headers
    lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def test_a_streamed_chat_says_the_same_token_by_token(client: TestClient) -> None:
    asked: dict[str, Any] = {"messages": FRANCE, "max_tokens": 20, "stream_options": {"include_usage": True}}
    *parts, usage = events(client, "/v1/chat/completions", **asked)
    whole = chat(client, max_tokens=20)
    said = [part["choices"][0]["delta"].get("content", "") for part in parts]
    assert "".join(said) == content(whole) and len(said) > 5
    assert parts[-1]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert usage["usage"]["total_tokens"] == whole["usage"]["total_tokens"]


def test_a_streamed_text_says_the_same_token_by_token(client: TestClient) -> None:
    prompt, parameters = "The capital of France is", {"max_new_tokens": 6, "details": True}
    [whole] = ask(client, NAME, prompt, **parameters)
    found = events(client, f"/models/{NAME}", inputs=prompt, parameters=parameters)
    assert "".join(event["token"]["text"] for event in found) == whole["generated_text"]
    assert all(isinstance(event["token"]["id"], int) and event["token"]["logprob"] <= 0 for event in found)
    assert found[-1]["generated_text"] == whole["generated_text"] and found[-1]["details"] == whole["details"]
    parts = events(client, "/v1/completions", model=NAME, prompt=prompt, max_tokens=6)
    assert "".join(part["choices"][0]["text"] for part in parts) == whole["generated_text"]


def test_a_stream_of_too_long_a_prompt_is_422(client: TestClient) -> None:
    body = {"messages": [{"role": "user", "content": "word " * 5000}], "stream": True}
    assert client.post("/v1/chat/completions", json=body).status_code == 422


def test_a_completion_tells_its_tokens(client: TestClient) -> None:
    body = {"prompt": ["The capital of France is"], "max_tokens": 4, "echo": True}
    answer = client.post("/v1/completions", json=body).json()
    [choice] = answer["choices"]
    assert choice["text"].startswith("The capital of France is Paris") and choice["finish_reason"] == "length"
    assert answer["usage"] == {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}


def test_logprobs_have_the_form_of_openai(client: TestClient) -> None:
    [choice] = chat(client, max_tokens=2, logprobs=True, top_logprobs=3)["choices"]
    first, _ = choice["logprobs"]["content"]
    assert set(first) == {"token", "bytes", "logprob", "top_logprobs"} and len(first["top_logprobs"]) == 3
    assert first["top_logprobs"][0] == {name: first[name] for name in ("token", "bytes", "logprob")}
    parts = events(client, "/v1/chat/completions", messages=FRANCE, max_tokens=2, logprobs=True, top_logprobs=3)
    assert parts[0]["choices"][0]["logprobs"]["content"] == [first]
