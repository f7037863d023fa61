"""OpenAI's audio: forms that a real parser reads, transcripts with their times, and speech in bytes."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from typing import Any

import orjson
import pandas as pd
import pytest
from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from huggingface_api_handler.config.validation import model_settings
from huggingface_api_handler.errors import InputError
from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.pricing.reported_usage import ReportedUsage
from huggingface_api_handler.inference.protocols.base import Batching, Body, Decoded
from huggingface_api_handler.inference.protocols.form_data import encode_form
from huggingface_api_handler.inference.protocols.openai_audio import OpenAISpeech, OpenAITranscriptions
from huggingface_api_handler.inference.transport.client import Response
from huggingface_api_handler.tasks import TASKS, Media
from tests.conftest import Reply, Service

HEARD = OpenAITranscriptions()
SPOKEN = OpenAISpeech()
ASR = TASKS["automatic-speech-recognition"]
TTS = TASKS["text-to-speech"]
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00data\x00\x00\x00\x00"  # fmt: skip
HEAR = {"task": "asr", "column": "t", "target": "y", "model": "whisper-1"}
SPEAK = {"task": "text-to-speech", "column": "t", "target": "y", "model": "tts-1"}


async def read_form(data: bytes, content_type: str) -> dict[str, Any]:
    """The fields as aiohttp's server reads them; of the file its name, type and bytes."""
    loop = asyncio.get_running_loop()
    payload = StreamReader(BaseProtocol(loop), 2**26, loop=loop)
    payload.feed_data(data)
    payload.feed_eof()
    fields = await make_mocked_request("POST", "/", headers={"Content-Type": content_type}, payload=payload).post()
    assert len(fields) == len(set(fields))  # each once
    return {
        name: (value.filename, value.content_type, value.file.read()) if isinstance(value, web.FileField) else value
        for name, value in fields.items()
    }


def form(data: bytes, content_type: str) -> dict[str, Any]:
    return asyncio.run(read_form(data, content_type))


def heard(media: Media, **parameters: Any) -> dict[str, Any]:
    body = HEARD.encode(ASR, [media], model_settings({**HEAR, **parameters}))
    return form(body.data, body.content_type)


@pytest.mark.parametrize(
    ("parameters", "fields"),
    [
        ({}, {"response_format": "json"}),
        ({"return_timestamps": False}, {"response_format": "json"}),
        ({"return_timestamps": True}, {"response_format": "verbose_json"}),
        ({"return_timestamps": "true"}, {"response_format": "verbose_json"}),
        (
            {"return_timestamps": "word"},
            {"response_format": "verbose_json", "timestamp_granularities[]": "word"},
        ),
        (
            {"language": "de", "prompt": "Straße,\r\n--x \u201c", "temperature": 0.2},
            {
                "response_format": "json",
                "language": "de",
                "prompt": "Straße,\r\n--x \u201c",
                "temperature": "0.2",
            },
        ),
        ({"generation_parameters": {"language": "de"}}, {"response_format": "json", "language": "de"}),
        (
            {"generation_parameters": {"language": "de"}, "language": "en"},
            {"response_format": "json", "language": "en"},
        ),
    ],
)
def test_a_real_parser_reads_the_form(parameters: dict[str, Any], fields: dict[str, str]) -> None:
    file = ("file.wav", "audio/wav", WAV)
    assert heard(Media(WAV, "audio/wav"), **parameters) == {"model": "whisper-1", **fields, "file": file}


def test_the_model_comes_first_and_the_file_last() -> None:
    assert list(heard(Media(WAV, "audio/wav"), language="de")) == ["model", "response_format", "language", "file"]


@pytest.mark.parametrize(
    ("content_type", "name"),
    [
        ("audio/mpeg", "file.mp3"),
        ("audio/mp4", "file.m4a"),
        ("audio/flac", "file.flac"),
        ("audio/ogg", "file.ogg"),
        ("audio/webm", "file.webm"),
    ],
)
def test_the_file_has_the_ending_of_its_type(content_type: str, name: str) -> None:
    assert heard(Media(WAV, content_type))["file"] == (name, content_type, WAV)


