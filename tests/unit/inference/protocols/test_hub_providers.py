"""Inference providers through huggingface_hub's own helpers, against a stand-in that follows their protocols."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from typing import Any

import pandas as pd
import pytest
from huggingface_hub.hf_api import InferenceProviderMapping
from huggingface_hub.inference._providers import PROVIDERS, _common

from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.errors import InferenceError, InputError, MediaError
from huggingface_api_handler.inference import InferenceHook, predict
from huggingface_api_handler.inference.flow_control.retry import RetryPolicy
from huggingface_api_handler.inference.protocols import discovery, hub_providers
from huggingface_api_handler.inference.protocols import jobs as jobs_module
from huggingface_api_handler.inference.protocols.provider_names import HELPER_TASKS, REMOVED_PROVIDERS
from huggingface_api_handler.inference.protocols.routing import resolve_route
from huggingface_api_handler.inference.runtime.session import default_session
from huggingface_api_handler.inference.transport import client
from huggingface_api_handler.inference.transport.client import Response
from huggingface_api_handler.tasks import TASKS
from tests.conftest import Reply, Service

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00\x90wS\xde"
MP4 = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2"
KEY = {"api_key": "hf_ProviderSecret"}


@pytest.fixture
def hub(service: Service, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The Hub knows every model at every provider under another name; the router is the test's service."""
    lookups: list[str] = []

    def mapping(model: str, hub_key: Any) -> list[InferenceProviderMapping]:
        lookups.append(model)
        return [
            InferenceProviderMapping(
                provider=name, hf_model_id=model, providerId=f"their/{name}", status="live", task=task
            )
            for name, tasks in PROVIDERS.items()
            for task in tasks
            if task == model.partition("/")[0]
        ]

    monkeypatch.setattr(hub_providers, "_ask_hub", mapping)
    monkeypatch.setattr(_common, "HARDCODED_MODEL_INFERENCE_MAPPING", {})
    monkeypatch.setattr(
        "huggingface_api_handler.inference.protocols.hub_providers.HARDCODED_MODEL_INFERENCE_MAPPING",
        _common.HARDCODED_MODEL_INFERENCE_MAPPING,
    )
    monkeypatch.setattr("huggingface_hub.constants.INFERENCE_PROXY_TEMPLATE", service.url + "/{provider}")
    return lookups


def ask(
    provider: str, task: str, cells: list[Any], engine: Any = None, cancel: Any = None, hooks: Any = (), **using: Any
) -> pd.DataFrame:
    helper_task = HELPER_TASKS.get(task, task)
    using = {"task": task, "column": "t", "target": "y", "model": f"{helper_task}/m", "provider": provider, **using}
    return predict(pd.DataFrame({"t": cells}), using, engine or KEY, cancel=cancel, hooks=hooks)


CHAT = {"choices": [{"message": {"content": "Paris"}, "finish_reason": "stop"}], "usage": {"total_tokens": 3}}


@pytest.mark.parametrize(
    "provider",
    sorted(
        name
        for name, tasks in PROVIDERS.items()
        if "conversational" in tasks and name not in ("hf-inference", "openai", *REMOVED_PROVIDERS)
    ),
)  # openai takes its own keys only, at its own host
def test_chat_goes_to_every_provider_under_its_name_for_the_model(
    service: Service, hub: list[str], provider: str
) -> None:
    service.answer = lambda *_: CHAT
    out = ask(provider, "chat-completion", ["Capital of France?", "And of Italy?"], max_tokens=5)
    assert list(out["y"]) == ["Paris", "Paris"]
    assert f"their/{provider}" in (service.asked[0].get("model", "") + service.paths[0])
    assert {body["messages"][0]["content"] for body in service.asked} == {"Capital of France?", "And of Italy?"}
    assert service.headers[0]["authorization"] == "Bearer hf_ProviderSecret"
    assert hub.count("conversational/m") == 1


def test_typed_chat_falls_back_to_the_form_that_a_provider_takes(service: Service, hub: list[str]) -> None:
    def answers(body: Any, *_: Any) -> Any:
        if "response_format" in body:
            return Reply({"error": {"message": "response_format is not supported for this model"}}, 400)
        answer = {"message": {"content": '{"city": "Paris"}'}, "finish_reason": "stop"}
        return {"choices": [answer], "usage": {"total_tokens": 3}}

    service.answer = answers
    out = ask("groq", "chat-completion", [f"question {number}" for number in range(10)], output_schema={"city": "str"})
    assert list(out["city"]) == ["Paris"] * 10
    assert len(service.asked) == 13
    assert service.asked[0]["stream"] is False


