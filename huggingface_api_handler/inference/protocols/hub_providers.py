"""Hugging Face's inference providers, through the helpers that huggingface_hub has for each of them.

A helper builds the URL, the headers and the payload of one input, and converts the provider's answer to the form that
hf-inference sends. Some providers answer with a job, which their helper polls. This is the only module that touches
private names of huggingface_hub; ``tests/unit/inference/protocols/test_hub_contract.py`` holds what it needs of them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import orjson
from huggingface_hub.hf_api import InferenceProviderMapping
from huggingface_hub.inference._common import RequestParameters
from huggingface_hub.inference._providers import PROVIDERS, get_provider_helper
from huggingface_hub.inference._providers._common import HARDCODED_MODEL_INFERENCE_MAPPING, TaskProviderHelper
from huggingface_hub.utils import _http, get_session  # type: ignore[attr-defined]
from pydantic import SecretStr

from ...config.normalize import suggest
from ...errors import InferenceError, InputError
from ...tasks import JSON, Input, Media, Settings, Task
from ...tasks.input_types import media_in
from ..echoes import ServerError
from ..failures import Failure
from ..media.sniffing import content_type_of
from ..transport.client import Response
from . import codec
from .base import JSON_TYPE, Batching, Body, Decoded
from .chat_form import ChatForm
from .hf_inference import HF_INFERENCE, form_of
from .jobs import Job, current_job
from .key_policy import model_info
from .openai_chat import chat_error, chat_payload, decode_chat
from .provider_names import CHAT, HELPER_TASKS, REMOVED_PROVIDERS, removed_provider
from .server_errors import read_error

_FORM = ChatForm()

_NOT_OF_THE_BODY_AS_READ = {"content-encoding", "content-length", "transfer-encoding"}
"""Headers that describe a body on the wire."""


@dataclass(frozen=True)
class HubProvider:
    """One task of one model at one provider.

    Attributes:
        name: The provider, as huggingface_hub names it.
        model: The model's name on the Hub.
        helper: huggingface_hub's helper for the provider and task.
        key: The key of Hugging Face or of the provider. It stays out of ``repr``.
        common_headers: Headers of our own for each request.
        form: For chat, how the provider takes the form of the answer that is wanted.
    """

    name: str
    model: str
    helper: TaskProviderHelper = field(repr=False)
    key: SecretStr
    common_headers: Mapping[str, str] = field(repr=False)
    form: ChatForm = _FORM
    max_batch_size: ClassVar[int | None] = None

    @property
    def blocks(self) -> bool:
        """Whether ``decode`` may poll a job or fetch a file: all but chat may."""
        return self.helper.task != CHAT

    def supports(self, task: Task) -> bool:
        """Whether the helper is that of a task.

        Args:
            task: The task to ask for.

        Returns:
            True for the one task that this is for.
        """
        return HELPER_TASKS.get(task.name, task.name) == self.helper.task

    def url(self, _base: str, _model: str, _task: Task) -> str:
        """The address of every request, which the helper knows.

        Returns:
            The URL: the provider's own, or Hugging Face's router for a key of Hugging Face.
        """
        return self._request.url

    def headers(self, _task: Task) -> Mapping[str, str]:
        """Headers of every request, the key among them, which providers take in different forms.

        Returns:
            The headers by lower-case name, with ``common_headers`` among them.
        """
        return self._request.headers

    def batching(self, _task: Task) -> Batching:
        """Whether several inputs may go in one request.

        Returns:
            ``NEVER``: helpers build requests of one input.
        """
        return Batching.NEVER

    def encode(self, task: Task, inputs: Sequence[Input], settings: Settings) -> Body:
        """Write the body of a request.

        Args:
            task: The task to ask for.
            inputs: Exactly one input, media loaded.
            settings: The settings of the model.

        Returns:
            The body, ready to send.

        Raises:
            ValueError: The provider cannot take this input or these parameters.
        """
        helper_inputs, parameters = _helper_inputs(task, inputs[0], settings, self.form)
        request = self.helper.prepare_request(
            inputs=helper_inputs,
            parameters=parameters,
            headers=dict(self.common_headers),
            model=self.model,
            api_key=self.key.get_secret_value(),
        )
        if request.data is None:
            return Body(orjson.dumps(request.json))
        return Body(bytes(request.data), str(request.headers.get("content-type", JSON_TYPE)))

    def decode(self, task: Task, response: Response, count: int) -> Decoded:
        """Take a response of status 200 apart, as hf-inference would have sent it. May poll a job or fetch a file.

        Args:
            task: The task that was asked for.
            response: The response.
            count: The number of inputs that the request carried, which is one.

        Returns:
            The answer to the one input, or in ``unreadable`` why there is none.

        Raises:
            ValueError: The response holds no such answer.
            Exception: Whatever the helper raises while it polls a job or fetches a file.
        """
        if not self.blocks:
            return decode_chat(task, response, count)
        try:
            answer = self.helper.get_response(response.body, self._request)
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise ValueError(f"{self.name} sent no answer to {task.name} ({type(error).__name__})") from None
        plain = _as_hf_inference(answer, task)
        codec.check_depth(plain)
        return codec.take_apart(plain, count, form_of(task).split, response.headers)

    def fallback(self, task: Task, settings: Settings, failure: Failure, *, is_first: bool) -> HubProvider | None:
        """How to ask once a request was refused.

        Args:
            task: The task that was asked for.
            settings: The settings of the model.
            failure: Of the request.
            is_first: Whether nothing was answered in this form yet.

        Returns:
            For chat the provider in its next form (see ``ChatForm.next_after``), or None.
        """
        form = None if self.blocks else self.form.next_after(failure, task, settings, is_first=is_first)
        return None if form is None else replace(self, form=form)

    def error(self, response: Response) -> ServerError | None:
        """Read the error that a response tells.

        Args:
            response: The response, of any status.

        Returns:
            The server's words and code. None for a response of status 200 that is no error.
        """
        return read_error(response) if self.blocks else chat_error(response)

    def mapping(self) -> dict[str, str | None]:
        """What the Hub says of the model at its provider, as JSON can hold it.

        Returns:
            The arguments of huggingface_hub's ``InferenceProviderMapping``.
        """
        return {**plain_mapping(self.helper._prepare_mapping_info(self.model)), "hf_model_id": self.model}

    @cached_property
    def _request(self) -> RequestParameters:
        """What all requests have in common. Helpers that poll jobs use the URL and the headers of it."""
        key, helper = self.key.get_secret_value(), self.helper
        provider_id = helper._prepare_mapping_info(self.model).provider_id
        headers = helper._normalize_headers(helper._prepare_headers(dict(self.common_headers), key), {}, None)
        return RequestParameters(
            url=helper._prepare_url(key, provider_id),
            task=helper.task,
            model=provider_id,
            json=None,
            data=None,
            headers={name: str(value) for name, value in headers.items()},
        )


def provider_for(
    model: str,
    task: Task,
    name: str,
    key: SecretStr | None,
    headers: Mapping[str, str],
    hub_key: SecretStr | None = None,
) -> HubProvider:
    """Find the provider of a model and task. Asks the Hub for the model's name there, once a process.

    Args:
        model: The model's name on the Hub.
        task: The task to ask for.
        name: A provider of huggingface_hub's, or ``auto``.
        key: The key to send.
        headers: Headers of our own for each request.
        hub_key: For the Hub; None for none.

    Returns:
        The provider, ready to encode requests.

    Raises:
        InputError: The provider is unknown, has no such task or model, or needs a key.
        InferenceError: The Hub cannot be asked.
    """
    is_own_key = key is not None and not key.get_secret_value().startswith("hf_")
    if name in REMOVED_PROVIDERS and not (is_own_key and name in PROVIDERS):
        raise removed_provider(name, task)
    if name not in PROVIDERS and name != "auto":
        raise InputError(f"there is no provider {name[:80]!r}{suggest(name, [*PROVIDERS, 'auto'])}")
    if key is None:
        raise InputError(f"provider {name!r} needs a key: give api_key to CREATE ML_ENGINE, or set HF_TOKEN")
    helper_task = HELPER_TASKS.get(task.name, task.name)
    try:
        if name == "auto" and helper_task != CHAT:
            name = next(iter(_ask_hub(model, hub_key))).provider
        helper = get_provider_helper(name, helper_task, model)  # type: ignore[arg-type]
        if helper.provider == HF_INFERENCE.name:
            helper = _without_lookup(helper, model)
        mapping = _mapping(helper, model, hub_key)
    except ValueError as error:
        raise InputError(f"{name} does not serve this: {error}") from None
    except Exception as error:  # whatever the Hub's client raises; its text can hold URLs and headers
        raise InferenceError(
            f"the Hub could not be asked where {name} serves {model!r} "
            f"({type(error).__name__}). Check that this machine reaches huggingface.co, and try again"
        ) from None
    # The helper looks the mapping up again for every request; this saves the request to the Hub, and the machine's
    # token, which the helper would send along whoever's key the engine has.
    HARDCODED_MODEL_INFERENCE_MAPPING.setdefault(helper.provider, {})[model] = mapping
    return HubProvider(helper.provider, model, helper, key, headers)


def _mapping(helper: TaskProviderHelper, model: str, hub_key: SecretStr | None) -> InferenceProviderMapping:
    """What the Hub says of a model at a provider: as the helper looks it up, with our key. ValueError for nothing."""
    listed = HARDCODED_MODEL_INFERENCE_MAPPING.get(helper.provider, {}).get(model)
    if listed is not None:
        return listed
    if type(helper)._prepare_mapping_info is not TaskProviderHelper._prepare_mapping_info:  # it asks nobody
        return helper._prepare_mapping_info(model)
    mapping = next((each for each in _ask_hub(model, hub_key) if each.provider == helper.provider), None)
    if mapping is None:
        raise ValueError(f"the Hub does not list {model} at {helper.provider}")
    if mapping.task != helper.task:
        raise ValueError(f"{model} is for the task {mapping.task} there, and not for {helper.task}")
    return mapping


def _without_lookup(helper: TaskProviderHelper, model: str) -> TaskProviderHelper:
    """The helper of hf-inference, which would ask the Hub for each model, with the machine's token."""
    mapping = InferenceProviderMapping(  # type: ignore[no-untyped-call]
        provider=helper.provider, hf_model_id=model, providerId=model, status="live", task=helper.task
    )
    helper = copy(helper)
    helper._prepare_mapping_info = lambda model: mapping  # type: ignore[method-assign]
    return helper


