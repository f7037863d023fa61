"""OpenAI's completions, by which a server without chat goes on from a prompt: ``/v1/completions``.

llama.cpp, vLLM, SGLang, ``transformers serve`` and LiteLLM speak it. The task's parameters are those of Hugging Face's
text-generation; here they get the names that such servers know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import UnreadableAnswer
from ...redaction import preview
from ...tasks import Input, JSONObject, Settings, Task
from ...tasks.base import unreadable
from ..transport.client import Response
from . import codec
from .addresses import api_url
from .base import Batching, Body, Decoded
from .event_stream import is_event_stream, join_events
from .json_server import JSONServer
from .openai_chat import chat_error

_TASK = "text-generation"
_PATH = "/completions"
_CHAT_PATH = "/chat/completions"

_NAMES = {
    "max_new_tokens": "max_tokens",
    "stop": "stop",
    "seed": "seed",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "frequency_penalty": "frequency_penalty",
    "repetition_penalty": "repetition_penalty",
    "best_of": "best_of",
}
"""The task's parameters that have an equal there, and its name. ``top_k`` and ``repetition_penalty`` are not OpenAI's
own: vLLM and SGLang take both."""

_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "details": (True, False),  # why it ended and the number of tokens come in any case
    "do_sample": (True,),
    "return_full_text": (False,),
    "decoder_input_details": (False,),
    "watermark": (False,),
    "num_return_sequences": (1,),
}
"""Values of other parameters that ask for what such a server does in any case."""

_ADVICE = {
    "adapter_id": "Give the adapter's name as model",
    "grammar": "Use task = 'chat-completion' with output_schema",
    "num_return_sequences": "One text is made for each row",
}


def completion_payload(inputs: Sequence[Input], settings: Settings) -> JSONObject:
    """A prompt to go on from.

    Args:
        inputs: Exactly one prompt.
        settings: The settings of the model.

    Returns:
        ``{"model", "prompt", "stream": false}`` with the parameters beside them, under the names of this protocol.

    Raises:
        ValueError: A parameter has no equal in this protocol.
    """
    return {"model": settings.model, "prompt": str(inputs[0]), "stream": False, **_parameters(settings)}


def _parameters(settings: Settings) -> JSONObject:
    renamed: JSONObject = {}
    for name, value in settings.parameters.items():
        if name in _NAMES:
            renamed[_NAMES[name]] = value
        elif name == "return_full_text" and value is True:
            renamed["echo"] = True
        elif name == "do_sample" and value is False:
            if settings.parameters.get("temperature"):
                raise ValueError("do_sample = false and temperature exclude each other. Leave one of them out")
            renamed["temperature"] = 0
        elif value not in _NEUTRAL.get(name, (None,)):
            advice = _ADVICE.get(name, "Leave it out")
            raise ValueError(f"{name} = {preview(value)} has no equal in OpenAI's completions. {advice}")
    return renamed


def _parse(task: Task, response: Response) -> Any:
    """The completion, put together where the server streams it though it was told not to."""
    if not is_event_stream(response):
        return codec.parse(task, response)
    joined = join_events(response.body, lambda data: _as_chat(codec.parse(task, response._replace(body=data))))
    choices = [{**choice, "text": choice["message"].get("content")} for choice in joined["choices"]]
    return {**joined, "choices": choices}


def _as_chat(event: Any) -> Any:
    """An event with its text where chat has it, so that streams of both are joined in one way."""
    choices = event.get("choices") if isinstance(event, dict) else None
    choices = choices if isinstance(choices, list) else []
    if not isinstance(event, dict) or not all(isinstance(choice, dict) for choice in choices):
        raise unreadable(_TASK, event)
    return {**event, "choices": [{**choice, "delta": {"content": choice.get("text")}} for choice in choices]}


def _split(answer: object, _count: int) -> list[Any]:
    """The answer to the one prompt, in the form that Text Generation Inference sends and that is stored."""
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(answer, dict) or not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise unreadable(_TASK, answer)
    choice = choices[0]
    text, reason = choice.get("text"), choice.get("finish_reason")
    if not isinstance(text, str) or (reason == "content_filter" and not text):
        raise UnreadableAnswer(f"the server made no text: finish_reason is {preview(reason)}")
    usage = answer.get("usage")
    tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
    return [{"generated_text": text, "details": {"finish_reason": reason, "generated_tokens": tokens}}]


class OpenAICompletions(JSONServer):
    """Completions: ``{"model", "prompt", ...}``, answered with ``{"choices": [{"text"}], "usage"}``."""

    name = "openai-completions"
    max_batch_size = None

    def supports(self, task: Task) -> bool:
        """Whether such a server answers a task.

        Args:
            task: The task to ask for.

        Returns:
            True for text generation.
        """
        return task.name == _TASK

    def url(self, base: str, _model: str, _task: Task) -> str:
        """The address of every request.

        Args:
            base: The endpoint as it was given.

        Returns:
            ``base`` with the path of this operation. The full address of chat on the same server is taken for its base.
        """
        address, mark, query = base.partition("?")
        root = address.rstrip("/").removesuffix(_CHAT_PATH)
        return api_url(base if len(root) == len(address.rstrip("/")) else f"{root}{mark}{query}", _PATH)

    def batching(self, _task: Task) -> Batching:
        """Whether several inputs may go in one request.

        OpenAI, vLLM and llama.cpp take a list of prompts, and others do not. A list also hides how many tokens each
        prompt took, and such servers work on many requests at once by themselves.

        Returns:
            ``NEVER``: a request is one prompt.
        """
        return Batching.NEVER

    def encode(self, _task: Task, inputs: Sequence[Input], settings: Settings) -> Body:
        """Write the body of a request.

        Args:
            inputs: Exactly one prompt.
            settings: The settings of the model.

        Returns:
            The body, ready to send.

        Raises:
            ValueError: A parameter has no equal in this protocol.
        """
        return codec.encode(completion_payload(inputs, settings))

    def decode(self, task: Task, response: Response, count: int) -> Decoded:
        """Take the response to one prompt apart.

        Args:
            task: The task that was asked for.
            response: The response, of status 200.
            count: The number of prompts that the request carried, which is one.

        Returns:
            ``{"generated_text", "details"}`` as the only part, or in ``unreadable`` why there is none.

        Raises:
            AnswerCutOffError: The body is a stream that was cut off.
            ValueError: The body is no JSON.
        """
        return codec.take_apart(_parse(task, response), count, _split, response.headers)

    error = staticmethod(chat_error)
