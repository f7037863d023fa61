"""OpenAI's chat completions, which Hugging Face's router and most servers of language models speak."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import orjson

from ...errors import UnreadableAnswer
from ...tasks import Input, JSONObject, Media, Settings, Task
from ...tasks.input_types import Conversation, PromptedMedia, PromptFields, Repair, data_uri, loaded_media
from ..echoes import ServerError
from ..failures import Failure
from ..transport.client import Response
from . import codec
from .addresses import add_path, api_url
from .base import Batching, Body, Decoded
from .chat_form import ChatForm
from .event_stream import events_of, is_event_stream, join_events, without_end_mark
from .hf_inference import model_url, serves_many_models
from .hf_splits import split_one_to_one
from .json_server import JSONServer
from .server_errors import read_error

PATH = "/chat/completions"
"""The path of the operation."""

_FIRST_FORM = ChatForm()
_TASKS = ("chat-completion", "image-text-to-text", "chat-classification")
_DEFAULT_PROMPT = "Describe the image."

_ERROR = b'"error"'  # never within a text of JSON, where quotes are escaped
_STATUS_OK = 200
_FIRST_ERROR = 400
_LAST_ERROR = 599
_SERVER_ERROR = 500
_STATUS_DIGITS = 3


def chat_payload(task: Task, inputs: Sequence[Input], settings: Settings, form: ChatForm = _FIRST_FORM) -> JSONObject:
    """A conversation that asks for one more message.

    The system prompt comes first, but for a conversation that begins with a system message of its own.

    Args:
        task: The task to ask for.
        inputs: Exactly one input, media loaded.
        settings: The settings of the model.
        form: How the server takes the form of the answer that is wanted.

    Returns:
        ``{"model", "messages", "stream"}`` with the parameters beside them, and what ``form`` adds.
    """
    messages = _messages(inputs[0])
    system_prompt = task.system_prompt(settings)
    if system_prompt and messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": system_prompt})
    form.add_to_prompt(messages, task, settings)
    # The model comes first, so that a router need not read all of the body. Some servers stream unless told not to.
    payload: JSONObject = {"model": settings.model, "messages": messages, "stream": False}
    return {**payload, **form.fields(task, settings), **settings.parameters}


def _messages(item: Input) -> list[JSONObject]:
    if isinstance(item, (str, PromptFields)):
        return [{"role": "user", "content": str(item)}]
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
        response: The response, of status 200. It may be a stream of events.
        count: The number of conversations that the request carried, which is one.

    Returns:
        The whole chat completion as the only part: it is what is stored, and what ``read_chat`` reads.

    Raises:
        AnswerCutOffError: The body is a stream that was cut off.
        ValueError: The body is no JSON.
    """
    return codec.take_apart(_parse(task, response), count, split_one_to_one, response.headers)


def _parse(task: Task, response: Response) -> Any:
    if is_event_stream(response):
        return join_events(response.body, lambda data: codec.parse(task, response._replace(body=data)))
    try:
        return codec.parse(task, response)
    except UnreadableAnswer:
        raise
    except ValueError:
        head = without_end_mark(response.body)
        if head is None:
            raise
        return codec.parse(task, response._replace(body=head))


def chat_error(response: Response) -> ServerError | None:
    """Read the error that a response tells, also where it stands in a choice or in an event of a stream.

    A router whose provider fails after it began to answer has sent status 200 by then.

    Args:
        response: The response, of any status.

    Returns:
        As of ``read_error``. An error in a choice has the status that its code says, and 500 where it says none.

    >>> body = b'{"choices": [{"message": {"content": "The"}, "error": {"code": 502, "message": "gone"}}]}'
    >>> chat_error(Response(200, {}, body)).status
    502
    """
    if response.status == _STATUS_OK and is_event_stream(response):
        found = map(_error_in, events_of(response.body))
        return next((error for error in found if error is not None), None)
    return read_error(response) or _error_in(response.body)


def _error_in(body: bytes) -> ServerError | None:
    """The error of an event, or of the first choice of one or of a whole answer."""
    if _ERROR not in body:
        return None
    try:
        answer = orjson.loads(without_end_mark(body) or body)
    except ValueError:
        return None
    choices = answer.get("choices") if isinstance(answer, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    error = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(choice, dict):
        error = error or choice.get("error")
        if not error and choice.get("finish_reason") == "error":
            error = "the server ended the answer with an error"
    if not error:
        return None
    found = read_error(Response(_SERVER_ERROR, {}, orjson.dumps({"error": error}))) or ServerError("")
    code = error.get("code", error.get("status")) if isinstance(error, dict) else None
    code = int(code) if isinstance(code, str) and code.isdecimal() and len(code) == _STATUS_DIGITS else code
    is_status = type(code) is int and _FIRST_ERROR <= code <= _LAST_ERROR
    # What fails after it began was no fault of the request.
    return replace(found, status=code if is_status else _SERVER_ERROR if isinstance(choice, dict) else None)


@dataclass(frozen=True)
class OpenAIChat(JSONServer):
    """Chat completions: ``{"model", "messages", ...}``, answered with ``{"choices", "usage"}``.

    Attributes:
        form: How the server takes the form of the answer that is wanted.
    """

    form: ChatForm = _FIRST_FORM
    name: ClassVar[str] = "openai-chat"
    max_batch_size: ClassVar[int | None] = None

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

    def encode(self, task: Task, inputs: Sequence[Input], settings: Settings) -> Body:
        """Write the body of a request.

        Args:
            task: The task to ask for.
            inputs: Exactly one input, media loaded.
            settings: The settings of the model.

        Returns:
            The body, ready to send.
        """
        return codec.encode(chat_payload(task, inputs, settings, self.form))

    def fallback(self, task: Task, settings: Settings, failure: Failure, *, is_first: bool) -> OpenAIChat | None:
        """How to ask once a request was refused.

        Args:
            task: The task that was asked for.
            settings: The settings of the model.
            failure: Of the request.
            is_first: Whether nothing was answered in this form yet.

        Returns:
            The protocol in its next form (see ``ChatForm.next_after``), or None.
        """
        form = self.form.next_after(failure, task, settings, is_first=is_first)
        return None if form is None else replace(self, form=form)

    decode = staticmethod(decode_chat)
    error = staticmethod(chat_error)
