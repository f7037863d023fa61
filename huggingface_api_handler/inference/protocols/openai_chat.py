"""OpenAI's chat completions, which Hugging Face's router and most servers of language models speak."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ...tasks import Input, JSONObject, Media, Settings, Task
from ...tasks.input_types import Conversation, PromptedMedia, Repair, data_uri, loaded_media
from ...tasks.structured_output import response_format
from ..transport.client import Response
from . import codec
from .addresses import add_path, api_url
from .base import Batching, Body, Decoded
from .hf_inference import model_url, serves_many_models
from .hf_splits import split_one_to_one
from .json_server import JSONServer

PATH = "/chat/completions"
"""The path of the operation."""

_TASKS = ("chat-completion", "image-text-to-text")
_DEFAULT_PROMPT = "Describe the image."


def chat_payload(inputs: Sequence[Input], settings: Settings) -> JSONObject:
    """A conversation that asks for one more message.

    ``system_prompt`` comes first, but for a conversation that begins with a system message of its own.

    Args:
        inputs: Exactly one input, media loaded.
        settings: The settings of the model.

    Returns:
        ``{"model", "messages"}`` with the parameters beside them, and ``response_format`` for an ``output_schema``.
    """
    messages = _messages(inputs[0])
    if settings.system_prompt and messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": settings.system_prompt})
    payload: JSONObject = {"model": settings.model, "messages": messages}
    if settings.output_schema:
        payload["response_format"] = response_format(settings.output_schema)
    return {**payload, **settings.parameters}


def _messages(item: Input) -> list[JSONObject]:
    if isinstance(item, str):
        return [{"role": "user", "content": item}]
    if isinstance(item, Repair):
        return [
            *_messages(item.prompt),
            {"role": "assistant", "content": item.answer},
            {"role": "user", "content": item.complaint},
        ]
    if isinstance(item, Conversation):
        messages: list[JSONObject] = json.loads(item.messages)
        return messages
    return [{"role": "user", "content": _image_content(item)}]


def _image_content(item: Input) -> list[JSONObject]:
    """The image as a ``data:`` URI and the prompt beside it, which is OpenAI's form of images in chat."""
    prompt = item.prompt if isinstance(item, PromptedMedia) else _DEFAULT_PROMPT
    media: Media = loaded_media(item)
    return [{"type": "text", "text": prompt}, {"type": "image_url", "image_url": {"url": data_uri(media)}}]


def decode_chat(task: Task, response: Response, count: int) -> Decoded:
    """Take the response to one conversation apart.

    Args:
        task: The task that was asked for.
        response: The response, of status 200.
        count: The number of conversations that the request carried, which is one.

    Returns:
        The whole chat completion as the only part: it is what is stored, and what ``read_chat`` reads.

    Raises:
        ValueError: The body is no JSON.
    """
    return codec.take_apart(codec.parse(task, response), count, split_one_to_one, response.headers)


class OpenAIChat(JSONServer):
    """Chat completions: ``{"model", "messages", ...}``, answered with ``{"choices", "usage"}``."""

    name = "openai-chat"
    max_batch_size = None

    def supports(self, task: Task) -> bool:
        """Whether such a server answers a task.

        Args:
            task: The task to ask for.

        Returns:
            True for chat, with images or without.
        """
        return task.name in _TASKS

    def url(self, base: str, model: str, _task: Task) -> str:
        """The address of every request.

        Args:
            base: The endpoint as it was given.
            model: The model's name.

        Returns:
            ``base`` with ``/v1/chat/completions``, as far as it does not end so already.
        """
        if serves_many_models(base):  # the model's name may end as the address of an API does
            return add_path(model_url(base, model), f"/v1{PATH}")
        return api_url(base, PATH)

    def batching(self, _task: Task) -> Batching:
        """Whether several inputs may go in one request.

        Returns:
            ``NEVER``: a request is one conversation.
        """
        return Batching.NEVER

    def encode(self, _task: Task, inputs: Sequence[Input], settings: Settings) -> Body:
        """Write the body of a request.

        Args:
            inputs: Exactly one input, media loaded.
            settings: The settings of the model.

        Returns:
            The body, ready to send.
        """
        return codec.encode(chat_payload(inputs, settings))

    decode = staticmethod(decode_chat)