def _ask_hub(model: str, hub_key: SecretStr | None) -> list[InferenceProviderMapping]:
    """All that the Hub says of a model at providers. ValueError where it says nothing."""
    mappings = model_info(model, hub_key, expand=["inferenceProviderMapping"]).inference_provider_mapping
    if not mappings:
        raise ValueError(f"the Hub lists {model} at no provider")
    return mappings


def plain_mapping(mapping: InferenceProviderMapping) -> dict[str, str | None]:
    """What the Hub says of a model at a provider, as JSON can hold it.

    Args:
        mapping: As huggingface_hub gives it.

    Returns:
        The arguments of huggingface_hub's ``InferenceProviderMapping``.
    """
    plain = {name: value for name, value in vars(mapping).items() if isinstance(value, (str, type(None)))}
    names = {"provider_id": "providerId", "adapter_weights_path": "adapterWeightsPath"}
    return {names.get(name, name): value for name, value in plain.items()}


def register_mapping(mapping: Mapping[str, str | None]) -> None:
    """Use a mapping of ``HubProvider.mapping`` in a process that did not ask the Hub.

    Args:
        mapping: What ``HubProvider.mapping`` returned.
    """
    models = HARDCODED_MODEL_INFERENCE_MAPPING.setdefault(str(mapping["provider"]), {})
    models.setdefault(str(mapping["hf_model_id"]), InferenceProviderMapping(**mapping))  # type: ignore[no-untyped-call]