@pytest.mark.parametrize(
    "data", [b"", b"\r\n--\r\n", b"--" + b"a" * 40, bytes(range(256)) * 4000], ids=["none", "ends", "dashes", "all"]
)
def test_any_bytes_arrive_as_they_are(data: bytes) -> None:
    body = encode_form([("model", "m")], "file", Media(data, "audio/wav"))
    assert form(body.data, body.content_type)["file"] == ("file.wav", "audio/wav", data)


def test_no_two_forms_share_a_boundary_so_that_no_row_can_hold_it() -> None:
    bodies = [encode_form([], "file", Media(WAV, "audio/wav")) for _ in range(2)]
    assert bodies[0].content_type != bodies[1].content_type
    hostile = Media(bodies[0].data, "audio/wav")
    assert form(*encode_form([("model", "m")], "file", hostile))["file"][2] == hostile.data


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"return_timestamps": "char"}, "return_timestamps = 'char' has no equal in OpenAI's transcriptions"),
        ({"generation_parameters": {"num_beams": 3}}, "num_beams = 3 has no equal in OpenAI's transcriptions"),
        ({"generation_parameters": {"language": ["de"]}}, "language = .* has no equal"),
        ({"generation_parameters": "x"}, "generation_parameters must be a map"),
    ],
)
def test_what_a_transcription_does_not_take_is_refused_by_name(parameters: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        heard(Media(WAV, "audio/wav"), **parameters)


@pytest.mark.parametrize(
    ("given", "checked"), [(True, True), ("false", False), ("word", "word"), ("char", "char"), (1, True)]
)
def test_timestamps_are_true_or_false_or_a_word_which_servers_get_as_it_is(given: Any, checked: Any) -> None:
    assert model_settings({**HEAR, "return_timestamps": given}).parameters["return_timestamps"] is checked


def test_no_other_word_is_a_kind_of_timestamps() -> None:
    with pytest.raises(InputError, match="return_timestamps must be true or false or 'word' or 'char', got 'line'"):
        model_settings({**HEAR, "return_timestamps": "line"})


def transcript(answer: Any) -> Decoded:
    return HEARD.decode(ASR, Response(200, CIMultiDict(), orjson.dumps(answer)), 1)


SEGMENT = {"id": 0, "seek": 0, "start": 0.0, "end": 1.5, "text": " Hello there.", "tokens": [1], "avg_logprob": -0.2}


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        ({"text": "Hello"}, {"text": "Hello"}),
        ({"text": ""}, {"text": ""}),
        ({"text": "Hello", "segments": [], "words": None}, {"text": "Hello"}),
        (
            {"task": "transcribe", "language": "en", "duration": 1.5, "text": "Hello there.", "segments": [SEGMENT]},
            {"text": "Hello there.", "chunks": [{"text": " Hello there.", "timestamp": [0.0, 1.5]}]},
        ),
        (
            {"text": "Hi all", "segments": [SEGMENT], "words": [{"word": "Hi", "start": 0, "end": 1}, {"word": "all"}]},
            {
                "text": "Hi all",
                "chunks": [{"text": "Hi", "timestamp": [0.0, 1.0]}, {"text": "all", "timestamp": [None, None]}],
            },
        ),
    ],
)
def test_words_and_segments_are_chunks(answer: Any, part: Any) -> None:
    decoded = transcript(answer)
    assert decoded.parts == [part]
    prediction = ASR.read(part, Media(WAV, "audio/wav"), model_settings(HEAR))
    assert (prediction.value, prediction.explain) == (part["text"], part.get("chunks"))


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "Hello",
        [{"text": "x"}],
        {"text": None},
        {"text": "x", "segments": ["x"]},
        {"text": "x", "words": [{"word": 1}]},
    ],
)
def test_another_transcript_is_refused_and_not_guessed(answer: Any) -> None:
    assert transcript(answer).unreadable is not None


