"""Text generation at a server that has OpenAI's chat and not its completions: the prompt is a message."""

from __future__ import annotations

from collections.abc import Sequence

from ...tasks import Input, JSONObject, Settings, Task
from . import codec
from .base import Body
from .openai_chat import OpenAIChat
from .openai_completions import completion_payload

_TASK = "text-generation"

_NOT_IN_CHAT = {
    "echo": "return_full_text",
    "best_of": "best_of",
}
"""Parameters of completions that chat has not, and the names under which they were given."""


def prompt_as_chat(inputs: Sequence[Input], settings: Settings) -> JSONObject:
    """A conversation of one message.

    Args:
        inputs: Exactly one prompt.
        settings: The settings of the model.

    Returns:
        ``{"model", "messages"}`` with the parameters beside them, as completions name them.

    Raises:
        ValueError: A parameter has no equal in chat.
    """
    payload = completion_payload(inputs, settings)
    for name, given in _NOT_IN_CHAT.items():
        if name in payload:
            raise ValueError(f"{given} has no equal in OpenAI's chat, which is what this server speaks. Leave it out")
    prompt = payload.pop("prompt")
    messages = [{"role": "user", "content": prompt}]
    return {"model": payload.pop("model"), "messages": messages, "stream": False, **payload}


class TextAsChat(OpenAIChat):
    """Chat with one message, for the task that goes on from a prompt."""

    name = "openai-chat (one message)"

    def supports(self, task: Task) -> bool:
        """Whether such a server answers a task.

        Args:
            task: The task to ask for.

        Returns:
            True for text generation.
        """
        return task.name == _TASK

    def encode(self, _task: Task, inputs: Sequence[Input], settings: Settings) -> Body:
        """Write the body of a request.

        Args:
            inputs: Exactly one prompt.
            settings: The settings of the model.

        Returns:
            The body, ready to send.

        Raises:
            ValueError: A parameter has no equal in chat.
        """
        return codec.encode(prompt_as_chat(inputs, settings))
