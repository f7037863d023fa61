"""The protocol of Hugging Face's hf-inference, which Inference Endpoints and the local inference server speak too."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import quote

from ...tasks import Input, Settings, Task
from ..echoes import ServerError
from ..transport.client import Response
from . import codec, hf_payloads, hf_splits
from .addresses import add_path, path_of
from .base import Batching, Body, Decoded, Split
from .hf_payloads import Encode
from .json_server import JSONServer
from .media_answers import split_media
from .server_errors import read_error


class TaskForm(NamedTuple):
    """One task on the wire. The defaults are those of a task that reads one text.

    Attributes:
        encode: Makes the payload.
        split: Gives each input its part of the answer.
        batching: Whether several inputs may go in one request.
        list_key: Under which some servers put the list of the answer.
    """

    encode: Encode = hf_payloads.text_payload
    split: Split = hf_splits.split_one_to_one
    batching: Batching = Batching.NEVER
    list_key: str = hf_splits.ANY_LIST_KEY


_DEFAULT_FORM = TaskForm()
_MEDIA = TaskForm(hf_payloads.media_payload)
_LABELLED_MEDIA = TaskForm(hf_payloads.labelled_media_payload)
_MADE_OF_TEXT = TaskForm(split=split_media)
_MADE_OF_MEDIA = TaskForm(hf_payloads.prompted_media_payload, split_media)
_MEDIA_QUESTION = TaskForm(hf_payloads.media_question_payload)
_REWRITTEN_TEXT = TaskForm(hf_payloads.uncut_text_payload, hf_splits.split_typed(dict), Batching.PROBE)
_TABLE_ROWS = TaskForm(hf_payloads.rows_payload, hf_splits.split_list("rows", "values"), Batching.NATIVE)

_TASK_FORMS: dict[str, TaskForm] = {
    "text-classification": TaskForm(hf_payloads.uncut_text_payload, hf_splits.split_scores, Batching.PROBE),
    "zero-shot-classification": TaskForm(hf_payloads.labelled_text_payload, hf_splits.split_zero_shot, Batching.PROBE),
    "token-classification": TaskForm(
        hf_payloads.uncut_text_payload, hf_splits.split_entities, Batching.PROBE, "entities"
    ),
    "question-answering": TaskForm(hf_payloads.question_payload),
    "fill-mask": TaskForm(hf_payloads.masked_text_payload, hf_splits.split_typed(list), Batching.PROBE),
    "summarization": _REWRITTEN_TEXT,
    "translation": _REWRITTEN_TEXT,
    "feature-extraction": TaskForm(
        hf_payloads.flat_text_payload, hf_splits.split_typed(list), Batching.PROBE, "embeddings"
    ),
    "sentence-similarity": TaskForm(
        hf_payloads.strict_similarity_payload,
        hf_splits.split_list("sentences", "scores"),
        Batching.NATIVE,
        "similarities",
    ),
    "text-ranking": TaskForm(hf_payloads.nested_ranking_payload, hf_splits.split_ranking, Batching.NATIVE, "scores"),
    "table-question-answering": TaskForm(hf_payloads.table_question_payload),
    "tabular-classification": _TABLE_ROWS,
    "tabular-regression": _TABLE_ROWS,
    "image-classification": _MEDIA,
    "video-classification": _MEDIA,
    "audio-classification": _MEDIA,
    "object-detection": _MEDIA,
    "image-segmentation": _MEDIA,
    "image-to-text": _MEDIA,
    "automatic-speech-recognition": _MEDIA,
    "audio-to-audio": _MEDIA,
    "zero-shot-image-classification": _LABELLED_MEDIA,
    "zero-shot-object-detection": _LABELLED_MEDIA,
    "visual-question-answering": _MEDIA_QUESTION,
    "document-question-answering": _MEDIA_QUESTION,
    "text-to-image": _MADE_OF_TEXT,
    "text-to-video": _MADE_OF_TEXT,
    "text-to-speech": _MADE_OF_TEXT,
    "text-to-audio": _MADE_OF_TEXT,
    "image-to-image": _MADE_OF_MEDIA,
    "image-to-video": _MADE_OF_MEDIA,
    "image-text-to-image": _MADE_OF_MEDIA,
    "image-text-to-video": _MADE_OF_MEDIA,
    "depth-estimation": _MADE_OF_MEDIA,
}
"""The tasks whose form on the wire is another than ``_DEFAULT_FORM``."""

# Models of these tasks often serve another one by default, so the task is part of the path:
# https://huggingface.co/docs/inference-providers/providers/hf-inference
_TASKS_NAMED_IN_PATH = ("feature-extraction", "sentence-similarity")

_IMAGE_TASKS = ("text-to-image", "image-to-image", "image-text-to-image")
_IMAGE_HEADERS = {"accept": "image/png"}
"""As huggingface_hub's client asks for images. Without it Hugging Face's own toolkit sends base64 in JSON."""

_TAKES_NO_TRUNCATE = re.compile(r"unexpected keyword argument\W{1,2}truncate\b")
_CUTTING_ADVICE = (
    "This server cuts long texts in any case. If you gave long_text = 'error', leave it out, or set it to 'chunk'; "
    "if you gave truncate, leave that out"
)

_MODELS_PATH = "/models"
"""An address whose path ends so serves many models, each under its name."""


def form_of(task: Task) -> TaskForm:
    """A task's form on the wire.

    Args:
        task: The task.

    Returns:
        Its own form, or the usual one of a task that reads one text.
    """
    return _TASK_FORMS.get(task.name, _DEFAULT_FORM)


def decode_by_form(task: Task, response: Response, count: int) -> Decoded:
    """Take a response apart by the task's form on the wire.

    Args:
        task: The task that was asked for.
        response: The response, whose status means success.
        count: The number of inputs that the request carried.

    Returns:
        A part for each input, or in ``unreadable`` why there is none.

    Raises:
        ValueError: The body is neither JSON nor the task's media.
    """
    answer, form = codec.parse(task, response), form_of(task)
    if isinstance(answer, dict):
        answer = hf_splits.unwrap_object(answer, form.list_key)
    return codec.take_apart(answer, count, form.split, response.headers)


def serves_many_models(base: str) -> bool:
    """Whether an address is that of a server of many models.

    Args:
        base: The endpoint as it was given.

    Returns:
        True where the model's name follows it.
    """
    return path_of(base).endswith(_MODELS_PATH)


def model_url(base: str, model: str) -> str:
    """The address of one model.

    Args:
        base: The endpoint as it was given.
        model: The model's name.

    Returns:
        ``base`` with the model's name, where it serves many models; else ``base``, which serves one.
    """
    return add_path(base, f"/{quote(model, safe='/@:.-_')}") if serves_many_models(base) else base


class HFInference(JSONServer):
    """hf-inference: ``{"inputs": ..., "parameters": {...}}``, or media alone, and the answer of the task's pipeline."""

    name = "hf-inference"
    max_batch_size = None

    def supports(self, _task: Task) -> bool:
        """Whether such a server answers a task.

        Returns:
            True: a task that ``form_of`` does not list has the usual form.
        """
        return True

    def url(self, base: str, model: str, task: Task) -> str:
        """The address of every request.

        Args:
            base: The endpoint as it was given.
            model: The model's name.
            task: The task to ask for.

        Returns:
            ``base``; with the model's name, and the task where models often serve another, on a server of many models.
        """
        url = model_url(base, model)
        named = serves_many_models(base) and task.name in _TASKS_NAMED_IN_PATH
        return add_path(url, f"/pipeline/{task.name}") if named else url

    def headers(self, task: Task) -> Mapping[str, str]:
        """Headers that only this protocol needs.

        Args:
            task: The task to ask for.

        Returns:
            ``accept`` where an image is wanted, else none.
        """
        return _IMAGE_HEADERS if task.name in _IMAGE_TASKS else {}

    def batching(self, task: Task) -> Batching:
        """Whether several inputs may go in one request.

        Args:
            task: The task to ask for.

        Returns:
            The rule for this task.
        """
        return form_of(task).batching

    def encode(self, task: Task, inputs: Sequence[Input], settings: Settings) -> Body:
        """Write the body of a request.

        Args:
            task: The task to ask for.
            inputs: The inputs of one batch, media loaded.
            settings: The settings of the model.

        Returns:
            The body, ready to send.
        """
        return codec.encode(form_of(task).encode(inputs, settings))

    decode = staticmethod(decode_by_form)

    def error(self, response: Response) -> ServerError | None:
        """Read the error that a response tells.

        Args:
            response: The response, of any status.

        Returns:
            The server's words and code, with advice where it cannot be told not to cut. None where there is no error.
        """
        error = read_error(response)
        if error is None or not _TAKES_NO_TRUNCATE.search(error.message):
            return error
        return replace(error, message=f"{error.message.rstrip('.')}. {_CUTTING_ADVICE}")


HF_INFERENCE = HFInference()
