"""OpenAI's images: an image of a text at ``/v1/images/generations``.

LocalAI, vLLM-Omni, SGLang and LiteLLM speak it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import MediaError
from ...tasks import Input, JSONObject, Media, Settings, Task
from ...tasks.base import unreadable
from ..media.sniffing import made_type
from ..transport.client import Response
from . import codec
from .addresses import api_url
from .base import Batching, Body, Decoded
from .jobs import JobEndedError, JobRefusedError, current_job
from .json_server import JSONServer
from .media_answers import MediaLink, find_media
from .parameters import supported_parameters

_TASK = "text-to-image"
_PARAMETERS = ("width", "height", "negative_prompt", "guidance_scale", "num_inference_steps", "seed")
"""OpenAI itself has a size alone. Servers of open models take the others under these names."""

_ALWAYS_BASE64 = ("gpt-image", "chatgpt-image")
"""How the names of models begin that answer in base64 and refuse to be asked for it."""


def image_payload(inputs: Sequence[Input], settings: Settings) -> JSONObject:
    """A text to draw.

    Args:
        inputs: Exactly one text.
        settings: The settings of the model.

    Returns:
        ``{"model", "prompt", "n": 1}`` with ``size`` of ``width`` and ``height``, and the other parameters.

    Raises:
        ValueError: A parameter has no equal in this protocol.
    """
    payload: JSONObject = {"model": settings.model, "prompt": str(inputs[0]), "n": 1}
    parameters = supported_parameters(settings, _PARAMETERS, "a server of OpenAI's images")
    width, height = parameters.pop("width", None), parameters.pop("height", None)
    if (width is None) is not (height is None):
        raise ValueError("give width and height both: OpenAI's images have a size of both")
    if width is not None:
        payload["size"] = f"{width}x{height}"
    payload.update(parameters)
    if not settings.model.rpartition("/")[2].startswith(_ALWAYS_BASE64):
        payload["response_format"] = "b64_json"
    return payload


def _split(answer: object, _count: int) -> list[Any]:
    """The one image, fetched where the answer has its address. Raises whatever comes of fetching it."""
    if isinstance(answer, Media):
        return [answer]
    if not isinstance(answer, dict) or not isinstance(answer.get("data"), list):
        raise unreadable(_TASK, answer)
    found = find_media(answer)
    return [_fetched(found) if isinstance(found, MediaLink) else found]


def _fetched(link: MediaLink) -> Media:
    """The image at an address, which is asked for without the key (see ``jobs.get_for_job``).

    Whatever goes wrong is the row's reason: it is paid for already, and asking for another image costs again.
    """
    job = current_job()
    if job is None:
        raise MediaError("it is fetched only while a query waits for it")
    try:
        response = job.get(link.url, {})
    except (MediaError, JobRefusedError, JobEndedError):
        raise
    except Exception as error:
        raise MediaError(f"its server could not be asked ({type(error).__name__})") from None
    found_type = made_type(response.body, "") if response.status == 200 else None
    if found_type is None:
        raise MediaError(f"its server answered HTTP {response.status} and no image")
    return Media(response.body, found_type)


class OpenAIImages(JSONServer):
    """Images: ``{"model", "prompt"}``, answered with ``{"data": [{"b64_json" or "url"}]}``."""

    name = "openai-images"
    max_batch_size = None
    blocks = True  # an answer can be the address of the image

    def supports(self, task: Task) -> bool:
        """Whether such a server answers a task.

        Args:
            task: The task to ask for.

        Returns:
            True for images of texts.
        """
        return task.name == _TASK

    def url(self, base: str, _model: str, _task: Task) -> str:
        """The address of every request.

        Args:
            base: The endpoint as it was given.

        Returns:
            ``base`` with the path of this operation.
        """
        return api_url(base, "/images/generations")

    def batching(self, _task: Task) -> Batching:
        """Whether several inputs may go in one request.

        Returns:
            ``NEVER``: a request is one text.
        """
        return Batching.NEVER

    def encode(self, _task: Task, inputs: Sequence[Input], settings: Settings) -> Body:
        """Write the body of a request.

        Args:
            inputs: Exactly one text.
            settings: The settings of the model.

        Returns:
            The body, ready to send.

        Raises:
            ValueError: A parameter has no equal in this protocol.
        """
        return codec.encode(image_payload(inputs, settings))

    def decode(self, task: Task, response: Response, count: int) -> Decoded:
        """Take the response to one text apart. May fetch a file.

        Args:
            task: The task that was asked for.
            response: The response, of status 200.
            count: The number of texts that the request carried, which is one.

        Returns:
            The image as the only part, or in ``unreadable`` why there is none.

        Raises:
            ValueError: The body is no JSON.
            MediaError: The answer names a file that cannot be had.
            Exception: Whatever else comes of fetching the file.
        """
        return codec.take_apart(codec.parse(task, response), count, _split, response.headers)
