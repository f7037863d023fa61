"""Transcriptions and speech in OpenAI's form, with models that stand in."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from starlette.testclient import TestClient

from huggingface_api_handler.server import create_app, registry
from huggingface_api_handler.server.model_card import AnyModelCard
from huggingface_api_handler.server.models import speech_recognition, text_to_speech
from huggingface_api_handler.server.protocol.outputs import MediaFile

TRANSCRIPTIONS = "/v1/audio/transcriptions"
SPEECH = "/v1/audio/speech"
CHUNKS = [{"text": " One.", "timestamp": [0.0, 1.5]}, {"text": " Two.", "timestamp": [1.5, 3661.25]}]


class Ears:
    """Hears the same in every sound."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[bytes], Mapping[str, Any]]] = []

    def load(self) -> Ears:
        return self

    def predict(self, inputs: list[bytes], parameters: Mapping[str, Any]) -> list[Any]:
        self.asked.append((inputs, parameters))
        more = {"chunks": CHUNKS, "language": "en", "duration": 3662.0} if parameters.get("return_timestamps") else {}
        return [{"text": "One. Two.", **more}]


class Voice:
    """Says the same to every text."""

    def predict(self, inputs: list[str], parameters: Mapping[str, Any]) -> list[MediaFile]:
        assert not parameters
        return [MediaFile(b"RIFF", "audio/wav")]


@pytest.fixture
def ears(monkeypatch: pytest.MonkeyPatch) -> Ears:
    ears = Ears()
    hearing: AnyModelCard = dataclasses.replace(speech_recognition.CARD, load=ears.load, required_modules=())
    speaking: AnyModelCard = dataclasses.replace(text_to_speech.CARD, load=Voice, required_modules=())
    monkeypatch.setattr(registry, "CARDS", (hearing, speaking))
    return ears


@pytest.fixture
def client(ears: Ears) -> Iterator[TestClient]:
    with TestClient(create_app()) as client:
        yield client


def transcribe(client: TestClient, **fields: object) -> Any:
    response = client.post(TRANSCRIPTIONS, files={"file": ("s.wav", b"RIFF")}, data=fields)
    assert response.status_code == 200, response.text
    return response


def test_a_file_is_transcribed(client: TestClient, ears: Ears) -> None:
    assert transcribe(client, model="local/whisper-base", language="en").json() == {"text": "One. Two."}
    assert ears.asked == [([b"RIFF"], {"language": "en"})]


def test_a_transcript_comes_in_the_format_asked_for(client: TestClient) -> None:
    assert transcribe(client, response_format="text").text == "One. Two.\n"
    assert transcribe(client, response_format="verbose_json").json() == {
        "task": "transcribe",
        "language": "en",
        "duration": 3662.0,
        "text": "One. Two.",
        "segments": [
            {"id": 0, "start": 0.0, "end": 1.5, "text": " One."},
            {"id": 1, "start": 1.5, "end": 3661.25, "text": " Two."},
        ],
    }
    assert transcribe(client, response_format="srt").text == (
        "1\n00:00:00,000 --> 00:00:01,500\nOne.\n\n2\n00:00:01,500 --> 01:01:01,250\nTwo.\n"
    )
    assert transcribe(client, response_format="vtt").text == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nOne.\n\n00:00:01.500 --> 01:01:01.250\nTwo.\n"
    )


def test_fields_that_have_no_effect_are_named(client: TestClient) -> None:
    assert transcribe(client, prompt="a talk", temperature="0").headers["x-warning"].endswith("prompt, temperature")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"response_format": "xml"}, "response_format"),
        ({"stream": "true"}, "stream"),
        ({"timestamp_granularities[]": ["segment", "word"]}, "words"),
        ({"model": "local/piper-joe"}, "does not do automatic-speech-recognition"),
    ],
)
def test_a_transcript_that_cannot_be_made_is_refused(
    client: TestClient, ears: Ears, fields: dict[str, str], reason: str
) -> None:
    response = client.post(TRANSCRIPTIONS, files={"file": ("s.wav", b"RIFF")}, data=fields)
    assert response.status_code == 400 and reason in str(response.json()["error"]) and ears.asked == []


def test_without_a_file_or_a_form_there_is_no_transcript(client: TestClient) -> None:
    no_file = client.post(TRANSCRIPTIONS, files={"other": ("s.wav", b"RIFF")})
    assert no_file.status_code == 400 and "Error in `file`" in no_file.json()["error"][0]
    assert "Malformed" in str(client.post(TRANSCRIPTIONS, files={"file": ("s.wav", b"")}).json()["error"])
    assert "multipart" in client.post(TRANSCRIPTIONS, json={"file": "x"}).json()["error"]


@pytest.mark.parametrize("voice", [None, "joe", "alloy"])
def test_a_text_is_spoken(client: TestClient, voice: str | None) -> None:
    response = client.post(SPEECH, json={"input": "Hello", "voice": voice})
    assert response.content == b"RIFF" and response.headers["content-type"] == "audio/wav"
    assert ("x-warning" in response.headers) is (voice == "alloy")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "field required"),
        ({"input": ["a"]}, "expected one string"),
        ({"input": "Hi", "voice": "nobody"}, "joe"),
        ({"input": "Hi", "voice": 3}, "voice"),
        ({"input": "Hi", "speed": 2}, "speed"),
        ({"input": "Hi", "response_format": "mp3"}, "wav, flac"),
        ({"input": "Hi", "response_format": "flac"}, "wav, not flac"),
        ({"input": "Hi", "stream_format": "sse"}, "stream_format"),
    ],
)
def test_what_cannot_be_spoken_is_refused(client: TestClient, body: dict[str, object], reason: str) -> None:
    response = client.post(SPEECH, json=body)
    assert response.status_code == 400 and reason in str(response.json()["error"])
