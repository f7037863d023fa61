"""OpenAI's images: an image of a text at ``/v1/images/generations``.

LocalAI, vLLM-Omni, SGLang and LiteLLM speak it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...errors import MediaError
from ...tasks import Input, JSONObject, Media, Settings, Task
from ...tasks.base import unreadable
from ..media.sniffing import made_type
from .base import Batching
from .jobs import JobEndedError, JobRefusedError, current_job
from .media_answers import MediaLink, find_media
from .operations import JSONOperation
from .parameters import supported_parameters

_TASK = "text-to-image"
_PARAMETERS = ("width", "height", "negative_prompt", "guidance_scale", "num_inference_steps", "seed")
"""OpenAI itself has a size alone. Servers of open models take the others under these names."""

_ALWAYS_BASE64 = ("gpt-image", "chatgpt-image")
"""How the names of models begin that answer in base64 and refuse to be asked for it."""


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


@dataclass(frozen=True)
class OpenAIImages(JSONOperation):
    """Images: ``{"model", "prompt"}``, answered with ``{"data": [{"b64_json" or "url"}]}``."""

    name: ClassVar[str] = "openai-images"
    path: ClassVar[str] = "/images/generations"
    tasks: ClassVar[tuple[str, ...]] = (_TASK,)
    batch_rule: ClassVar[Batching] = Batching.NEVER  # a request is one text
    blocks = True  # an answer can be the address of the image

    def payload(self, _task: Task, inputs: Sequence[Input], settings: Settings) -> JSONObject:
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

    def split(self, _task: Task, answer: object, _count: int) -> list[Any]:
        """The one image, fetched where the answer has its address.

        Args:
            answer: Media, or the answer as parsed JSON.

        Returns:
            The image as the only part.

        Raises:
            UnreadableAnswer: There is none.
            MediaError: The answer names a file that cannot be had.
            Exception: Whatever else comes of fetching the file.
        """
        if isinstance(answer, Media):
            return [answer]
        if not isinstance(answer, dict) or not isinstance(answer.get("data"), list):
            raise unreadable(_TASK, answer)
        found = find_media(answer)
        return [_fetched(found) if isinstance(found, MediaLink) else found]
