"""Hugging Face's inference providers, through the helpers that huggingface_hub has for each of them.

A helper builds the URL, the headers and the payload of one input, and converts the provider's answer to the form that
hf-inference sends. Some providers answer with a job, which their helper polls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson
from huggingface_hub.hf_api import InferenceProviderMapping
from huggingface_hub.inference._common import RequestParameters
from huggingface_hub.inference._providers import PROVIDERS, get_provider_helper
from huggingface_hub.inference._providers._common import HARDCODED_MODEL_INFERENCE_MAPPING, TaskProviderHelper
from pydantic import SecretStr

from ...config.normalize import suggest
from ...config.settings import ModelSettings
from ...errors import InferenceError, InputError
from ...tasks import JSON, Input, Media, Task
from ...tasks.input_types import media_in
from ..media.sniffing import content_type_of
from . import codec

HELPER_TASKS = {"chat-completion": "conversational", "image-text-to-text": "conversational"}
"""Our name of a task, and the name that the helpers use for it, if they differ."""


@dataclass(frozen=True)
class Provider:
    """One task of one model at one provider.

    Attributes:
        name: The provider, as huggingface_hub names it.
        model: The model's name on the Hub.
        helper: huggingface_hub's helper for the provider and task.
        key: The key of Hugging Face or of the provider. It stays out of ``repr``, as the headers do.
        headers: Headers of our own for each request.
    """

    name: str
    model: str
    helper: TaskProviderHelper = field(repr=False)
    key: SecretStr
    headers: dict[str, str] = field(repr=False)

    def encode(
        self, task: Task, inputs: Sequence[Input], model: ModelSettings
    ) -> tuple[codec.Request, RequestParameters]:
        """Build the request for one input.

        Args:
            task: The task to ask for.
            inputs: The input, media loaded, in a sequence of one.
            model: The settings of the model.

        Returns:
            The request to send, and the helper's own form of it, which ``decode`` needs.

        Raises:
            ValueError: The provider cannot take this input or these parameters.
        """
        helper_inputs, parameters = _helper_inputs(task, inputs[0], model)
        provider_request = self.helper.prepare_request(
            inputs=helper_inputs,
            parameters=parameters,
            headers=dict(self.headers),
            model=self.model,
            api_key=self.key.get_secret_value(),
        )
        data = provider_request.data
        body = orjson.dumps(provider_request.json) if data is None else bytes(data)
        headers = {name: str(value) for name, value in provider_request.headers.items()}
        return codec.Request(provider_request.url, headers, body), provider_request

    async def decode(
        self, task: Task, provider_request: RequestParameters | None, headers: Mapping[str, str], body: bytes
    ) -> object:
        """Convert the provider's response to the answer that hf-inference would have sent.

        Args:
            task: The task that was asked for.
            provider_request: What ``encode`` gave beside the request.
            headers: The response headers.
            body: The response body.

        Returns:
            The parsed JSON, or ``Media`` if the task makes media.

        Raises:
            ValueError: The response holds no such answer.
            Exception: Whatever the helper raises while it polls a job or fetches a file.
        """
        if task.protocol == "chat":
            return codec.decode(task, headers, body)
        # Some helpers poll a job or fetch a file with a blocking client, so they run off the loop.
        try:
            answer = await asyncio.to_thread(self.helper.get_response, body, provider_request)
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise ValueError(f"{self.name} sent no answer to {task.name} ({type(error).__name__})") from None
        # The helpers of huggingface_hub's first 1.x releases give the text of a transcript alone.
        if isinstance(answer, str):
            return {"text": answer}
        if not isinstance(answer, bytes):
            return answer
        return Media(answer, content_type_of(answer)) if task.makes_media else orjson.loads(answer)


def provider_for(model: ModelSettings, name: str, key: SecretStr | None, headers: dict[str, str]) -> Provider:
    """Find the provider of a model and task. Asks the Hub for the model's name there, once a process.

    Args:
        model: The settings of the model.
        name: A provider of huggingface_hub's, or ``auto``.
        key: The key to send.
        headers: Headers of our own for each request.

    Returns:
        The provider, ready to encode requests.

    Raises:
        InputError: The provider is unknown, has no such task or model, or needs a key.
        InferenceError: The Hub cannot be asked.
    """
    if name not in PROVIDERS and name != "auto":
        raise InputError(f"there is no provider {name[:80]!r}{suggest(name, [*PROVIDERS, 'auto'])}")
    if key is None:
        raise InputError(f"provider {name!r} needs a key: give api_key to CREATE ML_ENGINE, or set HF_TOKEN")
    task = HELPER_TASKS.get(model.task, model.task)
    try:
        helper = get_provider_helper(name, task, model.model)  # type: ignore[arg-type]
        mapping = helper._prepare_mapping_info(model.model)
    except ValueError as error:
        raise InputError(f"{name} does not serve this: {error}") from None
    except Exception as error:  # whatever the Hub's client raises; its text can hold URLs and headers
        raise InferenceError(
            f"the Hub could not be asked where {name} serves {model.model!r} "
            f"({type(error).__name__}). Check that this machine reaches huggingface.co, and try again"
        ) from None
    # The helper looks the mapping up again for every request; this saves the request to the Hub.
    HARDCODED_MODEL_INFERENCE_MAPPING.setdefault(helper.provider, {})[model.model] = mapping
    return Provider(helper.provider, model.model, helper, key, headers)


def provider_mapping(provider: Provider) -> dict[str, str | None]:
    """What the Hub says of the model at its provider, as JSON can hold it.

    Args:
        provider: What ``provider_for`` gave.

    Returns:
        The arguments of huggingface_hub's ``InferenceProviderMapping``.
    """
    mapping = vars(provider.helper._prepare_mapping_info(provider.model))
    plain = {name: value for name, value in mapping.items() if isinstance(value, (str, type(None)))}
    names = {"provider_id": "providerId", "adapter_weights_path": "adapterWeightsPath"}
    return {names.get(name, name): value for name, value in plain.items()}


def register_mapping(mapping: Mapping[str, str | None]) -> None:
    """Use a mapping of ``provider_mapping`` in a process that did not ask the Hub.

    Args:
        mapping: What ``provider_mapping`` returned.
    """
    models = HARDCODED_MODEL_INFERENCE_MAPPING.setdefault(str(mapping["provider"]), {})
    models.setdefault(str(mapping["hf_model_id"]), InferenceProviderMapping(**mapping))  # type: ignore[no-untyped-call]


def _helper_inputs(task: Task, item: Input, model: ModelSettings) -> tuple[JSON | bytes, dict[str, JSON]]:
    """Inputs and parameters as huggingface_hub's own client hands them to a helper."""
    body = task.body([item], model)
    if isinstance(body, Media):
        return body.data, {}
    if task.protocol == "chat":
        return body["messages"], {name: value for name, value in body.items() if name not in ("messages", "model")}
    parameters = {name: value for name, value in body.items() if name not in ("inputs", "parameters")}
    nested = body.get("parameters")
    if isinstance(nested, Mapping):
        parameters = {**nested, **parameters}
    media = media_in(item)
    if isinstance(media, Media) and isinstance(body["inputs"], str):
        return media.data, parameters
    return body["inputs"], parameters
