"""Text-to-speech and speech recognition check each other."""

from __future__ import annotations

import base64
import io
import re
import wave

import pytest
from starlette.testclient import TestClient

from huggingface_api_handler.server.models import text_to_speech
from tests.support.media_bombs import flac_silence

from .conftest import ask

WHISPER = "local/whisper-base"
PIPER = "local/piper-joe"
MODELS = (WHISPER, PIPER)


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def spoken(client: TestClient, text: str) -> bytes:
    response = client.post(f"/models/{PIPER}", json={"inputs": text})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "audio/wav"
    assert float(response.headers["x-compute-time"]) > 0 and len(response.headers["x-sha"]) == 64
    return response.content


@pytest.fixture(scope="module")
def fox(client: TestClient) -> bytes:
    return spoken(client, SENTENCES[0])


def test_the_voice_is_a_wav_file_of_a_plausible_length(fox: bytes) -> None:
    with wave.open(io.BytesIO(fox)) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, 22050)
        assert 1.5 < sound.getnframes() / sound.getframerate() < 6


SENTENCES = [
    "The quick brown fox jumps over the lazy dog.",
    "Please call me back tomorrow morning about the invoice.",
    "The weather in London is cold and rainy today.",
    "She bought three apples and a loaf of bread at the market.",
    "Our train leaves from the second platform in ten minutes.",
    "He has never been late for a meeting in his life.",
]


def word_errors(said: list[str], heard: list[str]) -> int:
    """Words to insert, delete or replace."""
    row = list(range(len(heard) + 1))
    for word in said:
        above, row = row, [row[0] + 1]
        for index, other in enumerate(heard):
            row.append(min(above[index] + (word != other), above[index + 1] + 1, row[index] + 1))
    return row[-1]


def test_whisper_reads_back_what_piper_says_with_few_words_wrong(client: TestClient) -> None:
    said = [words(sentence) for sentence in SENTENCES]
    heard = [words(ask(client, WHISPER, spoken(client, sentence), language="en")["text"]) for sentence in SENTENCES]
    errors = sum(map(word_errors, said, heard))
    assert errors <= 0.05 * sum(map(len, said)), heard


def test_the_same_text_has_the_same_sound(client: TestClient, fox: bytes) -> None:
    assert spoken(client, "Something else.") != fox == spoken(client, SENTENCES[0])


@pytest.mark.parametrize("content_type", ["audio/wav", "audio/x-wav; rate=22050", "application/octet-stream"])
def test_raw_bodies_and_base64_give_the_same_text(client: TestClient, fox: bytes, content_type: str) -> None:
    raw = client.post("/models/openai/whisper-large-v3", content=fox, headers={"content-type": content_type})
    assert raw.status_code == 200 and set(raw.json()) == {"text"}
    assert raw.json() == ask(client, WHISPER, fox)
    uri = "data:audio/wav;base64," + base64.b64encode(fox).decode()
    assert raw.json() == ask(client, WHISPER, uri)


def test_timestamps_come_as_chunks_in_order(client: TestClient, fox: bytes) -> None:
    answer = ask(client, WHISPER, fox, return_timestamps=True, language="en")
    assert "".join(chunk["text"] for chunk in answer["chunks"]).strip() == answer["text"]
    assert all(start < end < 7 for start, end in (chunk["timestamp"] for chunk in answer["chunks"]))


@pytest.mark.parametrize(
    "body", [b"junk" * 1000, b"", b"RIFF\x00\x00\x00\x00WAVEfmt ", b"\x89PNG\r\n\x1a\n" + b"0" * 99]
)
def test_what_is_no_sound_is_refused_in_the_recorded_words(client: TestClient, body: bytes) -> None:
    response = client.post(f"/models/{WHISPER}", content=body, headers={"content-type": "audio/wav"})
    assert response.status_code == 400
    assert response.json() == {"error": ["Error in `inputs`: Malformed soundfile"]}


@pytest.mark.parametrize("inputs", ["no base64!", "", None, 3, ["UklGRg=="], {"a": 1}])
def test_inputs_that_are_no_base64_are_400(client: TestClient, inputs: object) -> None:
    response = client.post(f"/models/{WHISPER}", json={"inputs": inputs})
    assert response.status_code == 400 and "Error in `inputs`" in response.json()["error"][0]