def replace_mapping(mapping: Mapping[str, str | None]) -> None:
    """Use a mapping that the Hub has just given, in place of what is known.

    Args:
        mapping: What ``plain_mapping`` returned.
    """
    models = HARDCODED_MODEL_INFERENCE_MAPPING.get(str(mapping["provider"]))
    if models is not None:
        models.pop(str(mapping["hf_model_id"]), None)
    register_mapping(mapping)


class _JobClient:
    """What the helpers use of an HTTP client, for a job: its requests are sent as all others of its query are."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Any:
        """Get a URL, and wait for the response.

        Args:
            url: What to get.
            headers: The headers of the request; None for a file that anybody may get.

        Returns:
            The response as the helpers read it.
        """
        response = self._job.get(url, headers or {})
        fields = [pair for pair in response.headers.items() if pair[0].lower() not in _NOT_OF_THE_BODY_AS_READ]
        httpx: Any = vars(_http).get("httpx2") or vars(_http)["httpx"]  # of huggingface_hub 2.x, and of 1.x
        request = httpx.Request("GET", url)
        return httpx.Response(response.status, headers=fields, content=response.body, request=request)


def _client() -> Any:
    """The HTTP client for this thread: huggingface_hub's own has no time limit, and does not end with a query."""
    job = current_job()
    return get_session() if job is None else _JobClient(job)


def _use_client_in_helpers() -> None:
    for helpers in PROVIDERS.values():
        for helper in helpers.values():
            for kind in type(helper).__mro__:
                names = vars(sys.modules[kind.__module__])
                if names.get("get_session") is get_session:
                    names["get_session"] = _client


_use_client_in_helpers()


def _helper_inputs(
    task: Task, item: Input, settings: Settings, form: ChatForm = _FORM
) -> tuple[JSON | bytes, dict[str, JSON]]:
    """Inputs and parameters as huggingface_hub's own client hands them to a helper."""
    if HELPER_TASKS.get(task.name) == CHAT:
        chat = chat_payload(task, [item], settings, form)
        return chat["messages"], {name: value for name, value in chat.items() if name not in ("messages", "model")}
    payload = form_of(task).encode([item], settings)
    if isinstance(payload, Media):
        return payload.data, {}
    parameters = {name: value for name, value in payload.items() if name not in ("inputs", "parameters")}
    nested = payload.get("parameters")
    if isinstance(nested, Mapping):
        parameters = {**nested, **parameters}
    media = media_in(item)
    if isinstance(media, Media) and isinstance(payload["inputs"], str):
        return media.data, parameters
    return payload["inputs"], parameters


def _as_hf_inference(answer: Any, task: Task) -> object:
    # The helpers of huggingface_hub's first 1.x releases give the text of a transcript alone.
    if isinstance(answer, str):
        return {"text": answer}
    if not isinstance(answer, bytes):
        return answer
    return Media(answer, content_type_of(answer)) if task.makes_media else orjson.loads(answer)