def test_tokens_of_a_transcript_are_reported() -> None:
    usage = {"type": "tokens", "input_tokens": 14, "output_tokens": 45, "total_tokens": 59}
    assert transcript({"text": "x", "usage": usage}).usage == ReportedUsage(59, 14, 45)


@pytest.mark.parametrize(
    ("parameters", "more"),
    [
        ({}, {"voice": "alloy", "response_format": "wav"}),
        ({"voice": "nova", "response_format": "mp3"}, {"voice": "nova", "response_format": "mp3"}),
        (
            {"speed": 1.5, "instructions": "calm"},
            {"voice": "alloy", "response_format": "wav", "speed": 1.5, "instructions": "calm"},
        ),
    ],
)
def test_a_text_is_spoken_by_a_voice(parameters: dict[str, Any], more: dict[str, Any]) -> None:
    body = SPOKEN.encode(TTS, ["Hello"], model_settings({**SPEAK, **parameters}))
    assert json.loads(body.data) == {"model": "tts-1", "input": "Hello", **more}


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"response_format": "pcm"}, "response_format must be one of wav, mp3, flac, opus, got 'pcm'"),
        ({"generation_parameters": {"top_k": 3}}, "OpenAI's speech takes no parameter 'generation_parameters'"),
    ],
)
def test_what_speech_does_not_take_is_refused_by_name(parameters: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        SPOKEN.encode(TTS, ["Hello"], model_settings({**SPEAK, **parameters}))


def test_each_protocol_has_its_task_its_address_and_one_input_a_request() -> None:
    for protocol, task, path in ((HEARD, ASR, "/audio/transcriptions"), (SPOKEN, TTS, "/audio/speech")):
        assert {name for name, each in TASKS.items() if protocol.supports(each)} == {task.name}
        assert protocol.batching(task) is Batching.NEVER
        for base in ("http://h", "http://h/v1", f"http://h/v1{path}"):
            assert protocol.url(base, "m", task) == f"http://h/v1{path}"


@pytest.fixture
def engine(service: Service) -> dict[str, Any]:
    return {"endpoint": f"{service.url}/v1"}


def test_rows_are_transcribed_each_by_a_form_of_its_own(service: Service, engine: dict[str, Any]) -> None:
    sounds = [WAV + bytes([number]) * 2 for number in range(3)]

    async def hear(body: Any, headers: dict[str, str], path: str) -> Any:
        fields = await read_form(body, headers["content-type"])
        assert (path, fields["model"]) == ("/v1/audio/transcriptions", "whisper-1")
        number = fields["file"][2][-1]
        return Reply({"error": {"message": "too quiet"}}, 400) if number == 2 else {"text": f"sound {number}"}

    service.answer = hear
    cells = [f"data:audio/wav;base64,{b64encode(sound).decode()}" for sound in sounds]
    out = predict(pd.DataFrame({"t": [*cells, None]}), HEAR, engine)
    assert list(out["y"].where(out["y"].notna(), None)) == ["sound 0", "sound 1", None, None]
    assert out["y_error"][2] == "rejected input 400: too quiet"
    assert len(service.asked) == 3


def test_rows_are_spoken(service: Service, engine: dict[str, Any]) -> None:
    service.answer = lambda body, *_: Reply(WAV + body["input"].encode(), 200, {"Content-Type": "audio/wav"})
    out = predict(pd.DataFrame({"t": ["ab", "cd"]}), SPEAK, engine)
    assert list(out["y"]) == [f"data:audio/wav;base64,{b64encode(WAV + text).decode()}" for text in (b"ab", b"cd")]
    assert service.paths == ["/v1/audio/speech"] * 2


def test_a_body_says_its_size_and_type_and_nothing_of_what_it_holds() -> None:
    body = encode_form([("model", "m")], "file", Media(WAV, "audio/wav"))
    assert isinstance(body, Body)
    assert "WAVE" not in repr(body)
