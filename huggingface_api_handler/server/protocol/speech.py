"""Speech in OpenAI's form: `/v1/audio/transcriptions` and `/v1/audio/speech`.

Protocol: https://platform.openai.com/docs/api-reference/audio
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .chat_completion import read_model
from .errors import invalid_field
from .json_types import JSON
from .multipart import Form
from .outputs import MediaFile, Transcript
from .parameters import get_choice, get_number, split_known
from .request_body import parse_object

TRANSCRIPTION_TASK = "automatic-speech-recognition"
SPEECH_TASK = "text-to-speech"
TRANSCRIPT_FORMATS = ("json", "text", "verbose_json", "srt", "vtt")
_TRANSCRIPTION_FIELDS = ("model", "language", "response_format", "stream", "timestamp_granularities[]")
# Of OpenAI, in the order of preference here: a WAV file, and what some pipelines make.
_SPEECH_FORMATS = ("wav", "flac")
_SPEECH_FIELDS = ("model", "input", "voice", "response_format", "speed", "stream_format")
_OPENAI_VOICES = (
    "alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer", "verse", "marin", "cedar",
)  # fmt: skip
_MILLISECONDS_PER_HOUR = 3_600_000


@dataclass(frozen=True)
class TranscriptionRequest:
    """A transcription request, checked.

    Attributes:
        model: The model that the form names, or None.
        audio: The audio file.
        language: Code of its language, or None.
        response_format: One of TRANSCRIPT_FORMATS.
        ignored: Names of fields that are not known.
    """

    model: str | None
    audio: bytes
    language: str | None
    response_format: str
    ignored: Sequence[str]

    @property
    def wants_timestamps(self) -> bool:
        """Whether the response says when what was said."""
        return self.response_format in ("verbose_json", "srt", "vtt")


def parse_transcription_form(form: Form) -> TranscriptionRequest:
    """Check a form.

    Args:
        form: The form.

    Returns:
        The parts of the request.

    Raises:
        HTTPError: 400 without a file, for an unknown format, a stream, and timestamps of words.
    """
    if "file" not in form.files:
        raise invalid_field("file", "field required: the audio, as a file of the form")
    fields: dict[str, object] = {name: form.get(name) for name in form.fields}
    response_format = get_choice(fields, "response_format", TRANSCRIPT_FORMATS)
    if form.get("stream") not in (None, "false", "False", "0"):
        raise invalid_field("stream", "a transcript comes as a whole here: leave it out")
    if "word" in form.fields.get("timestamp_granularities[]", ()):
        raise invalid_field("timestamp_granularities", "the times of segments are known here, not those of words")
    _, ignored = split_known(fields, _TRANSCRIPTION_FIELDS)
    return TranscriptionRequest(form.get("model"), form.files["file"], form.get("language"), response_format, ignored)


def transcript_content(request: TranscriptionRequest, transcript: Transcript) -> JSON:
    """Build the response's content.

    Args:
        request: The request.
        transcript: What the model heard, with chunks where the request wants timestamps.

    Returns:
        An object to send as JSON, or a text to send as it is.
    """
    # Of a sound that is cut off, some models do not tell the end of the last chunk.
    chunks = [
        (chunk["text"], chunk["timestamp"][0] or 0.0, chunk["timestamp"][1] or chunk["timestamp"][0] or 0.0)
        for chunk in transcript.get("chunks", [])
    ]
    if request.response_format == "text":
        return f"{transcript['text']}\n"
    if request.response_format == "srt":
        cues = (
            f"{number}\n{_time(start, ',')} --> {_time(end, ',')}\n{text.strip()}\n"
            for number, (text, start, end) in enumerate(chunks, 1)
        )
        return "\n".join(cues)
    if request.response_format == "vtt":
        cues = (f"{_time(start, '.')} --> {_time(end, '.')}\n{text.strip()}\n" for text, start, end in chunks)
        return "\n".join(("WEBVTT\n", *cues))
    if request.response_format == "json":
        return {"text": transcript["text"]}
    segments: list[JSON] = [
        {"id": index, "start": start, "end": end, "text": text} for index, (text, start, end) in enumerate(chunks)
    ]
    return {
        "task": "transcribe",
        "language": transcript.get("language", request.language),
        "duration": transcript.get("duration", chunks[-1][2] if chunks else 0.0),
        "text": transcript["text"],
        "segments": segments,
    }


def _time(seconds: float, separator: str) -> str:
    hours, milliseconds = divmod(round(seconds * 1000), _MILLISECONDS_PER_HOUR)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    whole_seconds, milliseconds = divmod(milliseconds, 1000)
    return f"{hours:02}:{minutes:02}:{whole_seconds:02}{separator}{milliseconds:03}"


@dataclass(frozen=True)
class SpeechRequest:
    """A request for speech, checked.

    Attributes:
        model: The model that the body names, or None.
        text: The text to speak.
        voice: The voice that it names, or None.
        response_format: The format that it names, or None.
        ignored: Names of fields that are not known.
    """

    model: str | None
    text: object
    voice: str | None
    response_format: str | None
    ignored: Sequence[str]


def parse_speech_request(raw: bytes) -> SpeechRequest:
    """Parse the body of OpenAI's speech.

    Args:
        raw: The whole body.

    Returns:
        The parts of the request; its text is unchecked.

    Raises:
        HTTPError: 400 for another form, for a format that is not made here, and for a speed other than 1.
    """
    content = parse_object(raw, "input")
    fields, ignored = split_known(content, _SPEECH_FIELDS)
    if fields.get("input") is None:
        raise invalid_field("input", "field required")
    voice = fields.get("voice")
    if voice is not None and not isinstance(voice, str):
        raise invalid_field("voice", "expected the name of a voice")
    if get_number(fields, "speed", 1, 0.25, 4) != 1:
        raise invalid_field("speed", "speech comes at the voice's own speed here: leave it out")
    get_choice(fields, "stream_format", ("audio",))
    response_format = fields.get("response_format")
    if response_format is not None:
        response_format = get_choice(fields, "response_format", _SPEECH_FORMATS)
    return SpeechRequest(read_model(fields), fields["input"], voice, response_format, ignored)


def check_voice(voice: str | None, voices: Sequence[str]) -> str:
    """Check that a model has a voice.

    Args:
        voice: The voice that a request names, or None.
        voices: The model's voices; empty where they have no names.

    Returns:
        A warning where one of OpenAI's own voices, which no local model has, is answered by the model's first; else
        an empty text.

    Raises:
        HTTPError: 400 for a voice that neither has.
    """
    if voice is None or voice in voices:
        return ""
    if voice not in _OPENAI_VOICES:
        has = f"the voices of this model: {', '.join(voices)}" if voices else "no voice, since this model has one"
        raise invalid_field("voice", f"{voice!r:.80} is not known here. Name {has}")
    return f"voice: this model has no {voice}, its own spoke"


def check_speech_format(response_format: str | None, file: MediaFile) -> None:
    """Check that a file has the format that was asked for.

    Args:
        response_format: The format, or None for any.
        file: What the model made.

    Raises:
        HTTPError: 400 for another format.
    """
    actual = file.content_type.rpartition("/")[2]
    if response_format not in (None, actual):
        raise invalid_field("response_format", f"this model speaks {actual}, not {response_format}")