def test_the_hub_is_asked_once_for_a_whole_query(service: Service, hub: list[str]) -> None:
    service.answer = lambda *_: CHAT
    ask("together", "chat-completion", [f"question {number}" for number in range(50)])
    assert len(service.asked) == 50
    assert len(hub) == 1


def test_images_come_back_as_media(service: Service, hub: list[str]) -> None:
    service.answer = lambda *_: {"data": [{"b64_json": base64.b64encode(PNG).decode()}]}
    out = ask("together", "text-to-image", ["a cat"], width=64)
    assert out["y"][0] == f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert service.asked[0]["prompt"] == "a cat"


class Jobs:
    """fal-ai's queue: a job is ready once it was asked for three times, or never."""

    def __init__(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("huggingface_hub.inference._providers.fal_ai._POLLING_INTERVAL", 0)
        self.are_endless = False
        self.file = f"{service.url}/made.mp4"
        self.on_look = lambda: None
        self._looks = 0
        service.answer = self._answer

    def _answer(self, body: Any, headers: dict[str, str], path: str) -> Any:
        if body is not None:
            at = "https://queue.example/fal-ai/m/requests/7"
            return {"request_id": "7", "status": "IN_QUEUE", "response_url": at}
        if path.endswith(".mp4"):
            return Reply(MP4, 200, {"Content-Type": "video/mp4"})
        if not path.endswith("/status"):
            return {"video": {"url": self.file}}
        self._looks += 1
        self.on_look()
        return {"status": "IN_QUEUE" if self.are_endless or self._looks % 3 else "COMPLETED"}


@pytest.fixture
def jobs(service: Service, hub: list[str], monkeypatch: pytest.MonkeyPatch) -> Jobs:
    return Jobs(service, monkeypatch)


VIDEO = f"data:video/mp4;base64,{base64.b64encode(MP4).decode()}"


def threads_at_work() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "huggingface-api-work"]


def test_a_provider_that_answers_with_a_job_is_polled(service: Service, jobs: Jobs) -> None:
    out = ask("fal-ai", "text-to-video", ["a cat walks"])
    assert out["y"][0] == VIDEO
    assert service.fetched == ["/fal-ai/m/requests/7/status"] * 3 + ["/fal-ai/m/requests/7", "/made.mp4"]


@pytest.mark.parametrize("end", ["cancelled", "max_seconds", "timeout"])
def test_a_job_ends_with_its_query_and_nothing_more_goes_out(service: Service, jobs: Jobs, end: str) -> None:
    cancel = threading.Event()
    jobs.are_endless = True
    jobs.on_look = cancel.set if end == "cancelled" else lambda: None
    using: Any = {"on_error": "null", **({"max_seconds": 0.2} if end == "max_seconds" else {})}
    engine = {**KEY, "timeout": 0.2} if end == "timeout" else KEY
    out = ask("fal-ai", "text-to-video", ["a cat walks"], engine, cancel, **using)
    for thread in threads_at_work():
        thread.join(20)
        assert not thread.is_alive()
    assert out["y"].isna()[0]
    assert {"cancelled": "cancelled", "max_seconds": "max_seconds", "timeout": "was not done within"}[end] in out[
        "y_error"
    ][0]
    assert len(service.asked) == 1, "a job that is begun again is paid for again"
    assert len(service.asked) + len(service.fetched) <= out.attrs["usage"]["requests"]


def test_each_look_at_a_job_counts_as_a_request(service: Service, jobs: Jobs) -> None:
    events: list[str] = []

    class Hook(InferenceHook):
        def on_request_sent(self, event: Any) -> None:
            events.append(f"{event.number}: {event.inputs}")

        def on_request_answered(self, event: Any) -> None:
            events.append(f"{event.number}: {event.status}")

    usage = ask("fal-ai", "text-to-video", ["a cat walks"], hooks=[Hook()], max_requests=1).attrs["usage"]
    assert usage["requests"] == len(service.asked) + len(service.fetched) == 6
    assert usage["bytes_received"] > len(MP4)
    assert sorted(events) == sorted(["1: 1", "1: 200", *(f"{n}: {x}" for n in range(2, 7) for x in (0, 200))])


