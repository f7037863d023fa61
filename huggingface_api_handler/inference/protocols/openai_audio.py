"""OpenAI's audio: speech to text at ``/v1/audio/transcriptions``, text to speech at ``/v1/audio/speech``.

vLLM, ``transformers serve``, LiteLLM and LocalAI speak them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...redaction import preview
from ...tasks import Input, JSONObject, Settings, Task
from ...tasks.base import number, unreadable
from ...tasks.input_types import loaded_media
from .base import Batching, Body
from .form_data import encode_form
from .media_answers import split_media
from .operations import JSONOperation, Operation
from .parameters import supported_parameters

_TRANSCRIPTION = "automatic-speech-recognition"

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


def _chunk(piece: object, text_key: str) -> JSONObject:
    if not isinstance(piece, dict) or not isinstance(piece.get(text_key), str):
        raise unreadable(_TRANSCRIPTION, piece)
    return {"text": piece[text_key], "timestamp": [number(piece.get("start")), number(piece.get("end"))]}


@dataclass(frozen=True)
class OpenAITranscriptions(Operation):
    """Transcriptions: a form with the file, answered with ``{"text"}``, or with words or segments beside it."""

    name: ClassVar[str] = "openai-transcriptions"
    path: ClassVar[str] = "/audio/transcriptions"
    tasks: ClassVar[tuple[str, ...]] = (_TRANSCRIPTION,)
    batch_rule: ClassVar[Batching] = Batching.NEVER  # a form has one file

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

    def split(self, _task: Task, answer: object, _count: int) -> list[Any]:
        """The transcript in the form of Hugging Face's pipelines, which is stored: its words or segments are chunks.

        Args:
            answer: The answer, as parsed JSON.

        Returns:
            ``{"text", "chunks"}`` as the only part.

        Raises:
            UnreadableAnswer: There is no text, or a chunk has none.
        """
        if not isinstance(answer, dict) or not isinstance(answer.get("text"), str):
            raise unreadable(_TRANSCRIPTION, answer)
        for key, text_key in (("words", "word"), ("segments", "text")):
            pieces = answer.get(key)
            if isinstance(pieces, list) and pieces:
                return [{"text": answer["text"], "chunks": [_chunk(piece, text_key) for piece in pieces]}]
        return [{"text": answer["text"]}]


@dataclass(frozen=True)
class OpenAISpeech(JSONOperation):
    """Speech: ``{"model", "input", "voice"}``, answered with the bytes of the sound."""

    name: ClassVar[str] = "openai-speech"
    path: ClassVar[str] = "/audio/speech"
    tasks: ClassVar[tuple[str, ...]] = ("text-to-speech",)
    batch_rule: ClassVar[Batching] = Batching.NEVER  # a response is one sound

    def payload(self, _task: Task, inputs: Sequence[Input], settings: Settings) -> JSONObject:
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
        if (given := payload["response_format"]) not in _SPEECH_FORMATS:
            raise ValueError(f"response_format must be one of {', '.join(_SPEECH_FORMATS)}, got {preview(given)}")
        return payload

    def split(self, _task: Task, answer: object, count: int) -> list[Any]:
        """The sound.

        Args:
            answer: Media, or the answer as parsed JSON.
            count: The number of texts that the request carried, which is one.

        Returns:
            The sound as the only part.

        Raises:
            UnreadableAnswer: There is none.
        """
        return split_media(answer, count)
