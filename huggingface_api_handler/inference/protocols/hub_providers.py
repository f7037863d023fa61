"""Hugging Face's inference providers, by the helpers that huggingface_hub keeps for each of them.

A helper builds the URL, the headers and the payload of one input, and reads the provider's answer into the form that
hf-inference would have sent. Some answer with a job to poll, which its helper does by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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
"""Tasks that the helpers know under another name."""


@dataclass(frozen=True)
class Provider:
    """One task of one model at one provider."""

    name: str
    model: str
    helper: TaskProviderHelper = field(repr=False)
    key: SecretStr
    headers: dict[str, str] = field(repr=False)

    def request(
        self, task: Task, inputs: Sequence[Any], model: ModelSettings
    ) -> tuple[codec.Request, RequestParameters]:
        """The request for one input. Raises ValueError where this provider cannot make one of it."""
        asked, parameters = _helper_inputs(task, inputs[0], model)
        made = self.helper.prepare_request(
            inputs=asked,
            parameters=parameters,
            headers=dict(self.headers),
            model=self.model,
            api_key=self.key.get_secret_value(),
        )
        body = orjson.dumps(made.json) if made.data is None else bytes(made.data)
        return codec.Request(made.url, {name: str(value) for name, value in made.headers.items()}, body), made

    async def answer(self, task: Task, made: RequestParameters, headers: Any, body: bytes) -> Any:
        """The provider's answer as hf-inference would have sent it. Raises ValueError where it is none."""
        if task.protocol == "chat":
            return codec.decode(task, headers, body)
        # Some helpers poll a job or fetch a file with a blocking client, so they run off the loop.
        try:
            answer = await asyncio.to_thread(self.helper.get_response, body, made)
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise ValueError(f"{self.name} sent no answer to {task.name} ({type(error).__name__})") from None
        # The helpers of huggingface_hub's first 1.x releases give the text of a transcript alone.
        if isinstance(answer, str):
            return {"text": answer}
        if not isinstance(answer, bytes):
            return answer
        return Media(answer, content_type_of(answer)) if task.makes_media else orjson.loads(answer)


def provider_for(model: ModelSettings, name: str, key: SecretStr | None, headers: dict[str, str]) -> Provider:
    """The helper of a provider for a model and task. Asks the Hub for the model's name there, once.

    Raises InputError where the provider is unknown, has no such task or model, or needs a key, and InferenceError
    where the Hub cannot be asked.
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
    # The helper looks the mapping up again for every request; with this it finds it here.
    HARDCODED_MODEL_INFERENCE_MAPPING.setdefault(helper.provider, {})[model.model] = mapping
    return Provider(helper.provider, model.model, helper, key, headers)


def mapping_of(provider: Provider) -> dict[str, Any]:
    """What the Hub says of a model at a provider, as plain values."""
    mapping = vars(provider.helper._prepare_mapping_info(provider.model))
    plain = {name: value for name, value in mapping.items() if isinstance(value, (str, type(None)))}
    names = {"provider_id": "providerId", "adapter_weights_path": "adapterWeightsPath"}
    return {names.get(name, name): value for name, value in plain.items()}


def remember(mapping: Mapping[str, Any]) -> None:
    """Use what ``mapping_of`` gave, where the Hub was not asked in this process."""
    known = HARDCODED_MODEL_INFERENCE_MAPPING.setdefault(mapping["provider"], {})
    known.setdefault(mapping["hf_model_id"], InferenceProviderMapping(**mapping))  # type: ignore[no-untyped-call]


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
