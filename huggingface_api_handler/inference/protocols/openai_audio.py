"""OpenAI's audio: speech to text at ``/v1/audio/transcriptions``, text to speech at ``/v1/audio/speech``.

vLLM, ``transformers serve``, LiteLLM and LocalAI speak them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...redaction import preview
from ...tasks import Input, JSONObject, Settings, Task
from ...tasks.base import number, unreadable
from ...tasks.input_types import loaded_media
from ..transport.client import Response
from . import codec
from .addresses import api_url
from .base import Batching, Body, Decoded
from .form_data import encode_form
from .json_server import JSONServer
from .media_answers import split_media
from .parameters import supported_parameters

_TRANSCRIPTION = "automatic-speech-recognition"
_SPEECH = "text-to-speech"

_HINTS = ("language", "prompt", "temperature")
"""What a transcription is told beside its sound, alone or in Hugging Face's ``generation_parameters``."""

_SPEECH_PARAMETERS = ("voice", "speed", "instructions", "response_format")
_SPEECH_DEFAULTS: JSONObject = {"voice": "alloy", "response_format": "wav"}  # OpenAI requires a voice; all write WAV
_SPEECH_FORMATS = ("wav", "mp3", "flac", "opus")  # those that are told by their bytes


def transcription_fields(settings: Settings) -> list[tuple[str, str]]:
    """The fields of a transcription's form, without the file.

    Args:
        settings: The settings of the model. ``return_timestamps`` is true for segments, 'word' for words.

    Returns:
        Names and values: ``model`` first, then ``response_format`` and what else there is.

    Raises:
        ValueError: A parameter has no equal in this protocol.
    """
    parameters = dict(settings.parameters)
    timestamps = parameters.pop("return_timestamps", None)
    if timestamps not in (None, False, True, "word"):
        raise ValueError(
            f"return_timestamps = {preview(timestamps)} has no equal in OpenAI's transcriptions. Use true or 'word'"
        )
    fields = [("model", settings.model), ("response_format", "verbose_json" if timestamps else "json")]
    if timestamps == "word":
        fields.append(("timestamp_granularities[]", "word"))
    nested = parameters.pop("generation_parameters", None)
    if isinstance(nested, dict):
        parameters = {**nested, **parameters}
    elif nested is not None:
        raise ValueError(f"generation_parameters must be a map, got {preview(nested)}")
    for name, value in parameters.items():
        if name not in _HINTS or not isinstance(value, (str, int, float)):
            raise ValueError(
                f"{name} = {preview(value)} has no equal in OpenAI's transcriptions, which take {', '.join(_HINTS)}"
            )
        fields.append((name, str(value)))
    return fields


def speech_payload(inputs: Sequence[Input], settings: Settings) -> JSONObject:
    """A text to speak.

    Args:
        inputs: Exactly one text.
        settings: The settings of the model.

    Returns:
        ``{"model", "input", "voice", "response_format"}`` with the other parameters beside them.

    Raises:
        ValueError: A parameter has no equal in this protocol.
    """
    parameters = supported_parameters(settings, _SPEECH_PARAMETERS, "a server of OpenAI's speech")
    payload = {"model": settings.model, "input": str(inputs[0]), **_SPEECH_DEFAULTS, **parameters}
    if payload["response_format"] not in _SPEECH_FORMATS:
        raise ValueError(
            f"response_format must be one of {', '.join(_SPEECH_FORMATS)}, got {preview(payload['response_format'])}"
        )
    return payload


def _split_transcript(answer: object, _count: int) -> list[Any]:
    """The transcript in the form of Hugging Face's pipelines, which is stored: its words or segments are chunks."""
    if not isinstance(answer, dict) or not isinstance(answer.get("text"), str):
        raise unreadable(_TRANSCRIPTION, answer)
    for key, text_key in (("words", "word"), ("segments", "text")):
        pieces = answer.get(key)
        if isinstance(pieces, list) and pieces:
            return [{"text": answer["text"], "chunks": [_chunk(piece, text_key) for piece in pieces]}]
    return [{"text": answer["text"]}]


def _chunk(piece: object, text_key: str) -> JSONObject:
    if not isinstance(piece, dict) or not isinstance(piece.get(text_key), str):
        raise unreadable(_TRANSCRIPTION, piece)
    return {"text": piece[text_key], "timestamp": [number(piece.get("start")), number(piece.get("end"))]}


class OpenAITranscriptions(JSONServer):
    """Transcriptions: a form with the file, answered with ``{"text"}``, or with words or segments beside it."""

    name = "openai-transcriptions"
    max_batch_size = None

    def supports(self, task: Task) -> bool:
        """Whether such a server answers a task.

        Args:
            task: The task to ask for.

        Returns:
            True for speech recognition.
        """
        return task.name == _TRANSCRIPTION

    def url(self, base: str, _model: str, _task: Task) -> str:
        """The address of every request.

        Args:
            base: The endpoint as it was given.

        Returns:
            ``base`` with the path of this operation.
        """
        return api_url(base, "/audio/transcriptions")

    def batching(self, _task: Task) -> Batching:
        """Whether several inputs may go in one request.

        Returns:
            ``NEVER``: a form has one file.
        """
        return Batching.NEVER

    def encode(self, _task: Task, inputs: Sequence[Input], settings: Settings) -> Body:
        """Write the body of a request.

        Args:
            inputs: Exactly one sound, loaded.
            settings: The settings of the model.

        Returns:
            The body, ready to send.

        Raises:
            ValueError: A parameter has no equal in this protocol.
        """
        return encode_form(transcription_fields(settings), "file", loaded_media(inputs[0]))

    def decode(self, task: Task, response: Response, count: int) -> Decoded:
        """Take the response to one sound apart.

        Args:
            task: The task that was asked for.
            response: The response, of status 200.
            count: The number of sounds that the request carried, which is one.

        Returns:
            ``{"text", "chunks"}`` as the only part, or in ``unreadable`` why there is none.

        Raises:
            ValueError: The body is no JSON.
        """
        return codec.take_apart(codec.parse(task, response), count, _split_transcript, response.headers)


class OpenAISpeech(JSONServer):
    """Speech: ``{"model", "input", "voice"}``, answered with the bytes of the sound."""

    name = "openai-speech"
    max_batch_size = None

    def supports(self, task: Task) -> bool:
        """Whether such a server answers a task.

        Args:
            task: The task to ask for.

        Returns:
            True for text to speech.
        """
        return task.name == _SPEECH

    def url(self, base: str, _model: str, _task: Task) -> str:
        """The address of every request.

        Args:
            base: The endpoint as it was given.

        Returns:
            ``base`` with the path of this operation.
        """
        return api_url(base, "/audio/speech")

    def batching(self, _task: Task) -> Batching:
        """Whether several inputs may go in one request.

        Returns:
            ``NEVER``: a response is one sound.
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
        return codec.encode(speech_payload(inputs, settings))

    def decode(self, task: Task, response: Response, count: int) -> Decoded:
        """Take the response to one text apart.

        Args:
            task: The task that was asked for.
            response: The response, of status 200.
            count: The number of texts that the request carried, which is one.

        Returns:
            The sound as the only part, or in ``unreadable`` why there is none.

        Raises:
            ValueError: The body is neither a sound nor JSON.
        """
        return codec.take_apart(codec.parse(task, response), count, split_media, response.headers)