def test_looks_at_jobs_spend_the_engines_limit(service: Service, jobs: Jobs) -> None:
    jobs.are_endless = True
    engine = {**KEY, "requests_per_hour": 4}
    with pytest.raises(InferenceError, match="requests_per_hour = 4 was reached"):
        ask("fal-ai", "text-to-video", ["a cat walks", "a dog walks"], engine, max_seconds=20)
    assert len(service.asked) + len(service.fetched) == 4


def test_a_file_elsewhere_is_fetched_from_the_public_internet_only_and_without_the_key(
    service: Service, jobs: Jobs
) -> None:
    jobs.file = f"http://localhost:{service.port}/made.mp4"
    out = ask("fal-ai", "text-to-video", ["a cat walks"], on_error="null")
    assert "names a file that cannot be had" in out["y_error"][0]
    assert "/made.mp4" not in service.fetched


@pytest.mark.parametrize("status", [200, 404])
def test_a_file_elsewhere_comes_through_the_proxy_that_there_is(
    service: Service, jobs: Jobs, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    asked: list[Any] = []

    async def get(url: str, headers: Any, timeout: float) -> Response:
        asked.append((url, dict(headers)))
        return Response(status, {}, MP4)

    route_url, url = f"{service.url}/fal-ai/m", "https://files.example/made.mp4"
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    client.proxy_url.cache_clear()
    try:
        fetched = jobs_module.get_for_job(get, route_url, url, {"authorization": "Bearer hf_x"}, 1.0)
        if status == 200:
            assert asyncio.run(fetched).body == MP4
        else:
            with pytest.raises(MediaError, match=r"files\.example answered HTTP 404"):
                asyncio.run(fetched)
    finally:
        monkeypatch.undo()
        client.proxy_url.cache_clear()
    assert asked == [("https://files.example/made.mp4", {})]


def test_a_key_is_found_in_what_a_helper_read_in_another_encoding(service: Service, hub: list[str]) -> None:
    said = json.dumps({"text": f"you are {KEY['api_key']}"})
    wav = b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00data\x00\x00\x00\x00"
    for body in (said.encode("utf-16"), said.replace("hf_", "\\u0068f_").encode()):
        service.answer = lambda *_, body=body: Reply(body)
        out = ask("fal-ai", "automatic-speech-recognition", [wav], on_error="null")
        assert "repeats the key" in out["y_error"][0] and out["y"].isna()[0]


def test_an_image_goes_to_a_provider_as_the_helper_wants_it(service: Service, hub: list[str]) -> None:
    service.answer = lambda *_: {"text": "hello"}
    wav = b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00data\x00\x00\x00\x00"
    out = ask("fal-ai", "automatic-speech-recognition", [wav])
    assert list(out["y"]) == ["hello"]
    assert service.asked[0]["audio_url"].startswith("data:audio/")


def test_what_a_provider_does_not_do_is_told_before_any_request(service: Service, hub: list[str]) -> None:
    with pytest.raises(InputError, match="did you mean 'together'"):
        ask("togethr", "chat-completion", ["x"])
    with pytest.raises(InputError, match="groq does not serve this"):
        ask("groq", "text-to-image", ["x"])
    with pytest.raises(InputError, match="needs a key"):
        ask("groq", "chat-completion", ["x"], engine={"timeout": 5})
    with pytest.raises(InputError, match="belongs to one provider"):
        ask("groq", "chat-completion", ["x"], engine={"api_key": "gsk_of_another_provider"})
    assert service.asked == []


def test_a_key_of_an_endpoint_never_goes_to_a_provider(service: Service, hub: list[str]) -> None:
    engine = {**KEY, "endpoint": "https://mine.example"}
    with pytest.raises(InputError, match="belongs to its endpoint") as error:
        ask("together", "chat-completion", ["x"], engine=engine)
    assert "hf_ProviderSecret" not in str(error.value)
    assert service.asked == []
    assert hub == []


def test_a_providers_refusal_is_a_reason(service: Service, hub: list[str]) -> None:
    service.answer = lambda *_: Reply({"error": {"message": "model is overloaded"}}, 401)
    with pytest.raises(InferenceError, match="model is overloaded") as error:
        ask("together", "chat-completion", ["x"])
    assert "hf_ProviderSecret" not in str(error.value)


def test_an_answer_that_a_helper_cannot_read_is_not_an_answer(
    service: Service, hub: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RetryPolicy, "_backoff_s", lambda policy, attempt: 0.001 * 2.0 ** (attempt - 1))
    service.answer = lambda *_: {"data": []}
    with pytest.raises(InferenceError):
        ask("together", "text-to-image", ["a cat"])


def test_every_task_of_every_helper_is_a_task_here() -> None:
    of_ours = {HELPER_TASKS.get(name, name) for name in TASKS}
    assert {task for tasks in PROVIDERS.values() for task in tasks} - of_ours == set()


def test_a_providers_name_for_a_model_is_found_at_create_and_needs_no_hub_later(
    service: Service, hub: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_settings(KEY)
    using = {"task": "text-to-image", "column": "t", "target": "y", "model": "text-to-image/m", "provider": "together"}
    found = json.loads(json.dumps(discovery.discover(engine, model_settings(using, engine), default_session().http)))
    assert len(hub) == 1
    monkeypatch.setattr(_common, "HARDCODED_MODEL_INFERENCE_MAPPING", {})
    monkeypatch.setattr(hub_providers, "HARDCODED_MODEL_INFERENCE_MAPPING", _common.HARDCODED_MODEL_INFERENCE_MAPPING)
    default_session().servers.restore(found, engine_settings({}))
    service.answer = lambda body, *_: {"data": [{"b64_json": base64.b64encode(PNG).decode()}]}
    out = ask("together", "text-to-image", ["a cat"])
    assert out["y"][0].startswith("data:image/png")
    assert service.asked[0]["model"] == "their/together"
    assert len(hub) == 1


def test_a_hub_that_cannot_be_asked_is_only_a_warning_at_create(
    hub: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def down(model: str, hub_key: Any) -> Any:
        raise ConnectionError("https://user:password@hub")

    monkeypatch.setattr(hub_providers, "_ask_hub", down)
    engine = engine_settings(KEY)
    using = {"task": "text-to-image", "column": "t", "target": "y", "model": "text-to-image/m", "provider": "together"}
    assert discovery.discover(engine, model_settings(using, engine), default_session().http) == {}
    assert "could not be asked" in caplog.text
    assert "password" not in caplog.text


def test_a_model_that_the_hub_lists_at_hf_inference_is_not_looked_up_by_the_helper(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The helper would ask for each request, with the machine's token, whoever's key the engine has."""
    monkeypatch.setenv("HF_TOKEN", "hf_OfTheMachine")
    monkeypatch.setattr(hub_providers, "HARDCODED_MODEL_INFERENCE_MAPPING", {})
    asked: list[Any] = []
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **named: asked.append(named))
    mapping = InferenceProviderMapping(
        provider="hf-inference", hf_model_id="o/m", providerId="o/m", status="live", task="text-to-image"
    )
    monkeypatch.setattr(hub_providers, "_ask_hub", lambda model, hub_key: [mapping])
    model = model_settings({"task": "text-to-image", "column": "t", "target": "y", "model": "o/m", "provider": "auto"})
    route = resolve_route(engine_settings(KEY), model)
    assert route.url == "https://router.huggingface.co/hf-inference/models/o/m"
    assert route.headers["authorization"] == f"Bearer {KEY['api_key']}"
    assert route.protocol.encode(TASKS["text-to-image"], ["a cat"], model)
    assert asked == []


def test_a_mapping_is_looked_up_with_the_engines_own_key_and_no_other(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_OfTheMachine")
    monkeypatch.setattr(hub_providers, "HARDCODED_MODEL_INFERENCE_MAPPING", {})
    tokens: list[Any] = []

    def model_info(_: Any, model: str, **named: Any) -> Any:
        tokens.append(named["token"])
        raise ConnectionError

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", model_info)
    using = {"task": "chat-completion", "column": "t", "target": "y", "model": "o/m", "provider": "together"}
    for engine in (KEY, {"api_key": "tgp_v1_OfTogether012345", "provider": "together"}, {}):
        with pytest.raises(InferenceError, match="could not be asked"):
            resolve_route(engine_settings(engine), model_settings(using))
    assert tokens == [KEY["api_key"], False, "hf_OfTheMachine"]