def test_a_cut_off_file_is_heard_to_its_end_or_refused(client: TestClient, fox: bytes) -> None:
    response = client.post(f"/models/{WHISPER}", content=fox[: len(fox) // 2], headers={"content-type": "audio/wav"})
    assert response.status_code in (200, 400)


def wave_file(frames: bytes, *, sample_bytes: int, rate_hz: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(sample_bytes)
        sound.setframerate(rate_hz)
        sound.writeframes(frames)
    return file.getvalue()


def test_a_recording_without_samples_has_no_text(client: TestClient) -> None:
    content = wave_file(b"", sample_bytes=2, rate_hz=16_000)
    response = client.post(f"/models/{WHISPER}", content=content, headers={"content-type": "audio/wav"})
    assert response.json() in ({"text": ""}, {"error": ["Error in `inputs`: Malformed soundfile"]})


def test_too_long_a_sound_is_413(client: TestClient) -> None:
    content = wave_file(bytes([128]) * (4000 * 1801), sample_bytes=1, rate_hz=4000)
    response = client.post(f"/models/{WHISPER}", content=content, headers={"content-type": "audio/wav"})
    assert response.status_code == 413 and "30 minutes" in response.json()["error"]


@pytest.mark.parametrize(
    "parameters", [{"language": "xx"}, {"language": ["en"]}, {"return_timestamps": 3}, {"beam": 1}]
)
def test_bad_parameters_are_400(client: TestClient, fox: bytes, parameters: dict[str, object]) -> None:
    body = {"inputs": base64.b64encode(fox).decode(), "parameters": parameters}
    assert client.post(f"/models/{WHISPER}", json=body).status_code == 400


@pytest.mark.parametrize(("inputs", "status"), [("", 400), (" ", 400), (["a"], 400), (3, 400), ("a" * 5001, 413)])
def test_text_that_cannot_be_spoken_is_refused(client: TestClient, inputs: object, status: int) -> None:
    response = client.post(f"/models/{PIPER}", json={"inputs": inputs})
    assert response.status_code == status and response.json()["error"]


def test_a_text_model_refuses_a_raw_body(client: TestClient, fox: bytes) -> None:
    response = client.post(f"/models/{PIPER}", content=fox, headers={"content-type": "audio/wav"})
    assert response.status_code == 400 and "raw media body" in response.json()["error"][0]


class Recorded:
    """The voice, with what it is asked to speak written down instead of spoken."""

    def __init__(self, voice: text_to_speech.PiperVoice) -> None:
        self.config = voice.config
        self.phonemize = voice.phonemize
        self.spoken: list[str] = []

    def synthesize(self, text: str, syn_config: object, /) -> list[Chunk]:
        self.spoken.append(text)
        return [Chunk()]


class Chunk:
    audio_int16_bytes = b"00"


@pytest.fixture(scope="module")
def synthesizer() -> text_to_speech.SpeechSynthesizer:
    loaded = text_to_speech.CARD.load()
    assert isinstance(loaded, text_to_speech.SpeechSynthesizer)
    return loaded


@pytest.mark.parametrize("text", ["word " * 900, "9" * 3_000, "a" * 5_000, "\U0001f602 " * 200])
def test_no_sentence_is_so_long_that_it_fills_the_memory(
    synthesizer: text_to_speech.SpeechSynthesizer, text: str
) -> None:
    voice = Recorded(synthesizer.voice)
    text_to_speech.SpeechSynthesizer(voice, synthesizer.config).predict([text], {})
    assert "".join(voice.spoken) == text and len(voice.spoken) > 1
    sentences = [sentence for piece in voice.spoken for sentence in voice.phonemize(piece)]
    assert max(map(len, sentences)) <= text_to_speech.MAX_SENTENCE_PHONEMES


def test_sentences_of_a_usual_length_are_spoken_together(synthesizer: text_to_speech.SpeechSynthesizer) -> None:
    voice = Recorded(synthesizer.voice)
    text = " ".join(SENTENCES * 10)
    text_to_speech.SpeechSynthesizer(voice, synthesizer.config).predict([text], {})
    assert voice.spoken == [text]


def test_a_text_that_takes_hours_to_speak_is_413(client: TestClient) -> None:
    response = client.post(f"/models/{PIPER}", json={"inputs": "\U0001f602 " * 2_000})
    assert response.status_code == 413 and "more than 10000 sounds" in response.json()["error"]


def test_a_text_is_spoken_and_heard_through_the_routes_of_openai(client: TestClient) -> None:
    spoken = client.post("/v1/audio/speech", json={"input": "The weather is fine today.", "voice": "joe"})
    assert spoken.headers["content-type"] == "audio/wav" and "x-warning" not in spoken.headers
    files = {"file": ("s.wav", spoken.content, "audio/wav")}
    heard = client.post("/v1/audio/transcriptions", files=files, data={"response_format": "verbose_json"}).json()
    assert heard["text"] == "The weather is fine today." and heard["language"] == "en"
    assert 1 < heard["duration"] < 3 and "".join(part["text"] for part in heard["segments"]).strip() == heard["text"]


def test_bytes_without_a_type_are_heard(client: TestClient, fox: bytes) -> None:
    with_type = client.post(f"/models/{WHISPER}", content=fox, headers={"content-type": "audio/wav"}).json()
    assert client.post(f"/models/{WHISPER}", content=fox).json() == with_type


def test_a_form_may_hold_no_more_sound_than_a_body(client: TestClient) -> None:
    hours = {"file": ("s.flac", flac_silence(57_866), "audio/flac")}
    response = client.post("/v1/audio/transcriptions", files=hours)
    assert response.status_code == 413 and "30 minutes" in response.json()["error"]
