"""What the adapter of providers needs of huggingface_hub, private names included. Run it on each release that is allowed.

No network is used: the Hub's answer is put where huggingface_hub looks for it first, and only answers are read that
come whole in one response.
"""

from __future__ import annotations

import base64
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.hf_api import HfApi, InferenceProviderMapping
from huggingface_hub.inference._common import RequestParameters
from huggingface_hub.inference._providers import PROVIDERS, _common, get_provider_helper
from huggingface_hub.utils import hf_raise_for_status  # type: ignore[attr-defined]
from multidict import CIMultiDict
from pydantic import SecretStr

from huggingface_api_handler.config.validation import model_settings
from huggingface_api_handler.inference.protocols import hub_providers, user_agent
from huggingface_api_handler.inference.protocols.base import JSON_TYPE, Batching
from huggingface_api_handler.inference.protocols.hub_providers import HubProvider, provider_for
from huggingface_api_handler.inference.protocols.provider_names import HELPER_TASKS, REMOVED_PROVIDERS
from huggingface_api_handler.inference.transport.client import Response
from huggingface_api_handler.tasks import TASKS, Media, input_types

PNG = Media(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00\x90wS\xde", "image/png")  # fmt: skip
WAV = Media(b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00data\x00\x00\x00\x00", "audio/wav")  # fmt: skip
KEYS = ["hf_ContractSecret", "sk-contract-secret"]
OWN_HEADERS = {"user-agent": "ours", "x-use-cache": "false"}

INPUTS: dict[str, Any] = {
    "question-answering": input_types.ContextQuestion("who?", "Ann is here."),
    "sentence-similarity": input_types.TextPair("a cat", "a dog"),
    "table-question-answering": input_types.TableQuestion("how many?", '{"n": ["1"]}'),
    "tabular-classification": input_types.TableRow(("1", "x")),
    "tabular-regression": input_types.TableRow(("1", "x")),
    "zero-shot-classification": input_types.LabelledText("a cat", ("animal", "thing")),
    "zero-shot-image-classification": input_types.LabelledMedia(PNG, ("animal", "thing")),
    "visual-question-answering": input_types.MediaQuestion(PNG, "what?"),
    "document-question-answering": input_types.MediaQuestion(PNG, "what?"),
    "image-text-to-text": input_types.PromptedMedia(PNG, "what?"),
    "image-to-image": input_types.PromptedMedia(PNG, "red"),
    "image-to-video": input_types.PromptedMedia(PNG, "red"),
    "image-text-to-image": input_types.PromptedMedia(PNG, "red"),
    "image-text-to-video": input_types.PromptedMedia(PNG, "red"),
}
BY_DATA_TYPE = {"text": "a cat", "image": PNG, "audio": WAV}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "question-answering": {"context_column": "c"},
    "sentence-similarity": {"column2": "u"},
    "table-question-answering": {"table_column": "b"},
    "tabular-classification": {"column": None, "columns": ["n", "m"]},
    "tabular-regression": {"column": None, "columns": ["n", "m"]},
    "zero-shot-classification": {"candidate_labels": ["animal", "thing"]},
    "zero-shot-image-classification": {"candidate_labels": ["animal", "thing"]},
    "visual-question-answering": {"question_column": "q"},
    "document-question-answering": {"question_column": "q"},
    "zero-shot-object-detection": {"candidate_labels": ["animal", "thing"]},
}

OURS = [
    (provider, name)
    for provider, tasks in PROVIDERS.items()
    for name in TASKS
    if HELPER_TASKS.get(name, name) in tasks and provider != "hf-inference"  # which is asked without a helper
]


WITH_OWN_KEYS = {"openai", *REMOVED_PROVIDERS}
"""Providers that Hugging Face does not route to, so that they take keys of their own only."""


def key_of(provider: str) -> str:
    return KEYS[provider in WITH_OWN_KEYS]


def settings_of(task: str) -> Any:
    using = {"task": task, "column": "t", "model": "owner/m", "provider": "together", **ARGUMENTS.get(task, {})}
    return model_settings({name: value for name, value in using.items() if value is not None})


def input_of(task: str) -> Any:
    return INPUTS.get(task, BY_DATA_TYPE.get(TASKS[task].columns[0].data_type))


@pytest.fixture
def protocol(provider: str, task: str, key: str, monkeypatch: pytest.MonkeyPatch) -> HubProvider:
    helper_task = HELPER_TASKS.get(task, task)
    mapping = InferenceProviderMapping(  # type: ignore[no-untyped-call]
        provider=provider, hf_model_id="owner/m", providerId="their/m", status="live", task=helper_task
    )
    hardcoded: dict[str, Any] = {provider: {"owner/m": mapping}}
    monkeypatch.setattr(_common, "HARDCODED_MODEL_INFERENCE_MAPPING", hardcoded)
    monkeypatch.setattr(hub_providers, "HARDCODED_MODEL_INFERENCE_MAPPING", hardcoded)
    return provider_for("owner/m", TASKS[task], provider, SecretStr(key), OWN_HEADERS)


@pytest.mark.parametrize(
    ("provider", "task", "key"),
    [(*pair, key) for pair in OURS for key in KEYS if key[:3] != "hf_" or pair[0] not in WITH_OWN_KEYS],
)
def test_a_request_is_what_the_helper_would_send(protocol: HubProvider, provider: str, task: str, key: str) -> None:
    definition, settings = TASKS[task], settings_of(task)
    assert protocol.supports(definition)
    assert protocol.batching(definition) is Batching.NEVER
    inputs, parameters = hub_providers._helper_inputs(definition, input_of(task), settings, protocol.form)
    request = protocol.helper.prepare_request(
        inputs=inputs, parameters=parameters, headers=dict(OWN_HEADERS), model="owner/m", api_key=key
    )
    assert protocol.url("", "owner/m", definition) == request.url
    their_name = protocol.mapping()["providerId"]
    assert their_name == ("owner/m" if provider == "openai" else "their/m")
    assert their_name in request.url + json.dumps(request.json) + str(request.data)
    headers = dict(protocol.headers(definition))
    assert {**headers, "content-type": request.headers["content-type"]} == request.headers
    assert key in " ".join(headers.values())
    assert OWN_HEADERS.items() <= headers.items()
    body = protocol.encode(definition, [input_of(task)], settings)
    if request.data is None:
        assert json.loads(body.data) == request.json
        assert body.content_type == headers["content-type"] == JSON_TYPE
    else:
        assert body.content_type.partition(";")[0] == request.headers["content-type"].partition(";")[0]
    assert key not in repr(protocol) + repr(body)


CHAT = {"choices": [{"message": {"content": "Paris"}, "finish_reason": "stop"}], "usage": {"total_tokens": 3}}
COMPLETION = {"choices": [{"text": "on and on", "finish_reason": "stop"}]}
IMAGE = {"data": [{"b64_json": base64.b64encode(PNG.data).decode()}]}
VECTOR = {"data": [{"embedding": [0.5, 1.0]}]}

ANSWERS: dict[tuple[str, str], tuple[Any, Any]] = {
    ("deepinfra", "automatic-speech-recognition"): ({"text": "hello"}, "hello"),
    ("deepinfra", "feature-extraction"): (VECTOR, [0.5, 1.0]),
    ("deepinfra", "text-generation"): (COMPLETION, "on and on"),
    ("deepinfra", "text-to-speech"): (WAV.data, WAV),
    ("fal-ai", "automatic-speech-recognition"): ({"text": "hello"}, "hello"),
    ("featherless-ai", "text-generation"): (COMPLETION, "on and on"),
    ("novita", "text-generation"): (COMPLETION, "on and on"),
    ("nebius", "feature-extraction"): (VECTOR, [0.5, 1.0]),
    ("nebius", "text-to-image"): (IMAGE, PNG),
    ("nscale", "text-to-image"): (IMAGE, PNG),
    ("scaleway", "feature-extraction"): (VECTOR, [0.5, 1.0]),
    ("together", "feature-extraction"): (VECTOR, [0.5, 1.0]),
    ("together", "text-generation"): ({"choices": [{"text": "on and on", "finish_reason": "stop", "seed": 1}]}, "on and on"),
    ("together", "text-to-image"): (IMAGE, PNG),
    ("together", "text-to-speech"): (WAV.data, WAV),
}  # fmt: skip
"""Answers that come whole in one response, and what they mean. Others are polled for, or name a file to fetch."""


def answer_of(provider: str, task: str) -> tuple[Any, Any] | None:
    if task == "chat-classification":
        return {**CHAT, "choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}]}, "yes"
    return (CHAT, "Paris") if HELPER_TASKS.get(task) else ANSWERS.get((provider, task))


@pytest.mark.parametrize(
    ("provider", "task", "key"), [(*pair, key_of(pair[0])) for pair in OURS if answer_of(*pair) and pair[0] != "openai"]
)
def test_an_answer_is_read_as_hf_inference_would_have_sent_it(
    protocol: HubProvider, provider: str, task: str, key: str
) -> None:
    found = answer_of(provider, task)
    assert found is not None
    body = found[0] if isinstance(found[0], bytes) else json.dumps(found[0]).encode()
    decoded = protocol.decode(TASKS[task], Response(200, CIMultiDict(), body), 1)
    assert decoded.unreadable is None
    (part,) = decoded.parts
    assert TASKS[task].read(part, input_of(task), settings_of(task)).value == found[1]
    if HELPER_TASKS.get(task):
        assert part == found[0]
        assert decoded.usage is not None and decoded.usage.tokens == 3


@pytest.mark.parametrize(
    ("provider", "task", "key"), [(*pair, key_of(pair[0])) for pair in OURS if answer_of(*pair) is None]
)
def test_what_is_no_answer_is_a_value_error(protocol: HubProvider, provider: str, task: str, key: str) -> None:
    assert protocol.blocks
    with pytest.raises(ValueError):
        decoded = protocol.decode(TASKS[task], Response(200, CIMultiDict(), b"[1]"), 1)
        TASKS[task].read(decoded.parts[0], input_of(task), settings_of(task))


def parameters_of(function: Any) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "self"]


def test_the_names_that_the_adapter_uses_are_there() -> None:
    helper = _common.TaskProviderHelper
    assert parameters_of(get_provider_helper) == ["provider", "task", "model"]
    assert parameters_of(helper._prepare_mapping_info) == ["model"]
    assert parameters_of(helper._prepare_url) == ["api_key", "mapped_model"]
    assert parameters_of(helper._prepare_headers) == ["headers", "api_key"]
    assert parameters_of(helper._normalize_headers) == ["headers", "payload", "data"]
    assert parameters_of(helper.get_response) == ["response", "request_params"]
    assert {"inputs", "parameters", "headers", "model", "api_key"} <= set(parameters_of(helper.prepare_request))
    assert parameters_of(RequestParameters) == ["url", "task", "model", "json", "data", "headers"]
    assert isinstance(_common.HARDCODED_MODEL_INFERENCE_MAPPING, dict)


def test_the_hub_is_asked_who_serves_a_model_as_every_release_can() -> None:
    """``test_hub_models.py`` asks a stand-in of the Hub so; this says which arguments that takes."""
    assert {"expand", "timeout", "token"} <= set(parameters_of(HfApi.model_info))
    assert {"inference_provider", "pipeline_tag", "sort", "limit", "token"} <= set(parameters_of(HfApi.list_models))
    mapping = {"provider": "together", "hf_model_id": "owner/m", "providerId": "their/m", "status": "live", "task": "x"}
    plain = hub_providers.plain_mapping(InferenceProviderMapping(**mapping))  # type: ignore[no-untyped-call]
    assert mapping.items() <= plain.items()
    assert plain == hub_providers.plain_mapping(InferenceProviderMapping(**plain))  # type: ignore[no-untyped-call]


def test_every_helper_reads_answers_in_the_same_form_and_knows_its_task() -> None:
    for provider, tasks in PROVIDERS.items():
        for task, helper in tasks.items():
            assert (helper.provider, helper.task) == (provider, task)
            assert parameters_of(helper.get_response) == ["response", "request_params"]


def test_helpers_send_requests_with_nothing_but_our_client() -> None:
    kinds = {kind for tasks in PROVIDERS.values() for helper in tasks.values() for kind in type(helper).__mro__}
    modules = {kind.__module__ for kind in kinds if "_providers" in kind.__module__}
    fetching = set()
    for module in modules - {"huggingface_hub.inference._providers.hf_inference"}:  # which is asked without a helper
        source = inspect.getsource(sys.modules[module])
        for other in (
            "httpx.",
            "requests.",
            "urllib.request",
            "http_backoff(",
            "get_async_session",
            ".post(",
            ".stream(",
        ):
            assert other not in source, module
        if "get_session" in source:
            assert vars(sys.modules[module])["get_session"] is hub_providers._client
            fetching.add(module.rpartition(".")[2])
    assert {"fal_ai", "replicate", "novita"} <= fetching


def test_a_response_for_a_job_is_one_that_the_hub_knows_how_to_refuse() -> None:
    class Refusing:
        def get(self, _url: str, _headers: object) -> Response:
            return Response(404, CIMultiDict({"content-encoding": "gzip"}), b'{"error": "no such job"}')

    response = hub_providers._JobClient(Refusing()).get("https://provider.test/job")  # type: ignore[arg-type]
    assert response.json() == {"error": "no such job"}
    with pytest.raises(HfHubHTTPError):
        hf_raise_for_status(response)


def test_the_hubs_mapping_survives_being_stored() -> None:
    mapping = InferenceProviderMapping(  # type: ignore[no-untyped-call]
        provider="together", hf_model_id="owner/m", providerId="their/m", status="live", task="conversational"
    )
    assert vars(mapping)["provider_id"] == mapping.provider_id == "their/m"


def test_no_token_of_the_machine_is_in_the_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_ambient")
    user_agent.user_agent_headers.cache_clear()
    assert "hf_ambient" not in str(user_agent.user_agent_headers())
    assert list(user_agent.user_agent_headers()) == ["user-agent"]


def test_the_headers_are_made_without_asking_the_hub(tmp_path: Path) -> None:
    """huggingface_hub 1.33 asks it for a list, although the request may be for a host that has nothing to do with it."""
    code = """
import http.server, os, threading

class Hub(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        asked.append(self.path)
        self.send_error(404)

    def log_message(self, *_):
        pass

asked = []
hub = http.server.HTTPServer(("127.0.0.1", 0), Hub)
threading.Thread(target=hub.serve_forever, daemon=True).start()
os.environ["HF_ENDPOINT"] = f"http://127.0.0.1:{hub.server_port}"
from huggingface_api_handler.inference.protocols import hub_providers, user_agent
print(user_agent.user_agent_headers()["user-agent"].partition("/")[0], asked)
"""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**variables, "HF_HOME": str(tmp_path), "NO_PROXY": "127.0.0.1", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "huggingface_api_handler []"


def test_only_known_helpers_look_a_model_up_in_a_way_of_their_own() -> None:
    """All others are looked up by ``hub_providers``: left to itself, a helper sends the machine's token to the Hub."""
    own = _common.TaskProviderHelper._prepare_mapping_info
    helpers = [helper for tasks in PROVIDERS.values() for helper in tasks.values()]
    assert {each.provider for each in helpers if type(each)._prepare_mapping_info is not own} <= {
        "hf-inference",
        "openai",
    }
    assert {"model", "expand", "timeout", "token"} <= {"model", *parameters_of(HfApi.model_info)}
